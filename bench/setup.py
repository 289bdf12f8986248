"""Calls set up: how many a second with quick answers, and how fast all are hung up at once."""

from __future__ import annotations

import time
from typing import Any

from bench.crowd import crowd
from bench.plot import Plot
from bench.server import server
from bench.table import Figures, Row

ANSWER, RATE, HANG_UP = 0.2, 400, 10.0  # s, calls/s, s
RATES = (100, 200, 300, 400, 600, 800, 1000, 1200)


def at_rate(rate: int, calls: int) -> dict[str, Any]:
    """What the callers say when so many call at that rate; the server on one core, they on another."""
    with server(core=0) as _, crowd(calls, rate=rate, hold="1s", core=1) as callers:
        result = callers.end()
    result["reached"] = result["failed"] == 0 and result["set_up_99"] <= ANSWER
    return result


def hang_up(calls: int) -> Row:
    with server() as served, crowd(calls, rate=200) as callers:
        time.sleep(2)
        missed = served.ask("status")["ticks_missed"]
        result = callers.hang_up()
        missed = served.ask("status")["ticks_missed"] - missed
        left = served.left()
    took, answered = result["hung_up_in"], result["unanswered_byes"] == 0
    left_over = ", ".join(f"{count} {name}" for name, count in left.items()) or "nothing"
    return Row(
        f"{calls} callers hang up at once: until the last is answered and all is freed",
        f"under {HANG_UP:.0f} s, nothing leaked, no tick lost",
        f"{took:.1f} s, {left_over} left, {missed} ticks lost",
        took < HANG_UP and answered and not left and not missed,
        f"{result['unanswered_byes']} BYEs unanswered, {result['repeated_byes']} repeated",
    )


def measure(quick: bool) -> Figures:
    seconds, rates, calls = (4, RATES[1:6:2], 1000) if quick else (10, RATES, 5000)
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
        f"{told}; the callers have the other core",
    )
    plot = Plot("setup", "Answers to calls, by rate", "calls a second", "ms")
    plot.curves = {
        "99 %": [(rate, result["set_up_99"] * 1000) for rate, result in tried],
        "median": [(rate, result["set_up_median"] * 1000) for rate, result in tried],
    }
    return Figures([row, hang_up(calls)], [plot])
