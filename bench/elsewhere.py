"""What speakers on other nodes cost a node that listens: their nodes count, not they."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from bench.calm import calm, watch
from bench.crowd import SETTLE
from bench.nodes import Node, cluster, listeners, speakers
from bench.stalls import StallMonitor
from bench.table import Figures, Row

SPEAKERS, NODES = 50, 5
RATIO, EACH = 1.05, 0.02  # times; of a core


def measure(quick: bool) -> Figures:
    rounds, seconds, each = (1, 4.0, 200) if quick else (3, 8.0, 400)
    spent: dict[str, list[float]] = {"one": [], "many": [], "nodes": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        StallMonitor() as stalls,
        cluster(1 + NODES, Path(folder)) as nodes,
        listeners(nodes[:1], each, 10),
    ):
        here, others = nodes[0], nodes[1:]
        for _ in range(rounds):
            for how, where, count in (("one", others[:1], 1), ("many", others[:1], SPEAKERS), ("nodes", others, 1)):
                with speakers(where, count):
                    spent[how].append(_cpu(here, seconds, stalls))
    one, many, five = (statistics.median(spent[how]) for how in ("one", "many", "nodes"))
    return Figures(
        [of_speakers(many / one, one, each, rounds), of_nodes((five - one) / (NODES - 1), one, five, each, rounds)]
    )


def _cpu(node: Node, seconds: float, stalls: StallMonitor) -> float:
    time.sleep(SETTLE)
    passed, cpu = calm(watch(lambda: (node.server.cpu(),), seconds), stalls.sure())
    if not passed:
        raise SystemExit("the machine stood still all the while")
    return cpu / passed


def of_speakers(ratio: float, one: float, each: int, rounds: int) -> Row:
    return Row(
        f"CPU of a node with {each} listeners, {SPEAKERS} speaking on another node in place of 1",
        f"at most {RATIO:g} times",
        f"{ratio:.2f} times",
        ratio <= RATIO,
        f"median of {rounds} runs, {one:.1%} of a core with 1; the other node sends one stream, whoever is in it",
        ratio / RATIO,
    )


def of_nodes(extra: float, one: float, five: float, each: int, rounds: int) -> Row:
    return Row(
        f"CPU of a node with {each} listeners for each further node on which somebody speaks",
        f"at most {EACH:.0%} of a core",
        f"{extra:.2%}",
        extra <= EACH,
        f"median of {rounds} runs, with {NODES} such nodes {five:.1%} of a core, with 1 {one:.1%}",
    )
