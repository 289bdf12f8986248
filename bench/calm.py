"""Time in slices of a second, so that those in which the machine stood still can be left out of a figure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from bench.stalls import Stall

SLICE = 1.0  # s
MARGIN = 0.1  # s around a stall that count as stalled: buffers make its effect come late

Samples = npt.NDArray[np.float64]
"""float64[n, k]: at n moments, the time (s of CLOCK_MONOTONIC) and k - 1 counters that grow."""


def watch(look: Callable[[], Iterable[float]], seconds: float) -> Samples:
    """What `look` says now, at the end, and each second between."""
    ends = time.monotonic() + seconds
    seen = [[time.monotonic(), *look()]]
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(SLICE, left))
        seen.append([time.monotonic(), *look()])
    return np.array(seen)


def calm(samples: Samples, stalls: Iterable[Stall]) -> list[float]:
    """The seconds without stalls among the samples, and by how much each counter grew in them."""
    known = list(stalls)
    grown = np.diff(samples, axis=0)
    for span, (start, end) in enumerate(zip(samples[:-1, 0], samples[1:, 0], strict=True)):
        if any(stall.start - MARGIN < end and start < stall.end + MARGIN for stall in known):
            grown[span] = 0
    total: list[float] = grown.sum(axis=0).tolist()
    return total
