"""Voices that pause and say so (RFC 3389, comfort noise): what does not come of them is noise as loud as they told, and not lost."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
OVERLOAD = 32768.0  # effective value that is called 0 dBov (RFC 3389, section 3)
SOFTEST, LOUDEST = 127, 40  # dB below it; what would be as loud as speech is not believed
WAVES = 32  # frames of noise that are different


def loudness(payload: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The effective values that the first octets of packets of comfort noise tell, uint8[n]; 0 of the softest."""
    below = np.maximum(payload & 0x7F, LOUDEST).astype(np.float32)
    level: npt.NDArray[np.float32] = (10 ** (-below / 20) * OVERLOAD).astype(np.float32)
    level[below == SOFTEST] = 0.0
    return level


class Breaks:
    """The pauses of `capacity` voices. frame: samples of 20 ms."""

    def __init__(self, capacity: int, frame: int) -> None:
        self._level = np.zeros(capacity, np.float32)
        self._told = np.zeros(capacity, bool)
        self._begun = np.zeros(capacity, bool)  # before, there is sound yet of what came before it was told
        self._noise = np.random.default_rng(frame).normal(0.0, 1.0, (WAVES, frame)).astype(np.float32)

    def tell(self, voices: Ints, noise: npt.NDArray[np.uint8]) -> None:
        """noise: the first octets of packets of comfort noise."""
        self._told[voices] = True
        self._level[voices] = loudness(noise)

    def fill(self, voices: Ints, frames: npt.NDArray[np.int16], there: Bools, tick: int) -> Bools:
        """Put noise where sound is missing in a pause, in place; returns where. Sound ends the pause."""
        over = voices[there & self._begun[voices]]
        self._told[over] = self._begun[over] = False
        rests: Bools = ~there & self._told[voices]
        resting = voices[rests]
        if len(resting):
            self._begun[resting] = True
            wave = self._noise[(resting * 7 + tick * 5) % WAVES]
            frames[rests] = np.rint(self._level[resting, None] * wave).astype(np.int16)
        return rests

    def drop(self, voice: int) -> None:
        """The voice is another one."""
        self._told[voice] = self._begun[voice] = False
