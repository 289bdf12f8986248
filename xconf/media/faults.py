"""Faults of the parts of a tick: what fails costs the others nothing, and does not fill the log."""

from __future__ import annotations

import logging
from collections import Counter
from types import TracebackType

log = logging.getLogger(__name__)

LOGGED = 500  # of faults of one kind the first is logged, and then one in so many


class Kept:
    """A part of the tick: an exception ends that part alone. Entered again at each tick."""

    __slots__ = ("_counters", "_kind")

    def __init__(self, counters: Counter[str], kind: str) -> None:
        self._counters, self._kind = counters, kind

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        name = f"fault_{self._kind}"
        count = self._counters[name]
        self._counters[name] += 1
        if count % LOGGED == 0:
            log.error("a fault in the sound (%s), the %d. of its kind", self._kind, count + 1, exc_info=error)
        return True


class Faults:
    """Counts faults by kind, `fault_<kind>`."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters
        self._kept: dict[str, Kept] = {}

    def kept(self, kind: str) -> Kept:
        """To be entered around the part of that name."""
        kept = self._kept.get(kind)
        if kept is None:
            kept = self._kept[kind] = Kept(self._counters, kind)
        return kept
