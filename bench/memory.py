"""What a call takes of memory."""

from __future__ import annotations

import time

from bench.crowd import crowd
from bench.server import server
from bench.table import Figures, Row

REACH = 25 * 1024  # octets


def measure(quick: bool) -> Figures:
    calls, rate = (1000, 300.0) if quick else (5000, 200.0)
    with server() as served:
        with crowd(50, conference="1") as callers:  # what the first calls ever bring along is not theirs alone
            callers.hang_up()
        before = served.memory()
        with crowd(calls, rate=rate) as callers:
            time.sleep(2)
            during = served.memory()
            callers.hang_up()
        with crowd(calls, rate=rate) as callers:
            time.sleep(2)
            again = served.memory()
            callers.hang_up()
    per_call = (during - before) / calls
    row = Row(
        f"resident memory per call, with {calls} calls",
        f"at most {REACH // 1024} KB",
        f"{per_call / 1024:.1f} KB",
        per_call <= REACH,
        f"{before / 2**20:.0f} MB without calls, {during / 2**20:.0f} MB with; the same calls a second time: "
        f"{again / 2**20:.0f} MB",
        worse=per_call / REACH,
    )
    return Figures([row])
