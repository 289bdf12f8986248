"""The body of a datagram with sound: one conference's own mix of one tick, or a part of it."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from xconf.cluster.frame import FrameError

Samples = npt.NDArray[np.int16]

RATES = (8000, 16000, 32000, 48000)
PART = 1280  # octets of samples in one datagram at most
_FIELDS = struct.Struct(">16sBBHQBB")


class Coding(IntEnum):
    """How the sound is written. NOTHING: from this tick on there is none."""

    NOTHING = 0
    L16 = 1
    OPUS = 2


@dataclass(frozen=True, slots=True)
class SoundFrame:
    """conference: `conference_id` of its name; tick: which 20 ms of the sender's time line; part: of so many equal parts."""

    conference: bytes
    coding: Coding
    channels: int
    rate: int
    tick: int
    payload: bytes = b""
    part: int = 0
    parts: int = 1

    def encode(self) -> bytes:
        fields = (self.conference, self.coding, self.channels, self.rate // 100, self.tick, self.part, self.parts)
        return _FIELDS.pack(*fields) + self.payload


def conference_id(name: str) -> bytes:
    """16 octets: no two names share them."""
    return hashlib.sha256(name.encode()).digest()[:16]


def parse_sound(body: bytes) -> SoundFrame:
    """Raises FrameError: malformed."""
    if len(body) < _FIELDS.size:
        raise FrameError("malformed")
    conference, coding, channels, hundreds, tick, part, parts = _FIELDS.unpack_from(body)
    payload = body[_FIELDS.size :]
    rate = hundreds * 100
    if coding > Coding.OPUS or channels not in (1, 2) or rate not in RATES or not part < parts <= 4 or tick >> 48:
        raise FrameError("malformed")
    if coding == Coding.L16 and len(payload) * parts != rate // 50 * channels * 2:
        raise FrameError("malformed")
    if coding == Coding.OPUS and (not payload or parts != 1 or rate == 32000):
        raise FrameError("malformed")
    return SoundFrame(conference, Coding(coding), channels, rate, tick, payload, part, parts)


def split(samples: Samples) -> list[bytes]:
    """A frame of 20 ms as big-endian octets (L16 of RFC 3551), in as few equal parts as datagrams hold."""
    octets = samples.astype(">i2").tobytes()
    parts = -(-len(octets) // PART)
    length = len(octets) // parts
    return [octets[at : at + length] for at in range(0, len(octets), length)]


def samples_of(payload: bytes) -> Samples:
    """Those of one part."""
    return np.frombuffer(payload, ">i2").astype(np.int16)
