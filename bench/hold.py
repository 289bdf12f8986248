"""Many calls for long: packets lost at the callers, how punctual the server's tick is, and where it ends."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from bench.crowd import crowd
from bench.server import Server, server
from bench.stalls import StallMonitor
from bench.table import Figures, Row

LOSS, KNEE_LOSS, KNEE = 0.0001, 0.001, 10_000
LATE_99, LATE_WORST = 5.0, 20.0  # ms
LOOK_EVERY = 30.0  # s; the server remembers the lateness of a minute
STEPS = (5_000, 7_500, 10_000, 12_500, 15_000)


@dataclass(slots=True)
class Punctuality:
    """Of the server's ticks, over a time."""

    high: float = 0.0  # ms: the worst 99th percentile of a look
    worst: float = 0.0
    missed: int = 0


def watch(served: Server, seconds: float) -> Punctuality:
    """Look at the ticks now and then. What came before counts in the first look, so set-up is over for a minute then."""
    found = Punctuality()
    start = served.ask("status")["ticks_missed"]
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(LOOK_EVERY, left))
        status = served.ask("status")
        found.high = max(found.high, status["lateness_99"])
        found.worst = max(found.worst, status["lateness_worst"])
        found.missed = status["ticks_missed"] - start
    return found


def loss(result: dict[str, Any]) -> float:
    """The share of packets lost at the callers that were listened to."""
    heard = result["measured"]
    lost, expected = int(heard["expected"] - heard["received"]), int(heard["expected"])
    return max(0, lost) / max(1, expected)


def hold(calls: int, rate: float, seconds: float, settle: float) -> tuple[dict[str, Any], Punctuality, str]:
    with StallMonitor() as stalls, server() as served, crowd(calls, "--measure", "500", rate=rate) as callers:
        time.sleep(settle)
        punctual = watch(served, seconds)
        result = callers.hang_up()
        return result, punctual, stalls.describe()


def measure(quick: bool) -> Figures:
    calls, seconds, settle = (1000, 10.0, 2.0) if quick else (5000, 300.0, 61.0)
    result, punctual, stalls = hold(calls, 200, seconds, settle)
    lost = loss(result)
    told = f"{result['failed']} failed, {result['repeated']} requests repeated"
    rows = [
        Row(
            f"{calls} calls set up at 200 calls/s, held {seconds:.0f} s: packets lost",
            f"at most {LOSS:.2%}, without one failure or retransmission",
            f"{lost:.4%}; {told}",
            lost <= LOSS and not result["failed"] and not result["repeated"],
            f"each call was sent {result['packets_per_call']:.2f} packets/s; from the first call to the last",
        ),
        Row(
            "tick lateness meanwhile, 99 % / worst",
            f"{LATE_99:.0f} ms / {LATE_WORST:.0f} ms",
            f"{punctual.high:.1f} ms / {punctual.worst:.1f} ms, {punctual.missed} ticks lost",
            punctual.high <= LATE_99 and punctual.worst <= LATE_WORST and not punctual.missed,
            stalls,
        ),
    ]
    return Figures(rows if quick else [*rows, _knee()])


def _knee() -> Row:
    """The largest number of calls at which next to nothing is lost."""
    told, best = [], 0
    for calls in STEPS:
        result, punctual, _ = hold(calls, 200, 20.0, 5.0)
        lost = loss(result)
        told.append(f"{calls:,}: {lost:.3%} lost, {punctual.missed} ticks missed, {result['failed']} failed")
        if lost >= KNEE_LOSS or result["failed"]:
            break
        best = calls
    return Row(
        "calls held on the machine together with the callers at less than 0.1 % loss",
        f"{KNEE:,} or more",
        f"{best:,}",
        best >= KNEE,
        "; ".join(told),
    )
