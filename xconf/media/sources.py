"""Producers of sound: `read()` gives one frame of 20 ms, or None when it is over. None of them touches a file."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from xconf.media.levels import step_gain

Samples = npt.NDArray[np.int16]

TICK = 0.02


class SoundError(Exception):
    """A sound cannot be had; the text says which, why, and what to do."""


class Sound(Protocol):
    """A producer of sound at a rate fixed when it was made."""

    def read(self) -> Samples | None:
        """The next frame, int16[rate // 50]; None when it is over (the last frame is padded with silence).

        In conferences with two channels a frame may also have both, side by side: int16[2 * rate // 50].
        """


class Recorded(Sound, Protocol):
    """A sound that somebody may steer while it is heard."""

    @property
    def position(self) -> float:
        """s from its beginning to the frame that is read next."""

    @property
    def error(self) -> str:
        """Why it ended before its time, or empty."""

    def seek(self, seconds: float) -> None:
        """Go on from there; beyond the end, it is over. Raises SoundError where there is no such thing."""

    def close(self) -> None:
        """It is read no more; what it holds is given back."""


class Clip:
    """Plays samples that lie in memory, `loops` times (-1: without end); any number of clips may share one array."""

    error = ""

    def __init__(self, samples: Samples, rate: int, *, loops: int = 1) -> None:
        self._samples = samples
        self._frame = rate // 50
        self._rate = rate
        # What remains to be played, in samples of all loops; None: no end.
        self._length = None if loops < 0 and len(samples) else len(samples) * loops
        self._at = 0

    @property
    def position(self) -> float:
        return self._at / self._rate

    def seek(self, seconds: float) -> None:
        at = max(0, round(seconds * self._rate))
        self._at = at if self._length is None else min(at, self._length)

    def close(self) -> None:
        self._at = self._length = 0

    def read(self) -> Samples | None:
        left = self._frame if self._length is None else min(self._frame, self._length - self._at)
        if left <= 0:
            return None
        start = self._at % len(self._samples)
        self._at += left
        frame = self._samples[start : start + left]
        if len(frame) == self._frame:
            return frame
        return self._pieced(frame, left)

    def _pieced(self, frame: Samples, left: int) -> Samples:
        """A frame that goes on at the beginning of the samples, or is the last one."""
        whole = np.zeros(self._frame, np.int16)
        whole[: len(frame)] = frame
        whole[len(frame) : left] = np.resize(self._samples, left - len(frame))
        return whole


class Fader:
    """A sound whose volume can be changed while it is heard. step: -4..4, as of members."""

    def __init__(self, sound: Recorded, step: int = 0) -> None:
        self.sound = sound
        self.step = step

    @property
    def step(self) -> int:
        return self._step

    @step.setter
    def step(self, step: int) -> None:
        self._step = step
        self._gain = np.float32(step_gain(step))

    def read(self) -> Samples | None:
        frame = self.sound.read()
        if frame is None or not self._step:
            return frame
        faded: Samples = np.clip(np.rint(frame * self._gain), -32768, 32767).astype(np.int16)
        return faded
