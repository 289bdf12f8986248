"""Streams whose rate differs from their conference's, all of them at once: a matrix product per tick.

A library's streaming resampler holds 60 ms and more back, which a conversation can't spare; this filter holds back 2 ms.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_HALF_WIDTH = 16  # of the filter, in samples of the lower rate: 2 ms at 8 kHz, which is also the delay
_KAISER_BETA = 8.0


@functools.cache
def _taps(from_rate: int, to_rate: int) -> tuple[Wave, int, int]:
    """A filter that makes so many samples out of each few: float32[width, made], the few, and half the filter's length.

    A windowed sinc, cut off at the lower of both Nyquist frequencies. One set of samples that are made needs `width` samples,
    from `half` before the few until `half` after them.
    """
    common = math.gcd(from_rate, to_rate)
    few, made = from_rate // common, to_rate // common
    cutoff = min(1.0, to_rate / from_rate)
    half = round(_HALF_WIDTH / cutoff)
    centre = np.arange(made) * (few / made) + half
    distance = np.arange(few + 2 * half)[:, None] - centre
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, None))) / np.i0(_KAISER_BETA)
    taps = np.where(np.abs(distance) < half, cutoff * np.sinc(cutoff * distance) * window, 0.0)
    return (taps / taps.sum(axis=0)).astype(np.float32), few, half


class Resamplers:
    """Resamplers of the rows of a table, made as rows come up; rates that are equal cost nothing.

    channels: whose samples lie side by side in a frame.
    """

    def __init__(self, from_rate: int, to_rate: int, capacity: int, channels: int = 1) -> None:
        self._same = from_rate == to_rate
        self._channels = channels
        if not self._same:
            self._taps, self._few, half = _taps(from_rate, to_rate)
            self._history = np.zeros((capacity, channels, 2 * half), np.float32)

    def run(self, rows: Ints, frames: Samples) -> Samples:
        """frames: int16[n, from_rate // 50 * channels] of those rows (each once) -> int16[n, to_rate // 50 * channels]."""
        if self._same or not len(rows):
            return frames
        waves = frames.reshape(len(rows), -1, self._channels).transpose(0, 2, 1).astype(np.float32)
        stretch = np.concatenate([self._history[rows], waves], axis=2)
        self._history[rows] = stretch[:, :, -self._history.shape[2] :]
        width, _ = self._taps.shape
        windows = np.lib.stride_tricks.sliding_window_view(stretch, width, axis=2)[:, :, :: self._few]
        resampled = np.ascontiguousarray(windows).reshape(-1, width) @ self._taps
        made = np.clip(np.rint(resampled), -32768, 32767).astype(np.int16)
        return made.reshape(*waves.shape[:2], -1).transpose(0, 2, 1).reshape(len(rows), -1)

    def follow(self, row: int, before: int) -> None:
        """The row goes on where the other one is."""
        if not self._same:
            self._history[row] = self._history[before]

    def drop(self, row: int) -> None:
        """The row is free: the next stream in it starts anew."""
        if not self._same:
            self._history[row] = 0.0


def with_channels(frames: Samples, have: int, want: int) -> Samples:
    """Frames of one channel in both of two, or of two channels mixed down to one (the mean of both)."""
    if have == want:
        return frames
    if have == 1:
        return np.repeat(frames, 2, axis=-1)
    pairs = frames.reshape(*frames.shape[:-1], -1, 2)
    mixed: Samples = (pairs.sum(axis=-1, dtype=np.int32) // 2).astype(np.int16)
    return mixed
