"""What a server without calls takes."""

from __future__ import annotations

import time

from bench.server import server
from bench.table import Figures, Row

REACH = 0.01


def measure(quick: bool) -> Figures:
    with server() as served:
        time.sleep(2)
        before, began = served.cpu(), time.monotonic()
        time.sleep(5 if quick else 20)
        cpu = (served.cpu() - before) / (time.monotonic() - began)
    return Figures([Row("a server with no call", f"under {REACH:.0%} of a core", f"{cpu:.2%}", cpu < REACH)])
