"""A cluster of real nodes on this machine: what listeners on all of them hear of who speaks on some, and what each node spends."""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.calm import calm, watch
from bench.crowd import SETTLE, Crowd, crowd
from bench.server import CONFIGURATION, Server, running
from bench.stalls import StallMonitor
from bench.table import Figures, Row
from bench.witness import punctuality
from xconf.api.client import ControlClient

SILENCE, LOSS = 0.001, 0.0001
RATE = 150.0  # calls a second, to one node after the other
PORT = 65021
CLUSTER = """
node: {{name: n{number}}}
cluster: {{enable: true, secret: a secret of the benchmarks, listen: '{host}:{port}', peers: [{peers}]}}
"""


@dataclass(slots=True, frozen=True)
class Node:
    """ticks: a file in which they are written down at the end."""

    host: str
    server: Server
    ticks: Path


@contextlib.contextmanager
def cluster(count: int, folder: Path) -> Iterator[list[Node]]:
    """So many nodes with loopback addresses of their own, that know each other. folder: for their ticks."""
    hosts = [f"127.0.2.{number}" for number in range(1, count + 1)]
    with contextlib.ExitStack() as stack:
        nodes = []
        for number, host in enumerate(hosts, 1):
            peers = ", ".join(f"'{other}:{PORT}'" for other in hosts if other != host)
            its = CLUSTER.format(number=number, host=host, port=PORT, peers=peers)
            configuration = CONFIGURATION.format(host=host, port=15060) + its
            ticks = folder / f"ticks-{number}"
            nodes.append(Node(host, stack.enter_context(running(configuration, ticks=ticks)), ticks))
        yield nodes


@contextlib.contextmanager
def listeners(nodes: list[Node], each: int, measured: int) -> Iterator[list[Crowd]]:
    """So many on each node, all up; they should hear somebody who is none of them."""
    words = ("--others-speak", "--measure", str(measured))
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(crowd(each, *words, speakers=0, rate=RATE, host=node.host)) for node in nodes]


@contextlib.contextmanager
def speakers(nodes: list[Node], each: int = 1) -> Iterator[None]:
    """So many on each of these nodes, until they hang up."""
    with contextlib.ExitStack() as stack:
        crowds = []
        for number, node in enumerate(nodes):
            # Not the same tones on all nodes, which might cancel each other: every second node has one more of them.
            count = each + number % 2
            crowds.append(stack.enter_context(crowd(count, speakers=count, host=node.host)))
        yield
        for callers in crowds:
            callers.hang_up()


@dataclass(slots=True, frozen=True)
class Held:
    """cpu: cores of each node; heard: what the callers of each node say; totals: on each node, of all; sent, came: datagrams of
    each node a second; stalled: ticks that each node missed in stalls of the machine; made_up: that came late by a whole one.
    """

    cpu: list[float]
    heard: list[dict[str, Any]]
    totals: list[int]
    members: int
    sent: list[float]
    came: list[float]
    dropped: dict[str, int]
    stalled: list[int]
    missed: int
    made_up: int
    stalls: str

    @property
    def loss(self) -> float:
        """Of the packets to the callers listened to, those of ticks that stalls of the machine took left out."""
        expected = sum(heard["expected"] for heard in self.heard)
        received = sum(heard["received"] for heard in self.heard)
        excused = sum(ticks * heard["callers"] for ticks, heard in zip(self.stalled, self.heard, strict=True))
        return float(max(0, expected - received - excused) / max(1, expected))

    @property
    def silence(self) -> float:
        """Share of the packets in which nothing was to be heard."""
        return float(
            sum(heard["silent"] for heard in self.heard) / max(1, sum(heard["judged"] for heard in self.heard))
        )

    @property
    def unheard(self) -> int:
        return sum(heard["unheard"] for heard in self.heard)


