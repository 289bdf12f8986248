"""Listeners with different codecs in one conference: each distinct sound is encoded once, however many hear it."""

from __future__ import annotations

import contextlib
import time

from bench.crowd import SETTLE, crowd
from bench.server import WIDE, server
from bench.table import Figures, Row
from xconf.media.catalogue import usual
from xconf.phone.load_options import CODECS

RATE = 16000  # Hz: conferences of that rate take every codec that is in
NEAR = 0.15  # of the value: two looks at counters do not come at one moment


def measure(quick: bool) -> Figures:
    listeners, seconds = (30, 2.0) if quick else (300, 10.0)
    codecs = [name for name in usual(RATE) if name in CODECS]
    with server() as served, contextlib.ExitStack() as stack:
        callers = [
            stack.enter_context(crowd(listeners, "--codec", codec, speakers=int(number == 0), conference=WIDE))
            for number, codec in enumerate(codecs)
        ]
        time.sleep(SETTLE)
        ticks, encoded = served.ask("status")["ticks"], served.ask("counters")["media.encoded"]
        time.sleep(seconds)
        ticks, encoded = served.ask("status")["ticks"] - ticks, served.ask("counters")["media.encoded"] - encoded
        outputs = served.ask("status")["held"]["media"]["outputs"]
        for some in callers:
            some.hang_up()
    least, encodes = len(codecs) + 1, encoded / ticks
    row = Row(
        f"encodes per tick, {len(codecs)} x {listeners} callers with {', '.join(codecs)}, one of whom speaks",
        f"{least}: one per distinct output",
        f"{outputs}",
        outputs == least and encodes < least * (1 + NEAR),
        f"one for the listeners of each codec, and the speaker's own, which is without himself; {encodes:.1f} counted",
        worse=max(outputs, encodes) / least,
    )
    return Figures([row])
