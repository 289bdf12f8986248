"""Taps: what is said and played in a conference, frame by frame, for who takes it away: a recording."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.media.levels import saturate

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
MOST_FRAMES = 1500  # that wait to be taken, 30 s


@dataclass(frozen=True, slots=True)
class Heard:
    """One tick of a conference in which there was something to hear.

    mix: int16[samples], all of it; legs: the rows of those who spoke, and voices: int16[n, samples], what each said.
    """

    tick: int
    mix: Samples
    legs: Ints
    voices: Samples


class Tap:
    """Made by `Mix.tap`. Ticks without a frame were silent. lost: frames that nobody took in time.

    mix: the source row of the conference; samples: of a frame, all channels together.
    """

    def __init__(self, mix: int, samples: int) -> None:
        self.mix = mix
        self.lost = 0
        self._samples = samples
        self._first = self._last = 0
        self._began = False
        self._heard: deque[Heard] = deque()

    @property
    def length(self) -> int:
        """Ticks since it began."""
        return self._last - self._first + 1 if self._began else 0

    def run(self, tick: int, legs: Ints, voices: Samples, played: Sequence[Samples]) -> None:
        """A tick: who speaks, their frames, and those that are played to all."""
        if not self._began:
            self._began, self._first = True, tick
        self._last = tick
        if not (len(legs) or played):
            return
        total = np.zeros(self._samples, np.int32)
        for frame in (*voices, *played):
            total += frame
        if len(self._heard) >= MOST_FRAMES:
            self._heard.popleft()
            self.lost += 1
        self._heard.append(Heard(tick - self._first, saturate(total).astype(np.int16), legs.copy(), voices.copy()))

    def take(self) -> list[Heard]:
        """What was heard since it was last asked; `tick` counts from the tap's beginning."""
        heard = list(self._heard)
        self._heard.clear()
        return heard
