"""Calls that come and go for long: memory that is not given back."""

from __future__ import annotations

import time

from bench.crowd import crowd
from bench.server import server
from bench.table import Figures, Row

EACH, RATE = 2.0, 100.0  # s a call lasts, calls a second
ALLOWED = 2 << 20  # octets: what a garbage collector leaves lying about


def measure(quick: bool) -> Figures:
    calls = int(EACH * RATE)
    # RFC 3261 keeps what ended for 32 s: before that, memory only grows.
    warm_up, seconds = (40.0, 10.0) if quick else (120.0, 1200.0)
    with server() as served, crowd(calls, "--each", f"{EACH}s", rate=RATE) as callers:
        time.sleep(warm_up)
        before = served.memory()
        time.sleep(seconds)
        after = served.memory()
        result = callers.hang_up()
        time.sleep(2)
        left = served.left()
    grown = after - before
    row = Row(
        f"calls of {EACH:.0f} s come and go, {RATE:.0f} a second, for {seconds / 60:.1f} min: memory growth",
        "none",
        f"{grown / 2**20:+.1f} MB, {', '.join(left) or 'nothing'} left",
        None if quick else grown <= ALLOWED and not left,
        f"{result['answered']} calls, {result['failed']} failed; {before / 2**20:.0f} MB before",
    )
    return Figures([row])
