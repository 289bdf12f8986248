"""Codecs: what is said between sound and the payload of packets, and those whose octets stand for samples one by one.

G.711 is a table look-up both ways; the tables come from the standard library's `audioop` (`audioop-lts` from 3.13). A codec
that keeps a state from packet to packet (G.722, Opus) has it in an `Encoder` for each output and a `Decoder` for each voice.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import audioop

Samples = npt.NDArray[np.int16]
Octets = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
_ALL_SAMPLES = np.arange(65536, dtype=np.uint16).view(np.int16)
_ALL_OCTETS = bytes(range(256))


class CodecMissing(Exception):
    """The library of a codec is not installed: the text says which, and how to install it."""


class Encoder(Protocol):
    """Encodes outputs, which are rows of a table."""

    def encode(self, rows: Ints, samples: Samples) -> tuple[Octets, Ints | None]:
        """The payloads of a packet of each row, uint8[n, width]; and their lengths, where they differ from the width.

        samples: int16[n, k], those of one moment side by side.
        """

    def follow(self, row: int, before: int) -> None:
        """The row is new, and goes on for a listener who heard another one until now."""

    def drop(self, row: int) -> None:
        """The row is free."""


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet of a voice: sequence number and timestamp of RFC 3550, and the payload."""

    sequence: int
    timestamp: int
    payload: bytes


Stretch = tuple[int, Samples]  # an RTP timestamp, and the sound that begins there


class Decoder(Protocol):
    """Decodes voices, which are rows of a table, packet by packet in their order."""

    def decode(self, voice: int, packet: Packet) -> list[Stretch]:
        """The sound of a packet, after what can be had of packets that were lost before it.

        Nothing when it is of no use. Raises ValueError when it is malformed.
        """

    def last(self, voice: int) -> int | None:
        """The sequence number of the newest packet; None when there was none."""

    def drop(self, voice: int) -> None:
        """The voice is another one from now on."""


@dataclass(frozen=True, slots=True)
class Codec(ABC):
    """name: the encoding name of RFC 3551; clock: Hz, of its RTP time line; rate: Hz, of its sound; channels: of its sound."""

    name: str
    clock: int
    rate: int
    channels: int

    @property
    def label(self) -> str:
        """For people: the name, the clock rate and the number of channels, if there are several."""
        return f"{self.name}/{self.clock}" + (f"/{self.channels}" if self.channels > 1 else "")

    @property
    def pauses(self) -> bool:
        """Silence needs no packets."""
        return False

    @property
    def heard(self) -> tuple[int, int, int]:
        """(rate, clock, channels) of what it decodes to."""
        return self.rate, self.clock, self.channels

    @abstractmethod
    def room(self, milliseconds: int) -> int:
        """The most octets of a payload of that length."""

    def typical(self, milliseconds: int) -> int:
        """The octets of a payload of that length, about."""
        return self.room(milliseconds)

    @abstractmethod
    def encoder(self) -> Encoder:
        """For the outputs of one table."""

    @abstractmethod
    def decoder(self) -> Decoder | None:
        """For the voices of one table; None where each octet stands for itself: see `SampleCodec.decode`."""


@dataclass(frozen=True, slots=True)
class SampleCodec(Codec):
    """A function of the sample alone. octets: of one sample.

    encode: int16[n, samples] -> uint8[n, samples * octets]; decode is its inverse. comfort: silence is told by packets of
    comfort noise (RFC 3389), now and then.
    """

    octets: int
    encode: Callable[[Samples], Octets]
    decode: Callable[[Octets], Samples]
    comfort: bool = False

    @property
    def pauses(self) -> bool:
        return self.comfort

    @property
    def frame_octets(self) -> int:
        """Octets of 20 ms."""
        return self.room(20)

    def room(self, milliseconds: int) -> int:
        return self.rate * milliseconds // 1000 * self.channels * self.octets

    def encoder(self) -> Encoder:
        return _SampleEncoder(self)

    def decoder(self) -> None:
        return None


class _SampleEncoder:
    def __init__(self, codec: SampleCodec) -> None:
        self._codec = codec

    def encode(self, rows: Ints, samples: Samples) -> tuple[Octets, Ints | None]:
        return self._codec.encode(samples), None

    def follow(self, row: int, before: int) -> None:
        """There is no state."""

    def drop(self, row: int) -> None:
        """There is no state."""


def _table_codec(
    name: str, encode: Callable[[bytes, int], bytes], decode: Callable[[bytes, int], bytes]
) -> SampleCodec:
    encoded = np.frombuffer(encode(_ALL_SAMPLES.tobytes(), 2), np.uint8)
    decoded = np.frombuffer(decode(_ALL_OCTETS, 2), np.int16)
    return SampleCodec(
        name,
        8000,
        8000,
        1,
        1,
        lambda samples: encoded[samples.view(np.uint16)],
        lambda octets: decoded[octets],
    )


def _linear(rate: int, channels: int) -> SampleCodec:
    return SampleCodec(
        "L16",
        rate,
        rate,
        channels,
        2,
        lambda samples: np.ascontiguousarray(samples).astype(">i2").view(np.uint8),
        lambda octets: np.ascontiguousarray(octets).view(">i2").astype(np.int16),
    )


PCMU = _table_codec("PCMU", audioop.lin2ulaw, audioop.ulaw2lin)
PCMA = _table_codec("PCMA", audioop.lin2alaw, audioop.alaw2lin)
LINEAR = {(rate, channels): _linear(rate, channels) for rate in (8000, 16000, 32000, 48000) for channels in (1, 2)}
