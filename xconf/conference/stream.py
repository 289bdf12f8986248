"""One numbered stream of a node's events: to hear of them, `subscribe`; to catch up, `after` a number."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from xconf.conference.events import Event

log = logging.getLogger(__name__)

KEPT = 10_000  # events that can be caught up with

Subscriber = Callable[[Event], None]


class Stream:
    """time: gives the Unix time (s), as events have it. `last` is the number of the latest event, 0 before the first."""

    def __init__(self, time: Callable[[], float], kept: int = KEPT) -> None:
        self.time = time
        self._kept = kept
        self._recent: list[Event] = []  # a ring: that of number n is at (n - 1) % kept
        self._subscribers: list[Subscriber] = []
        self.last = 0

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self.last - len(self._recent) + 1

    def publish(self, kind: type[Event], **fields: Any) -> None:
        """Number an event, keep it, and tell every subscriber. One that fails is logged, and goes on being told."""
        event = kind(sequence=self.last + 1, time=self.time(), **fields)
        if self.last < self._kept:
            self._recent.append(event)
        else:
            self._recent[self.last % self._kept] = event
        self.last += 1
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber of events failed at %s", event.kind)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell it of every event from now on; returns what ends that."""
        self._subscribers.append(subscriber)

        def end() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return end

    def after(self, sequence: int, most: int = KEPT) -> list[Event]:
        """The events that follow a number, at most so many; those that are not kept any more are missing."""
        begin = max(sequence, self.first - 1)
        return [self._recent[at % self._kept] for at in range(begin, min(self.last, begin + most))]
