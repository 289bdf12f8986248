"""G.722: 7 kHz in 64 kbit/s, by the `G722` package.

Its RTP clock runs at 8000 Hz though the sound has 16000 samples a second (RFC 3551, section 4.5.2). Both ends adapt to the
sound as it goes by, so an output that begins for somebody who heard another one first gets to know what was heard.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from xconf.media.codecs import Codec, CodecMissing, Ints, Octets, Packet, Samples, Stretch
from xconf.rtp.packet import distance

RATE = 16000
BITS = 64000
REMEMBERED = 5  # packets of an output, from which one that goes on for its listener learns


@functools.cache
def _library() -> Any:
    try:
        return importlib.import_module("G722").G722
    except ImportError:
        raise CodecMissing("g722 needs the package G722: pip install 'xconf[g722]'") from None


@dataclass(frozen=True, slots=True)
class G722(Codec):
    """Raises CodecMissing where there is no library for it."""

    name: str = "G722"
    clock: int = 8000
    rate: int = RATE
    channels: int = 1

    def __post_init__(self) -> None:
        _library()

    def room(self, milliseconds: int) -> int:
        return BITS // 8 * milliseconds // 1000

    def encoder(self) -> G722Encoder:
        return G722Encoder()

    def decoder(self) -> G722Decoder:
        return G722Decoder()


class G722Encoder:
    """16 us for 20 ms of an output."""

    def __init__(self) -> None:
        self._states: dict[int, Any] = {}
        self._recent: dict[int, list[Samples]] = {}

    def encode(self, rows: Ints, samples: Samples) -> tuple[Octets, Ints | None]:
        payloads = [self._encode(row, frame) for row, frame in zip(rows.tolist(), samples, strict=True)]
        return np.frombuffer(b"".join(payloads), np.uint8).reshape(len(payloads), -1), None

    def _encode(self, row: int, frame: Samples) -> bytes:
        if row not in self._states:
            self._states[row] = _library()(RATE, BITS)
        recent = self._recent.setdefault(row, [])
        recent.append(frame)
        del recent[:-REMEMBERED]
        payload: bytes = self._states[row].encode(frame.data)
        return payload

    def follow(self, row: int, before: int) -> None:
        for frame in tuple(self._recent.get(before, ())):
            self._encode(row, frame)

    def drop(self, row: int) -> None:
        self._states.pop(row, None)
        self._recent.pop(row, None)


class G722Decoder:
    """10 us for 20 ms of a voice."""

    def __init__(self) -> None:
        self._states: dict[int, Any] = {}
        self._last: dict[int, int] = {}

    def decode(self, voice: int, packet: Packet) -> list[Stretch]:
        last = self._last.get(voice)
        if last is None:
            self._states[voice] = _library()(RATE, BITS)
        if last is None or distance(packet.sequence, last, 16) > 0:
            self._last[voice] = packet.sequence
        elif packet.sequence == last:
            return []  # the same once more
        return [(packet.timestamp, np.array(self._states[voice].decode(packet.payload), np.int16))]

    def last(self, voice: int) -> int | None:
        return self._last.get(voice)

    def drop(self, voice: int) -> None:
        self._states.pop(voice, None)
        self._last.pop(voice, None)
