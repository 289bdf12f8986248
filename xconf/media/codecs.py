"""Codecs, over whole matrices: one row is one frame or packet.

G.711 is a table look-up both ways; the tables come from the standard library's `audioop` (`audioop-lts` from 3.13).
To add a codec that is a function of the sample alone, add it to CODECS.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

Samples = npt.NDArray[np.int16]
Octets = npt.NDArray[np.uint8]
_ALL_SAMPLES = np.arange(65536, dtype=np.uint16).view(np.int16)
_ALL_OCTETS = bytes(range(256))


@dataclass(frozen=True, slots=True)
class Codec:
    """name: the encoding name of RFC 3551; rate: Hz, of the sound and of the RTP time line; octets: of one sample.

    encode: int16[n, samples] -> uint8[n, samples * octets]; decode is its inverse.
    """

    name: str
    rate: int
    octets: int
    encode: Callable[[Samples], Octets]
    decode: Callable[[Octets], Samples]

    @property
    def frame_octets(self) -> int:
        """Octets of one frame of 20 ms."""
        return self.rate // 50 * self.octets


def _table_codec(name: str, encode: Callable[[bytes, int], bytes], decode: Callable[[bytes, int], bytes]) -> Codec:
    encoded = np.frombuffer(encode(_ALL_SAMPLES.tobytes(), 2), np.uint8)
    decoded = np.frombuffer(decode(_ALL_OCTETS, 2), np.int16)
    return Codec(
        name,
        8000,
        1,
        lambda samples: encoded[samples.view(np.uint16)],
        lambda octets: decoded[octets],
    )


def _linear(rate: int) -> Codec:
    return Codec(
        "L16",
        rate,
        2,
        lambda samples: np.ascontiguousarray(samples).astype(">i2").view(np.uint8),
        lambda octets: np.ascontiguousarray(octets).view(">i2").astype(np.int16),
    )


PCMU = _table_codec("PCMU", audioop.lin2ulaw, audioop.ulaw2lin)
PCMA = _table_codec("PCMA", audioop.lin2alaw, audioop.alaw2lin)
CODECS = {(codec.name, codec.rate): codec for codec in (PCMU, PCMA, _linear(8000), _linear(16000))}
