"""Many calls for long: packets lost at the callers, how punctual the server's tick is, and where it ends."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.crowd import crowd
from bench.server import server
from bench.stalls import StallMonitor
from bench.table import Figures, Row
from bench.witness import Punctuality, punctuality

LOSS, KNEE_LOSS, KNEE = 0.0001, 0.001, 10_000
LATE_99, LATE_WORST = 5.0, 20.0  # ms
RATE, MEASURED = 200, 500  # calls a second; callers that are listened to
STEPS = range(6_000, 20_000, 2_000)


@dataclass(slots=True, frozen=True)
class Held:
    """What came of calls that were held. dialling, held: the ticks until all were up, and from then on; cpu, callers: CPU
    seconds per second of the server and of the callers while all were up.
    """

    result: dict[str, Any]
    dialling: Punctuality
    held: Punctuality
    cpu: float
    callers: float
    stalls: str

    @property
    def loss(self) -> float:
        """The share of packets lost at the callers listened to, without those of ticks that fell into stalls of the machine."""
        heard = self.result["measured"]
        stalled = (self.dialling.stalled + self.held.stalled) * int(heard["callers"])
        lost = int(heard["expected"]) - int(heard["received"]) - stalled
        return max(0, lost) / max(1, int(heard["expected"]))

    @property
    def ticks_lost(self) -> int:
        return self.dialling.missed + self.held.missed

    def told(self) -> str:
        """How it went, in one line."""
        reasons = "".join(f", {count} x {reason}" for reason, count in self.result["failures"].items())
        return (
            f"{self.loss:.4%} lost, {self.result['failed']} failed{reasons}, {self.result['repeated']} requests repeated, "
            f"{self.ticks_lost} ticks lost, {self.result['packets_per_call']:.2f} packets/s each; cores: "
            f"server {self.cpu:.2f}, callers {self.callers:.2f}"
        )


def hold(calls: int, seconds: float) -> Held:
    """So many calls at a server of their own, set up at RATE."""
    with tempfile.TemporaryDirectory(prefix="xconf-ticks-") as folder, StallMonitor() as stalls:
        ticks = Path(folder) / "ticks"
        with server(ticks=ticks) as served:
            began = time.monotonic()
            with crowd(calls, "--measure", str(MEASURED), rate=RATE) as callers:
                up = time.monotonic()
                served_before, callers_before = served.cpu(), callers.cpu()
                time.sleep(seconds)
                over = time.monotonic()
                cpu, generator = served.cpu() - served_before, callers.cpu() - callers_before
                result = callers.hang_up()
        known = stalls.sure()
        dialling, held = punctuality(ticks, began, up, known), punctuality(ticks, up, over, known)
        return Held(result, dialling, held, cpu / (over - up), generator / (over - up), stalls.describe())


def measure(quick: bool) -> Figures:
    calls, seconds = (1000, 8.0) if quick else (5000, 300.0)
    found = hold(calls, seconds)
    failed, repeated, ticks = found.result["failed"], found.result["repeated"], found.held
    rows = [
        Row(
            f"{calls} calls set up at {RATE} calls/s, held {seconds:.0f} s: packets lost",
            f"at most {LOSS:.2%}, without one failure or retransmission",
            f"{found.loss:.4%}; {failed} failed, {repeated} requests repeated",
            found.loss <= LOSS and not failed and not repeated,
            f"{found.told()}; from the first call to the last, ticks that the machine's stalls took left out",
        ),
        Row(
            "tick lateness meanwhile, 99 % / worst",
            f"{LATE_99:.0f} ms / {LATE_WORST:.0f} ms",
            f"{ticks.high:.1f} ms / {ticks.worst:.1f} ms, {ticks.missed} ticks lost",
            ticks.high <= LATE_99 and ticks.worst <= LATE_WORST and not ticks.missed,
            f"{ticks.ticks} ticks, those near stalls left out: {found.stalls}; while the calls were set up "
            f"{found.dialling.high:.1f} ms / {found.dialling.worst:.1f} ms",
        ),
    ]
    return Figures(rows)


def knee(quick: bool) -> Figures:
    """The largest number of calls at which next to nothing is lost."""
    told, best, limit = [], 0, "nothing that was tried"
    for calls in (1000, 2000) if quick else STEPS:
        found = hold(calls, 5.0 if quick else 20.0)
        told.append(f"{calls:,}: {found.told()}")
        if found.loss >= KNEE_LOSS or found.result["failed"]:
            limit = what_limits(found)
            break
        best = calls
    row = Row(
        "calls held on the machine together with the callers at less than 0.1 % loss",
        f"{KNEE:,} or more",
        f"{best:,}; what limits it: {limit}",
        None if quick else best >= KNEE,
        "; ".join(told),
    )
    return Figures([row])


def what_limits(found: Held) -> str:
    """In words, of a run that had too many calls."""
    cores = os.cpu_count() or 1
    if found.cpu + found.callers > 0.9 * cores:
        return f"all {cores} cores are busy, {found.callers:.2f} of them with the callers"
    if found.result["failed"]:
        return "calls fail: " + ", ".join(found.result["failures"])
    if found.ticks_lost:
        return f"the server misses ticks, at {found.cpu:.2f} cores"
    return "packets are lost between the server and the callers"