def hold(count: int, each: int, seconds: float, speaking: int) -> Held:
    """Nodes with listeners, while one speaks on each of the first ones."""
    with tempfile.TemporaryDirectory() as name, StallMonitor() as stalls:
        with cluster(count, Path(name)) as nodes, speakers(nodes[:speaking]):
            began = time.monotonic()
            with listeners(nodes, each, max(10, 200 // count)) as crowds:
                time.sleep(SETTLE)
                before = [_tunnel(node) for node in nodes]
                seen = watch(lambda: [node.server.cpu() for node in nodes], seconds)
                after = [_tunnel(node) for node in nodes]
                totals = [_total(node) for node in nodes]
                made_up = sum(_ask(node, "counters")["media.ticks_made_up"] for node in nodes)
                over = time.monotonic()
                heard = _hang_up(crowds)
        known = stalls.sure()
        ticks = [punctuality(node.ticks, began, over, known) for node in nodes]
        spent, *cpu = calm(seen, known)
        if not spent:
            raise SystemExit("the machine stood still all the while")
        return Held(
            cpu=[one / spent for one in cpu],
            heard=heard,
            totals=totals,
            members=count * each + sum(1 + number % 2 for number in range(speaking)),
            sent=_rates("sent", before, after),
            came=_rates("received", before, after),
            dropped=_dropped(after),
            stalled=[one.stalled for one in ticks],
            missed=sum(one.missed for one in ticks),
            made_up=made_up,
            stalls=stalls.describe(),
        )


def _hang_up(crowds: list[Crowd]) -> list[dict[str, Any]]:
    """All together; what each has heard."""
    for callers in crowds:
        callers.process.terminate()
    return [callers.end()["measured"] for callers in crowds]


@dataclass(slots=True, frozen=True)
class Counters:
    """Of a node's tunnel, at that time (s of CLOCK_MONOTONIC)."""

    at: float
    counts: dict[str, int]


def _ask(node: Node, command: str) -> Any:
    """From here, for each `xconf ctl` takes a second of a machine that is busy with all these nodes."""
    with ControlClient(node.server.socket) as client:
        return client.request(command).data


def _tunnel(node: Node) -> Counters:
    asked = _ask(node, "counters")
    counts = {name.removeprefix("tunnel."): count for name, count in asked.items() if name.startswith("tunnel.")}
    return Counters(time.monotonic(), counts)


def _rates(name: str, before: list[Counters], after: list[Counters]) -> list[float]:
    """A second, of each node."""
    spans = zip(before, after, strict=True)
    return [(now.counts[name] - then.counts[name]) / (now.at - then.at) for then, now in spans]


def _dropped(counters: list[Counters]) -> dict[str, int]:
    """Of all nodes together, by reason."""
    total = Counter[str]()
    for one in counters:
        found = ((name.removeprefix("dropped_"), count) for name, count in one.counts.items() if "dropped_" in name)
        total.update({name: count for name, count in found if count})
    return dict(total)


def _total(node: Node) -> int:
    """Members of all nodes, as that one shows them."""
    return sum(int(row["members"]) for row in _ask(node, "nodes"))


def measure(quick: bool) -> Figures:
    count, each, seconds = (3, 100, 10.0) if quick else (8, 400, 60.0)
    rows = []
    for speaking in (1, 2):
        found = hold(count, each, seconds if speaking == 1 else seconds / 2, speaking)
        rows += judged(found, count, each, speaking, seconds if speaking == 1 else seconds / 2)
    return Figures(rows)


def judged(found: Held, count: int, each: int, speaking: int, seconds: float) -> list[Row]:
    """What is to be said of it."""
    right = set(found.totals) == {found.members}
    where = "one" if speaking == 1 else str(speaking)
    others = found.cpu[speaking:]
    longest = max(heard["longest_silence"] for heard in found.heard)
    dropped = ", ".join(f"{number} {name}" for name, number in found.dropped.items()) or "none"
    return [
        Row(
            f"{count} real nodes with {each} listeners each for {seconds:.0f} s, somebody speaks on {where}: packets lost, silence",
            f"at most {LOSS:.2%} lost; {SILENCE:.1%} silent; all hear; {found.members:,} shown on each node",
            f"{found.loss:.4%} lost, {found.silence:.3%} silent, {found.unheard} hear nothing, {', '.join(f'{n:,}' for n in sorted(set(found.totals)))} shown",
            found.loss <= LOSS and found.silence <= SILENCE and not found.unheard and right,
            f"longest silence {longest * 1000:.0f} ms; {found.missed} ticks missed, {found.made_up} made up for; those of the machine's stalls left out: {found.stalls}",
        ),
        Row(
            f"CPU of a node with {each} listeners meanwhile, median of {len(others)}",
            "-",
            f"{statistics.median(others):.1%} of a core",
            None,
            f"{min(others):.1%} to {max(others):.1%}; where somebody speaks {', '.join(f'{cpu:.1%}' for cpu in found.cpu[:speaking])}; "
            f"datagrams between nodes a second: sent {found.sent[0]:.0f} by one on which somebody speaks, {found.sent[-1]:.0f} by others "
            f"(each to all); taken in {found.came[-1]:.0f}; dropped since the start: {dropped}",
        ),
    ]
