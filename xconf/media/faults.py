"""Faults of the parts of a tick: what fails costs the others nothing, and does not fill the log."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)

LOGGED = 500  # of faults of one kind the first is logged, and then one in so many


class Faults:
    """Counts faults by kind, `fault_<kind>`."""

    def __init__(self, counters: Counter[str]) -> None:
        self._counters = counters

    @contextmanager
    def kept(self, kind: str) -> Iterator[None]:
        """A part of the tick: an exception ends that part alone."""
        try:
            yield
        except Exception:
            count = self._counters[f"fault_{kind}"]
            self._counters[f"fault_{kind}"] += 1
            if count % LOGGED == 0:
                log.exception("a fault in the sound (%s), the %d. of its kind", kind, count + 1)
