"""Conferences without transcoding: who alone speaks is passed on as he was encoded, with a time line of the conference's.

What he says is decoded all the same, to know who speaks and to be at hand for what else is made of it (a mix when a second
one speaks, a recording). But what the others get is what he sent, octet for octet.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from xconf.media.codecs import Encoder, Ints, Samples

KEPT = 64  # payloads of a voice
REMEMBERED = 5  # packets from which an encoder that was passed over learns what its listeners have heard


@dataclass(frozen=True, slots=True)
class Passed:
    """What is to be sent for a mix in this tick."""

    codec: str
    payload: bytes


LOST = Passed("", b"")
"""The packet did not come: nothing is sent, for the listeners to make up for it as they would have without us."""


class Payloads:
    """What voices sent, at the positions of its sound in their jitter rings. frame: samples of 20 ms."""

    def __init__(self, frame: int) -> None:
        self._frame = frame
        self._kept: dict[int, dict[int, Passed]] = {}

    def keep(self, voice: int, position: int, packet: Passed) -> None:
        """A packet of 20 ms; others cannot be passed on in their time."""
        kept = self._kept.setdefault(voice, {})
        kept[position] = packet
        if len(kept) > KEPT:
            del kept[min(kept)]

    def due(self, voice: int, position: int) -> Passed | None:
        """The packet whose sound was due from that position on, which it may miss by half a frame; None: there is none."""
        kept = self._kept.get(voice, {})
        for old in [each for each in kept if each < position - self._frame // 2]:
            del kept[old]
        first = min(kept, default=position + self._frame)
        return kept.pop(first) if first < position + self._frame // 2 else None

    def drop(self, voice: int) -> None:
        self._kept.pop(voice, None)


class Relay:
    """The outputs of a bank that are passed on. When they are encoded again, the encoder begins with what was heard last."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._recent: dict[int, deque[Samples]] = {}

    def passed(self, row: int, sound: Samples) -> None:
        """What the row's listeners heard, without the encoder."""
        self._recent.setdefault(row, deque(maxlen=REMEMBERED)).append(sound)

    def encoded(self, rows: Ints) -> None:
        """These rows are encoded now."""
        for row in [row for row in self._recent if row in rows]:
            self._encoder.drop(row)
            for sound in self._recent.pop(row):
                self._encoder.encode(np.array([row]), sound[None])

    def drop(self, row: int) -> None:
        self._recent.pop(row, None)
