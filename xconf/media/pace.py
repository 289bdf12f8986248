"""Packet times: how much sound of an output goes into a packet, when a tick brings 20 ms of it.

Packets of all outputs of one packet time lie alike: packet n of a time line holds the sound from n * ptime on. So legs
share packets whatever their packet time, and move from one output to another without a jump.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
TICK = 20  # ms
PTIMES = (10, 20, 30, 40, 60)


class Pace:
    """Cuts the frames of outputs (rows) into packets of `ptime` ms. per_ms: samples, of all channels together."""

    def __init__(self, ptime: int, per_ms: int, capacity: int) -> None:
        self.ptime = ptime
        self.parts = max(1, TICK // ptime)
        """Packets of a tick, at most."""
        self._per_ms = per_ms
        # What waits for its packet to be full.
        self._held = np.zeros((capacity if ptime > TICK else 0, ptime * per_ms), np.int16)

    def first(self, tick: int) -> int:
        """The number of the first packet that is complete not before this tick."""
        return tick * TICK // self.ptime

    def due(self, tick: int) -> int:
        """How many packets this tick completes."""
        return self.first(tick + 1) - self.first(tick)

    def cut(self, rows: Ints, frames: Samples, tick: int) -> Iterator[Samples]:
        """The sound of each packet that the tick completes, int16[n, ptime * per_ms]. frames: int16[n, 20 * per_ms]."""
        if self.ptime == TICK:
            yield frames
        elif self.ptime < TICK:
            yield from np.split(frames, self.parts, axis=1)
        else:
            yield from self._hold(rows, frames, tick)

    def _hold(self, rows: Ints, frames: Samples, tick: int) -> Iterator[Samples]:
        start = tick * TICK % self.ptime * self._per_ms
        room = self._held.shape[1] - start
        self._held[rows, start : start + frames.shape[1]] = frames[:, :room]
        if self.due(tick):
            yield self._held[rows]
            self._held[rows] = 0
            self._held[rows, : frames.shape[1] - room] = frames[:, room:]

    def follow(self, row: int, before: int) -> None:
        """The row is new, and goes on for a listener who heard another one until now."""
        if len(self._held):
            self._held[row] = self._held[before]

    def drop(self, row: int) -> None:
        """The row is free."""
        if len(self._held):
            self._held[row] = 0
