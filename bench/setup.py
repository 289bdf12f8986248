"""Calls set up: how many a second with quick answers, and how fast all are hung up at once."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crowd import Crowd, crowd
from bench.plot import Plot
from bench.server import Server, server
from bench.stalls import StallMonitor
from bench.table import Figures, Row
from bench.witness import punctuality

ANSWER, RATE, HANG_UP = 0.2, 400, 10.0  # s, calls/s, s
RATES = (200, 300, 400, 500, 600, 800, 1000, 1200)
SETTLED = 1.0  # s after the last call is gone in which ticks may still be lost on its account


def at_rate(rate: int, calls: int) -> dict[str, Any]:
    """What the callers say when so many call at that rate; the server on one core, they on another."""
    with server(core=0) as _, crowd(calls, rate=rate, hold="1s", core=1) as callers:
        result = callers.end()
    result["reached"] = result["failed"] == 0 and result["set_up_99"] <= ANSWER
    return result


def measure(quick: bool) -> Figures:
    seconds, rates = (4, (200, 400)) if quick else (10, RATES)
    tried = [(rate, at_rate(rate, rate * seconds)) for rate in rates]
    best = max((rate for rate, result in tried if result["reached"]), default=0)
    told = "; ".join(
        f"{rate}/s: 99 % within {result['set_up_99'] * 1000:.0f} ms, {result['failed']} failed, "
        f"{result['repeated']} repeated"
        for rate, result in tried
    )
    row = Row(
        f"calls a second, for {seconds} s, with answers (99 %) within {ANSWER * 1000:.0f} ms, none failed; on one core",
        f"at least {RATE}",
        f"{best}",
        best >= RATE,
        f"{told}; nobody hangs up meanwhile, so the last are answered while all others are sent sound; the callers have the "
        "other core",
    )
    plot = Plot("setup", "Answers to calls, by rate", "calls a second", "ms")
    plot.curves = {
        "99 %": [(rate, result["set_up_99"] * 1000) for rate, result in tried],
        "median": [(rate, result["set_up_median"] * 1000) for rate, result in tried],
    }
    return Figures([row], [plot])


def hang_ups(quick: bool) -> Figures:
    """All calls ended at once, both ways."""
    calls, rate = (1000, 300.0) if quick else (5000, 200.0)
    callers_do = f"{calls} callers hang up at once: until the last is answered and all is freed"
    server_does = f"a conference of {calls} ended by `xconf ctl CONF term`: until the last is gone and all is freed"
    return Figures([ended(calls, rate, callers_do, by_callers), ended(calls, rate, server_does, by_server)])


@dataclass(slots=True, frozen=True)
class Gone:
    """How all calls ended: s until all was freed, what was not, whether all calls heard of it, what else there is to say."""

    took: float
    left: str
    whole: bool
    note: str


def by_callers(served: Server, callers: Crowd) -> Gone:
    """Each caller sends a BYE."""
    began = time.monotonic()
    result = callers.hang_up()
    left = _freed(served)
    note = f"{result['unanswered_byes']} BYEs unanswered, {result['repeated_byes']} repeated"
    note += f"; the last was answered after {result['hung_up_in']:.1f} s"
    return Gone(time.monotonic() - began, left, not result["unanswered_byes"], note)


def by_server(served: Server, callers: Crowd) -> Gone:
    """The server sends the BYEs."""
    before, began = served.ask("counters"), time.monotonic()
    served.ask("30", "term")
    left = _freed(served)
    took = time.monotonic() - began
    time.sleep(SETTLED)
    repeated = served.ask("counters").get("sip.retransmitted", 0) - before.get("sip.retransmitted", 0)
    result = callers.hang_up()
    told = result["failures"].get("hung up by the server", 0)
    return Gone(took, left, told == result["answered"], f"{told} callers were told, {repeated} BYEs repeated")


def ended(calls: int, rate: float, what: str, end: Callable[[Server, Crowd], Gone]) -> Row:
    """So many calls, set up at that rate, that all end at once."""
    with tempfile.TemporaryDirectory(prefix="xconf-ticks-") as folder, StallMonitor() as stalls:
        ticks = Path(folder) / "ticks"
        with server(ticks=ticks) as served:
            with crowd(calls, rate=rate) as callers:
                time.sleep(2)
                began = time.monotonic()
                gone = end(served, callers)
            time.sleep(SETTLED)
            over = time.monotonic()
        lateness = punctuality(ticks, began, over, stalls.sure())
    return Row(
        what,
        f"under {HANG_UP:.0f} s, nothing leaked, no tick lost",
        f"{gone.took:.1f} s, {gone.left or 'nothing'} left, {lateness.missed} ticks lost",
        gone.took < HANG_UP and gone.whole and not gone.left and not lateness.missed,
        f"{gone.note}; ticks late up to {lateness.worst:.0f} ms",
        worse=float("inf") if gone.left else 1.0,
    )


def _freed(served: Server) -> str:
    """Wait until all is freed, or for the time that it may take; what is left then."""
    until = time.monotonic() + HANG_UP
    while (left := served.left()) and time.monotonic() < until:
        time.sleep(0.05)
    return ", ".join(f"{count} {name}" for name, count in left.items())
