"""CPU time of a piece of work, without a network around it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

ROUNDS = 5


def spent(work: Callable[[], object]) -> float:
    """CPU seconds of this thread, the system's work for it with them."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def median_of(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Of several runs."""
    return statistics.median(spent(work) for _ in range(rounds))
