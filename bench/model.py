"""What nodes of a cluster cost, by what the benchmarks have measured on one machine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from bench.page import Book

FRAMES = 50  # datagrams of sound a second, of one conference at 8000 Hz
OWN_NEWS = 2  # datagrams a second that each node sends besides: its greeting and its status


@dataclass(slots=True, frozen=True)
class Costs:
    """CPU seconds. node: of one that somebody listens on, whatever it hears, a second; listener: of each of them, a second;
    speakers: of 50 instead of one on the same node, a second.

    say, hear: of a frame of sound, sealed, and of another node's, opened and mixed; status, tell: of another node's status, and of
    one's own; write: of one more datagram to the system; relay, clone: of a datagram that comes to a relay, and of each that goes.
    """

    node: float
    listener: float
    speakers: float
    say: float
    hear: float
    write: float
    status: float
    tell: float
    relay: float
    clone: float


_NUMBER = r"([\d.,]+)"
_PLACES = {
    "many": ("fanout", "listeners per core, kernel filter on", "what", f"{_NUMBER} listeners that send"),
    "per_core": ("fanout", "listeners per core, kernel filter on", "value", _NUMBER),
    "few": ("elsewhere", "CPU of a node", "what", f"with {_NUMBER} listeners"),
    "for_few": ("elsewhere", "CPU of a node", "note", f"{_NUMBER}% of a core with 1"),
    "speakers": ("fanout", "50 speakers all speaking", "value", f"{_NUMBER}%"),
    "say": ("tunnel", "tunnel: a conference at 8000 Hz, pcm, 8 other", "note", f"{_NUMBER} us a tick to send"),
    "hear": ("tunnel", "tunnel: a conference at 8000 Hz, pcm, 8 other", "note", f"{_NUMBER} to take in each"),
    "write": ("relay", "relay:", "note", f"{_NUMBER} for each tunnel"),
    "status": ("statuses", "statuses: to take in", "note", f"{_NUMBER} us a status"),
    "tell": ("statuses", "statuses: to tell", "note", f"{_NUMBER} us a status"),
    "relay": ("relay", "relay:", "note", f"{_NUMBER} us a datagram"),
    "clone": ("relay", "relay:", "note", f"{_NUMBER} for each tunnel"),
}
"""Of each: the benchmark, how its row begins, and where in it the number is. A node writes a datagram just as a relay does.

per_core: of `many` listeners on a node; for_few: percent of a core for `few` of them."""


def costs(book: Book) -> Costs:
    """Raises SystemExit, with what to measure first."""
    found = {name: _number(book, *place) for name, place in _PLACES.items()}
    for name in ("say", "hear", "write", "status", "tell", "relay", "clone"):
        found[name] /= 1e6
    many, per_core, few, for_few = (found.pop(name) for name in ("many", "per_core", "few", "for_few"))
    # What all of them cost and what few of them cost, on a node that hears one other: a line through both.
    for_few = for_few / 100 - FRAMES * found["hear"]
    listener = (many / per_core - for_few) / (many - few)
    found["speakers"] /= 100
    return Costs(node=max(0.0, for_few - few * listener), listener=listener, **found)


def _number(book: Book, benchmark: str, begins: str, cell: str, pattern: str) -> float:
    measured = book.kept.get(benchmark)
    for row in measured.figures.rows if measured is not None else ():
        number = re.search(pattern, getattr(row, cell)) if row.what.startswith(begins) else None
        if number:
            return float(number[1].replace(",", ""))
    raise SystemExit(f"measure {benchmark} first: make bench ARGS={benchmark}")


@dataclass(slots=True, frozen=True)
class Shape:
    """A cluster. speaking: nodes on which somebody speaks; leaves: relays below the first one, of a tree."""

    nodes: int
    listeners: int
    mode: str
    speaking: int = 1
    leaves: int = 0

    @property
    def each(self) -> int:
        """Listeners of a node."""
        return round(self.listeners / self.nodes)

    @property
    def ways(self) -> int:
        """Datagrams in which a node sends one thing to all others."""
        return self.nodes - 1 if self.mode == "unicast" else 1


@dataclass(slots=True, frozen=True)
class Load:
    """Of one host. cpu: cores; sent, came: datagrams between nodes a second."""

    cpu: float
    sent: float
    came: float


def node(cost: Costs, shape: Shape, *, speaks: bool, many: bool = False, news: float = 1.0) -> Load:
    """A node with its listeners. many: 50 speakers are on it, else one; news: statuses a second that each node sends."""
    others, elsewhere = shape.nodes - 1, shape.speaking - speaks
    own = 1 + news  # a greeting, and statuses
    cpu = cost.node + shape.each * cost.listener + many * cost.speakers
    cpu += own * (cost.tell + shape.ways * cost.write) + own * others * cost.status
    cpu += FRAMES * (speaks * (cost.say + shape.ways * cost.write) + elsewhere * cost.hear)
    return Load(cpu, shape.ways * (own + FRAMES * speaks), own * others + FRAMES * elsewhere)


def relay(cost: Costs, shape: Shape, *, news: float = 1.0) -> Load:
    """One of the relays to which nodes belong."""
    tunnels = shape.nodes / shape.leaves + 1 if shape.leaves else shape.nodes
    came = shape.nodes * (1 + news) + shape.speaking * FRAMES
    clones = tunnels - 1  # to all but the one from which it came
    return Load(came * (cost.relay + clones * cost.clone), came * clones, came)
