"""What it costs to choose the node that takes a call, with few nodes and with many."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from bench.cpu import ROUNDS, spent
from bench.table import Figures, Row
from xconf.cluster.nodes import SOONEST, NodeTable
from xconf.cluster.router import Caller, Router
from xconf.cluster.status import Load, Part, Reporter

FEW, MANY = 8, 256
RATIO = 3.0  # of the time with many nodes, over that with few
RATE = 600  # calls a second
MOST = 1000  # calls of a node
CONFERENCE = "3000"

CALLERS = {
    "who listens and stays": (False, 500),
    "who listens and is sent on": (False, 700),
    "who speaks": (True, 500),
}
"""speaks, and how many calls there are on the node that is asked; each other one has 500."""


def measure(quick: bool) -> Figures:
    seconds = 1 if quick else 5
    rows = []
    for what, (speaks, calls) in CALLERS.items():
        few, many = (min(_choosing(count, seconds, speaks, calls) for _ in range(ROUNDS)) for count in (FEW, MANY))
        rows.append(
            Row(
                f"choosing a node, {what}: time with {MANY} nodes over that with {FEW}",
                f"at most {RATIO:g}",
                f"{many / few:.1f}",
                many / few <= RATIO,
                f"{few * 1e6:.0f} and {many * 1e6:.0f} us a call, at {RATE} calls a second, while each node tells of itself "
                f"{1 / SOONEST:.0f} times a second",
                many / few / RATIO,
            )
        )
    return Figures(rows)


def _choosing(count: int, seconds: int, speaks: bool, calls: int) -> float:
    """CPU seconds of one choice; what it takes to take in statuses is not in it."""
    table, total = NodeTable(), 0.0
    router = Router("n0", table)
    others = {f"n{number}": Reporter() for number in range(1, count)}
    for name in others:
        table.appeared(name, 1, 0.0)
    load = Load(calls, MOST, uri="sip:192.0.2.1")
    for turn in range(int(seconds / SOONEST)):
        now = turn * SOONEST
        for name, body in _statuses(others, turn):
            table.received(name, body, now)
        callers = [Caller(CONFERENCE, speaks, f"{turn}.{number}@phone") for number in range(round(RATE * SOONEST))]
        total += spent(partial(_ask, router, callers, load, now))
    return total / (seconds * RATE)


def _statuses(others: dict[str, Reporter], turn: int) -> Iterator[tuple[str, bytes]]:
    """A few have more calls each time; on three somebody speaks."""
    for number, (name, reporter) in enumerate(others.items()):
        part = Part(CONFERENCE, 400 + turn, int(number < 3))
        for body in reporter.complete(Load(500 + turn % 20, MOST, uri="sip:192.0.2.2"), [part]):
            yield name, body


def _ask(router: Router, callers: Iterable[Caller], load: Load, now: float) -> None:
    for number, caller in enumerate(callers):
        router.choose(caller, load, 0, now + SOONEST * number / (RATE * SOONEST))
