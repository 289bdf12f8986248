"""Rings of sound, one per voice, in one array: written and read a whole batch of voices at a time.

A ring has margins before and behind, in which its end and its beginning lie a second time. So no read and no write
wraps, and numpy copies each as one piece, through a view of all windows of its length.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]
Bools = npt.NDArray[np.bool_]
NEVER = 0  # no chunk has this number
_LAST = np.iinfo(np.int64).max


class Rings:
    """`capacity` rings of `size` samples. Reads are `frame` samples long, writes at most `longest`.

    Positions are counted without end, from `chunk` on; a ring holds what was written last at each place. What is there is
    known by the chunk.
    """

    def __init__(self, capacity: int, size: int, chunk: int, *, frame: int, longest: int) -> None:
        self._chunk, self._frame = chunk, frame
        self._pcm = _Table(np.int16, capacity, size, frame, longest)
        # The number of the chunk that lies at each place.
        self._numbers = _Table(np.int64, capacity, size // chunk, frame // chunk + 1, longest // chunk)

    def clear(self, voice: int) -> None:
        self._numbers.ring[voice] = NEVER

    def holds(self, voices: Ints, position: Ints) -> Bools:
        """Whether the chunk at each position is there."""
        chunk = self._nearest(position)
        there: Bools = self._numbers.get(voices, chunk, 1)[:, 0] == chunk
        return there

    def write(self, voices: Ints, position: Ints, samples: Samples) -> None:
        """samples: int16[n, k], at those positions."""
        self._pcm.put(voices, position, samples)
        chunk = self._nearest(position)
        self._numbers.put(voices, chunk, chunk[:, None] + np.arange(-(-samples.shape[1] // self._chunk)))

    def read(self, voices: Ints, position: Ints) -> tuple[Samples, Bools]:
        """int16[n, frame], from those positions on; and which of them are wholly there."""
        chunk, offset = np.divmod(position, self._chunk)
        count = self._frame // self._chunk
        there = self._numbers.get(voices, chunk, count + 1) == chunk[:, None] + np.arange(count + 1)
        whole = there[:, :count].all(axis=1) & (there[:, count] | (offset == 0))
        return self._pcm.get(voices, position, self._frame), whole

    def first(self, voices: Ints, position: Ints) -> Ints:
        """The first position from each one on at which there is sound; itself when there is none."""
        numbers = self._numbers.ring[voices]
        later = np.where(numbers >= (position // self._chunk)[:, None], numbers, _LAST).min(axis=1)
        return np.where(later == _LAST, position, np.maximum(position, later % _LAST * self._chunk))

    def _nearest(self, position: Ints) -> Ints:
        return (position + self._chunk // 2) // self._chunk


class _Table:
    """The rings of one kind of item."""

    def __init__(self, kind: type[np.signedinteger[Any]], capacity: int, size: int, frame: int, longest: int) -> None:
        self._size, self._frame, self._before = size, frame, longest
        self._items = np.zeros((capacity, longest + size + frame + longest), kind)
        self.ring = self._items[:, longest : longest + size]
        self._views: dict[int, npt.NDArray[Any]] = {}

    def get(self, rows: Ints, number: Ints, length: int) -> npt.NDArray[Any]:
        """Those rows' items from `number` on."""
        items: npt.NDArray[Any] = self._windows(length)[rows, self._before + number % self._size]
        return items

    def put(self, rows: Ints, number: Ints, items: npt.NDArray[Any]) -> None:
        """items: [n, length], to those rows from `number` on."""
        length = items.shape[1]
        windows, place = self._windows(length), number % self._size
        windows[rows, self._before + place] = items
        for again, by in ((place + length > self._size, -self._size), (place < self._frame, self._size)):
            if again.any():
                windows[rows[again], self._before + place[again] + by] = items[again]

    def _windows(self, length: int) -> npt.NDArray[Any]:
        """A view of all windows of that length, [row, start, length]."""
        if length not in self._views:
            rows, columns = self._items.shape
            self._views[length] = np.lib.stride_tricks.as_strided(
                self._items, (rows, columns - length + 1, length), (*self._items.strides, self._items.itemsize)
            )
        return self._views[length]
