"""What a server without calls takes."""

from __future__ import annotations

import time

from bench.server import calm_cpu, server
from bench.stalls import StallMonitor
from bench.table import Figures, Row

REACH = 0.01


def measure(quick: bool) -> Figures:
    with StallMonitor() as stalls, server() as served:
        time.sleep(2)
        cpu = calm_cpu(served, 5.0 if quick else 20.0, stalls)
    return Figures([Row("a server with no call", f"under {REACH:.0%} of a core", f"{cpu:.2%}", cpu < REACH)])
