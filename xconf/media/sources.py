"""Producers of sound: `read()` gives one frame of 20 ms, or None when it is over. None of them touches a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

_TONE = re.compile(r"%\(\s*([\d.]+)\s*,\s*([\d.]+)\s*((?:,\s*[\d.]+\s*)+)\)")
_SETTING = re.compile(r"^([vlL])=(-?\d+)$")
_LONGEST_TONE = 60.0  # s, of one pass
_RAMP = 0.004  # s: tones begin and end softly, so that they do not click


class SoundError(Exception):
    """A sound cannot be had; the text says which, why, and what to do."""


class Sound(Protocol):
    """A producer of sound at a rate fixed when it was made."""

    def read(self) -> Samples | None:
        """The next frame, int16[rate // 50]; None when it is over (the last frame is padded with silence).

        In conferences with two channels a frame may also have both, side by side: int16[2 * rate // 50].
        """


class Clip:
    """Plays samples that lie in memory; any number of clips may share one array."""

    def __init__(self, samples: Samples, rate: int, *, loop: bool = False) -> None:
        self._samples = samples
        self._frame = rate // 50
        self._loop = loop and len(samples) > 0
        self._at = 0

    def read(self) -> Samples | None:
        frame = self._samples[self._at : self._at + self._frame]
        self._at += self._frame
        if len(frame) == self._frame:
            return frame
        if self._loop:
            self._at = self._frame - len(frame)
            if self._at > len(self._samples):
                return np.resize(self._samples, self._frame)
            return np.concatenate([frame, self._samples[: self._at]])
        if len(frame) == 0:
            return None
        return np.concatenate([frame, np.zeros(self._frame - len(frame), np.int16)])


def tone(frequencies: list[float], seconds: float, rate: int, decibels: float = -12.0) -> Samples:
    """The sum of sines of equal level, together at `decibels` below full scale, with soft edges."""
    time = np.arange(round(seconds * rate)) / rate
    wave = sum((np.sin(2 * np.pi * frequency * time) for frequency in frequencies), np.zeros(len(time)))
    wave *= 10 ** (decibels / 20) * 32767 / max(1, len(frequencies))
    ramp = min(round(_RAMP * rate), len(wave) // 2)
    if ramp:
        wave[:ramp] *= np.arange(ramp) / ramp
        wave[-ramp:] *= np.arange(ramp)[::-1] / ramp
    return wave.astype(np.int16)


def tone_stream(spec: str, rate: int) -> Samples:
    """Samples of a `tone_stream://` description: `%(on ms,off ms,f1[,f2…])` one after the other, `v=-dB`, `l=loops`."""
    pieces: list[Samples] = []
    loops, decibels = 1, -12.0
    for part in filter(None, (part.strip() for part in spec.removeprefix("tone_stream://").split(";"))):
        setting = _SETTING.match(part)
        if setting and setting[1] == "v":
            decibels = float(setting[2])
        elif setting:
            loops = max(1, int(setting[2]))
        else:
            pieces += _tones(part, rate, decibels, spec)
    once = np.concatenate(pieces) if pieces else np.zeros(0, np.int16)
    if not len(once):
        raise SoundError(f"{spec!r} holds no tone: write tone_stream://%(on ms,off ms,frequency…)")
    if len(once) * loops > _LONGEST_TONE * rate:
        raise SoundError(f"{spec!r} is longer than {_LONGEST_TONE:.0f} s")
    return np.tile(once, loops)


def _tones(part: str, rate: int, decibels: float, spec: str) -> Iterator[Samples]:
    at = 0
    for match in _TONE.finditer(part):
        if part[at : match.start()].strip():
            break
        at = match.end()
        on, off = float(match[1]) / 1000, float(match[2]) / 1000
        frequencies = [float(f) for f in match[3].split(",") if f.strip()]
        if on + off > _LONGEST_TONE or any(f >= rate / 2 for f in frequencies):
            raise SoundError(f"{spec!r}: a tone is at most {_LONGEST_TONE:.0f} s long and below {rate // 2} Hz")
        yield tone(frequencies, on, rate, decibels)
        yield np.zeros(round(off * rate), np.int16)
    if part[at:].strip():
        raise SoundError(f"{spec!r}: cannot read {part[at:].strip()!r}; write tone_stream://%(on ms,off ms,frequency…)")
