"""Listeners with different codecs in one conference: each distinct sound is encoded once, however many hear it."""

from __future__ import annotations

import contextlib

from bench.crowd import crowd
from bench.server import server
from bench.table import Figures, Row

CODECS = ("pcmu", "pcma", "l16/8000")


def measure(quick: bool) -> Figures:
    listeners = 50 if quick else 300
    with server() as served, contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(crowd(listeners, "--codec", codec, speakers=int(number == 0)))
            for number, codec in enumerate(CODECS)
        ]
        encodes = served.ask("status")["held"]["media"]["outputs"]
        for some in callers:
            some.hang_up()
    least = len(CODECS) + 1
    row = Row(
        f"encodes per tick, {len(CODECS)} x {listeners} callers with {', '.join(CODECS)}, one of whom speaks",
        f"{least}: one per distinct output",
        f"{encodes}",
        encodes == least,
        "one for the listeners of each codec, and the speaker's own, which is without himself",
    )
    return Figures([row])
