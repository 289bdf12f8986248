"""Streams whose rate differs from their conference's, all of them at once: one matrix product per tick.

A library's streaming resampler holds 60 ms and more back, which a conversation can't spare; this filter holds back 2 ms.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_HALF_WIDTH = 16  # of the filter, in samples of the lower rate: 2 ms at 8 kHz, which is also the delay
_KAISER_BETA = 8.0


@functools.cache
def _matrix(from_rate: int, to_rate: int) -> tuple[Wave, int]:
    """The matrix that turns (history + frame) of one rate into a frame of the other, and the length of the history.

    A windowed sinc, cut off at the lower of both Nyquist frequencies.
    """
    cutoff = min(1.0, to_rate / from_rate)
    half = round(_HALF_WIDTH / cutoff)
    frame, out = from_rate // 50, to_rate // 50
    centre = np.arange(out) * (from_rate / to_rate) + half  # in samples of the input, delayed by `half`
    distance = np.arange(frame + 2 * half)[:, None] - centre
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))) / np.i0(_KAISER_BETA)
    taps = np.where(np.abs(distance) < half, cutoff * np.sinc(cutoff * distance) * window, 0.0)
    return (taps / taps.sum(axis=0)).astype(np.float32), 2 * half


class Resamplers:
    """Resamplers of the rows of a table, made as rows come up; rates that are equal cost nothing."""

    def __init__(self, from_rate: int, to_rate: int, capacity: int) -> None:
        self._same = from_rate == to_rate
        if not self._same:
            self._taps, history = _matrix(from_rate, to_rate)
            self._history = np.zeros((capacity, history), np.float32)

    def run(self, rows: Ints, frames: Samples) -> Samples:
        """frames: int16[n, from_rate // 50] of those rows (each once) -> int16[n, to_rate // 50]."""
        if self._same or not len(rows):
            return frames
        stretch = np.concatenate([self._history[rows], frames.astype(np.float32)], axis=1)
        self._history[rows] = stretch[:, -self._history.shape[1] :]
        return np.clip(np.rint(stretch @ self._taps), -32768, 32767).astype(np.int16)

    def drop(self, row: int) -> None:
        """The row is free: the next stream in it starts anew."""
        if not self._same:
            self._history[row] = 0.0
