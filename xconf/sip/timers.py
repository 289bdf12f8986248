"""All timers of a user agent in one heap. Time is a number that is handed in; nothing here knows a clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Any

_SWEEP_ABOVE = 1024


class Timer:
    """One pending call. `cancel` is cheap; the heap forgets the entry later."""

    __slots__ = ("_timers", "args", "call", "when")

    def __init__(self, timers: Timers, when: float, call: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.when = when
        self.call: Callable[..., None] | None = call
        self.args = args
        self._timers = timers

    def cancel(self) -> None:
        """It will not fire. Again, or after it has fired, does nothing."""
        if self.call is not None:
            self.call, self.args = None, ()
            self._timers._cancelled()


class Timers:
    """Fires in the order of time, and of setting where the times are the same. len() is the number of pending ones."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def at(self, when: float, call: Callable[..., None], *args: Any) -> Timer:
        """Call `call(now, *args)` at `when` (seconds)."""
        timer = Timer(self, when, call, args)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        return timer

    def next_wake(self) -> float | None:
        """When the next timer is due, or None."""
        self._drop_dead()
        return self._heap[0][0] if self._heap else None

    def wake(self, now: float) -> None:
        """Fire all that is due. What fires may set more: those due already fire too."""
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if timer.call is None:
                self._dead -= 1
                continue
            call, args = timer.call, timer.args
            timer.call, timer.args = None, ()
            call(now, *args)

    def _cancelled(self) -> None:
        self._dead += 1
        if self._dead > _SWEEP_ABOVE and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].call is not None]
            heapq.heapify(self._heap)
            self._dead = 0

    def _drop_dead(self) -> None:
        while self._heap and self._heap[0][2].call is None:
            heapq.heappop(self._heap)
            self._dead -= 1
