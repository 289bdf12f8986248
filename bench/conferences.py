"""Many small conferences: three members each, all of them speaking."""

from __future__ import annotations

import time

from bench.crowd import SETTLE, crowd
from bench.server import calm_cpu, server
from bench.stalls import StallMonitor
from bench.table import Figures, Row

MEMBERS, REACH = 3, 500


def measure(quick: bool) -> Figures:
    count, seconds = (100, 4.0) if quick else (500, 10.0)
    calls = MEMBERS * count
    words = ("--conferences", str(count))
    with (
        StallMonitor() as stalls,
        server() as served,
        crowd(calls, *words, speakers=calls, conference="{}") as callers,
    ):
        time.sleep(SETTLE)
        cpu = calm_cpu(served, seconds, stalls)
        result = callers.hang_up()
    heard = result["measured"]
    per_core = count / cpu
    row = Row(
        f"conferences of {MEMBERS} speaking members per core, measured with {count}",
        f"at least {REACH}",
        f"{per_core:,.0f}",
        per_core >= REACH,
        f"each call was sent {result['packets_per_call']:.2f} packets/s; {heard['unheard']} of {heard['callers']} "
        f"callers listened to heard nothing, silent for {100 * heard['silent'] / max(1, heard['judged']):.2f} % of the time",
    )
    return Figures([row])
