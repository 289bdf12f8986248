"""Time that goes on when it is told to, for thousands of timers."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Any


class Timer:
    """A call that will be made, as Twisted's IDelayedCall."""

    __slots__ = ("_arguments", "_call")

    def __init__(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._call: Callable[..., Any] | None = call
        self._arguments = arguments

    def cancel(self) -> None:
        self._call = None

    def active(self) -> bool:
        return self._call is not None

    def fire(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call(*self._arguments)


class VirtualClock:
    """As Twisted's IReactorTime. What is due at one moment happens in the order in which it was asked for."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._number = 0
        self._due: list[tuple[float, int, Timer]] = []

    def seconds(self) -> float:
        return self._now

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Timer:
        timer = Timer(callable, args)
        self._number += 1
        heapq.heappush(self._due, (self._now + delay, self._number, timer))
        return timer

    def run(self, seconds: float) -> None:
        """Let so much time go by."""
        end = self._now + seconds
        while self._due and self._due[0][0] <= end:
            self._now, _, timer = heapq.heappop(self._due)
            timer.fire()
        self._now = end
