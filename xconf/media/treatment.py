"""What is done to voices before they are mixed, where a conference asks for it: noise taken away, echo kept out, speech told
from other sounds. By speaker, not vectorised: a conference has tens of them; listeners cost nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xconf.media.levels import mean_level

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

MOST_CLEANED = {8000: 64, 16000: 32, 32000: 16, 48000: 16}
"""Voices of a plane whose noise is taken away at once: 2 ms of a tick. It takes 22 us a voice at 8 kHz, 125 us at 48 kHz."""
LOUD = 1e6  # a level above every threshold
ECHO_FRAMES = 25  # for which what a phone was sent may come back, 0.5 s
COUPLING = 0.5  # an echo is at most so loud, of what was sent
DUCKED = 0.1  # what is taken for an echo is heard so loud
AUDIBLE = 50  # mean absolute sample: what is softer makes no echo


@dataclass(frozen=True, slots=True)
class Treatment:
    """Of the voices of a conference. vad: mode 0..3 of WebRTC's voice detector, None: none; noise: is suppressed; echo: what
    comes back from a phone of what it was sent is kept out.
    """

    vad: int | None = None
    noise: bool = False
    echo: bool = False


def missing(treatment: Treatment) -> str | None:
    """What has to be installed for it."""
    if treatment.vad is not None and not _there("webrtcvad"):
        return "needs the package webrtcvad-wheels: pip install 'xconf[vad]'"
    if treatment.noise and not _there("speexdsp_ns"):
        return "needs the package speexdsp-ns: pip install 'xconf[noise]' (for Python up to 3.12)"
    return None


def _there(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True


class Treatments:
    """Of the voices of one plane. of: by the source row of the conference's mix."""

    def __init__(self, rate: int, channels: int, capacity: int) -> None:
        self.of: dict[int, Treatment] = {}
        self._rate, self._channels = rate, channels
        self._cleaners: dict[tuple[int, int], Any] = {}  # of a voice and channel
        self._detectors: dict[int, tuple[int, Any]] = {}  # of a voice: mode, detector
        self._sent = np.zeros((capacity, ECHO_FRAMES), np.float32)
        self._gain = np.ones(capacity, np.float32)

    def _those(self, mix: Ints, wanted: Callable[[Treatment], bool]) -> Ints:
        rows = [row for row, treatment in self.of.items() if wanted(treatment)]
        return np.isin(mix, rows).nonzero()[0] if rows else np.zeros(0, np.int64)

    def clean(self, voices: Ints, mix: Ints, frames: Samples, playing: Bools) -> Samples:
        """The frames, int16[n, samples], without noise and echo. playing: from whom packets come."""
        noisy = self._those(mix, lambda treatment: treatment.noise)
        echoing = self._those(mix, lambda treatment: treatment.echo)
        if not (len(noisy) or len(echoing)):
            return frames
        frames = frames.copy()
        for at in noisy[playing[noisy]].tolist():
            self._suppress(int(voices[at]), frames[at])
        if len(echoing):
            self._duck(voices[echoing], frames, echoing)
        return frames

    def _suppress(self, voice: int, frame: Samples) -> None:
        """In place."""
        if (voice, 0) not in self._cleaners:
            if len(self._cleaners) >= MOST_CLEANED[self._rate]:
                return
            create = importlib.import_module("speexdsp_ns").NoiseSuppression.create
            for channel in range(self._channels):
                self._cleaners[voice, channel] = create(self._rate // 50, self._rate)
        sides = frame.reshape(-1, self._channels)
        for channel in range(self._channels):
            cleaned = self._cleaners[voice, channel].process(sides[:, channel].tobytes())
            sides[:, channel] = np.frombuffer(cleaned, np.int16)

    def _duck(self, voices: Ints, frames: Samples, at: Ints) -> None:
        """In place: who is softer than an echo would be is made soft, without a click."""
        sent = self._sent[voices].max(axis=1)
        echo = (sent > AUDIBLE) & (mean_level(frames[at]) < sent * COUPLING)
        before, after = self._gain[voices], np.where(echo, np.float32(DUCKED), np.float32(1.0))
        self._gain[voices] = after
        rows = ((before < 1.0) | (after < 1.0)).nonzero()[0]
        if len(rows):
            ramp = np.linspace(0.0, 1.0, frames.shape[1] // self._channels, dtype=np.float32).repeat(self._channels)
            gain = before[rows, None] + (after - before)[rows, None] * ramp
            frames[at[rows]] = np.rint(frames[at[rows]] * gain).astype(np.int16)

    def levels(self, voices: Ints, mix: Ints, frames: Samples, level: Floats) -> Floats:
        """Of each voice for its gate: as measured, or by whether it is speech."""
        detected = self._those(mix, lambda treatment: treatment.vad is not None)
        if not len(detected):
            return level
        level = level.copy()
        for at in detected.tolist():
            mode = self.of[int(mix[at])].vad
            assert mode is not None
            level[at] = LOUD if self._is_speech(int(voices[at]), mode, frames[at]) else 0.0
        return level

    def _is_speech(self, voice: int, mode: int, frame: Samples) -> bool:
        if voice not in self._detectors or self._detectors[voice][0] != mode:
            self._detectors[voice] = mode, importlib.import_module("webrtcvad").Vad(mode)
        _, detector = self._detectors[voice]
        mono = frame.reshape(-1, self._channels).mean(axis=1).astype(np.int16) if self._channels > 1 else frame
        return bool(detector.is_speech(mono.tobytes(), self._rate))

    def sent(self, voices: Ints, mix: Ints, source: Callable[[Ints], Samples], tick: int) -> None:
        """What the phones of some voices are sent in this tick. source: the frames of voices, by their place in `voices`."""
        at = self._those(mix, lambda treatment: treatment.echo)
        if len(at):
            self._sent[voices[at], tick % ECHO_FRAMES] = mean_level(source(at))

    def drop(self, voice: int) -> None:
        """The voice is no more, or begins."""
        for channel in range(self._channels):
            self._cleaners.pop((voice, channel), None)
        self._detectors.pop(voice, None)
        self._sent[voice] = 0.0
        self._gain[voice] = 1.0
