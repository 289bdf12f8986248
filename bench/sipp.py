"""A second opinion on calls set up: SIPp calls with a scenario of its own (call.xml), and its own statistics are what counts."""

from __future__ import annotations

import csv
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench.crowd import crowd
from bench.server import ADDRESS, Server, server
from bench.table import Figures, Row

RATE, HELD = 200, 5.0  # calls a second, s that a call lasts
ANSWER = 200  # ms
_SCENARIO = Path(__file__).with_name("call.xml")
_BELOW = "ResponseTimeRepartition1_<"


@dataclass(slots=True, frozen=True)
class Opinion:
    """What SIPp says. answers: the bounds in ms of its classes of response times, and how many calls each has; the last has
    no bound.
    """

    answered: int
    failed: int
    retransmitted: int
    answers: tuple[tuple[float, int], ...]

    def within(self, share: float) -> float:
        """ms, one of the bounds, within which at least that share of calls was answered."""
        wanted, seen = share * sum(count for _, count in self.answers), 0
        for bound, count in self.answers:
            seen += count
            if seen >= wanted:
                return bound
        return float("inf")


def read(statistics: str) -> Opinion:
    """SIPp's statistics file (-trace_stat): semicolons between columns, those of whole runs marked (C), the last row counts."""
    last = list(csv.DictReader(statistics.splitlines(), delimiter=";"))[-1]
    classes = [
        (float(name.removeprefix(_BELOW)) if name.startswith(_BELOW) else float("inf"), int(count))
        for name, count in last.items()
        if name and name.startswith("ResponseTimeRepartition1_")
    ]
    return Opinion(
        answered=int(last["SuccessfulCall(C)"]),
        failed=int(last["FailedCall(C)"]),
        retransmitted=int(last["Retransmissions(C)"]),
        answers=tuple(sorted(classes)),
    )


def installed() -> bool:
    return shutil.which("sipp") is not None


def ask_sipp(calls: int, held: float = HELD) -> Opinion:
    """So many calls of SIPp's, at RATE."""
    with tempfile.TemporaryDirectory(prefix="sipp-") as name:
        folder = Path(name)
        command = ["sipp", "{}:{}".format(*ADDRESS), "-sf", str(_SCENARIO), "-s", "40", "-i", "127.0.0.1", "-nostdin"]
        command += ["-m", str(calls), "-r", str(RATE), "-l", str(calls), "-d", str(round(held * 1000)), "-mp", "20000"]
        command += [
            "-trace_stat",
            "-stf",
            "statistics.csv",
            "-fd",
            "1",
            "-timeout",
            str(round(60 + calls / RATE + held)),
        ]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        file = folder / "statistics.csv"
        if not file.exists():
            raise SystemExit(f"SIPp ended with status {run.returncode}:\n{run.stderr[-1000:]}")
        return read(file.read_text())


def ask_ours(calls: int, held: float = HELD) -> str:
    """The same by `xconf load`."""
    with server(), crowd(calls, "--silent", speakers=0, rate=RATE, hold=f"{held}s") as callers:
        result = callers.end()
    return (
        f"`xconf load`: {result['answered']} answered, {result['failed']} failed, {result['repeated']} repeated, median "
        f"{result['set_up_median'] * 1000:.1f} ms, 99 % within {result['set_up_99'] * 1000:.1f} ms"
    )


def measure(quick: bool) -> Figures:
    calls = 600 if quick else 5000
    what = f"SIPp's opinion: {calls} calls of {HELD:.0f} s at {RATE} calls/s, without sound"
    reach = f"none failed, none retransmitted, 99 % answered within {ANSWER} ms"
    if not installed():
        return Figures([Row(what, reach, "not installed", note="Debian's package `sip-tester`")])
    with server() as served:
        opinion = ask_sipp(calls)
        left = _left(served)
    high = opinion.within(0.99)
    row = Row(
        what,
        reach,
        f"{opinion.answered} answered, {opinion.failed} failed, {opinion.retransmitted} retransmitted; 99 % within "
        f"{high:.0f} ms, half within {opinion.within(0.5):.0f} ms; {left}",
        opinion.answered == calls and not opinion.failed and not opinion.retransmitted and high <= ANSWER,
        ask_ours(calls),
    )
    return Figures([row])


def _left(served: Server) -> str:
    return ", ".join(f"{count} {name} left" for name, count in served.left().items()) or "nothing left"
