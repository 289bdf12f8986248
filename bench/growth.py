"""Calls that come and go for long: memory that is not given back."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bench.calm import Samples
from bench.crowd import crowd
from bench.server import server
from bench.table import Figures, Row

EACH, RATE = 2.0, 100.0  # s a call lasts, calls a second
SETTLED, LONG = 120.0, 1200.0  # s until all tables have their size, and s from then on
NOISE = 2 << 20
"""Octets: what the allocator's own housekeeping moves. In 20 minutes it is 17 octets for each of 120,000 calls."""


@dataclass(slots=True, frozen=True)
class Growth:
    """Octets before, and more after; calls answered and failed; what the server still held when all were over."""

    before: float
    grown: float
    answered: int
    failed: int
    left: dict[str, int]


def grow(warm_up: float, seconds: float) -> Growth:
    """Calls come and go. RFC 3261 has much kept for 32 s after its end: memory grows that long, whatever comes of it."""
    with server() as served, crowd(int(EACH * RATE), "--each", f"{EACH}s", rate=RATE) as callers:
        time.sleep(warm_up)
        seen = np.zeros(round(seconds))
        for second in range(len(seen)):
            seen[second] = served.memory()
            time.sleep(1)
        result = callers.hang_up()
        time.sleep(2)
        before, grown = growth(seen)
        return Growth(before, grown, result["answered"], result["failed"], served.left())


def growth(seen: Samples) -> tuple[float, float]:
    """Of memory, looked at each second: the median of the first tenth, and how much more that of the last is."""
    tenth = max(1, len(seen) // 10)
    before = float(np.median(seen[:tenth]))
    return before, float(np.median(seen[-tenth:])) - before


def measure(quick: bool) -> Figures:
    warm_up, seconds = (40.0, 10.0) if quick else (SETTLED, LONG)
    found = grow(warm_up, seconds)
    row = Row(
        f"calls of {EACH:.0f} s come and go, {RATE:.0f} a second, for {seconds / 60:.1f} min: memory growth",
        f"none (noise: {NOISE >> 20} MB)",
        f"{found.grown / 2**20:+.1f} MB, {', '.join(found.left) or 'nothing'} left",
        None if quick else found.grown <= NOISE and not found.left,
        f"{found.answered} calls, {found.failed} failed; {found.before / 2**20:.0f} MB before",
    )
    return Figures([row])
