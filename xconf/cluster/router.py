"""Which node takes a call.

A caller who speaks goes where most speakers of the conference are; where nobody speaks yet all nodes find the same one (rendezvous
hashing: each node's name and the conference's give a number, and the greatest wins). Listeners are spread: one stays where the
call has arrived, unless others have clearly more room; of these each is as probable as it has room, for many nodes choose at
the same time, by what the others were some tenths of a second ago, and would all run to the emptiest.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import blake2b

from xconf.cluster.ledger import Ledger
from xconf.cluster.nodes import Node, NodeTable
from xconf.cluster.status import Load, Takes

MARGIN = 0.05  # share of a node's calls: what others have to have more room by, and what is kept free for speakers
LATE = 10.0  # ms, half a tick: sound suffers
QUIET = 1.6  # s without a word: each second there should be one
BUSY = 50.0  # % of a core; what is beyond that makes a node appear fuller
STRAIN = 0.25  # share of its calls by which a core in full use, or ticks that are nearly late, do that


@dataclass(frozen=True, slots=True)
class Caller:
    """call: what names the call, the same whenever it is asked for again."""

    conference: str
    speaks: bool
    call: str


@dataclass(frozen=True, slots=True)
class Choice:
    """node: that takes the call; uri: where it is reached, empty for this one. kind: why, for counting; why: in words."""

    node: str
    uri: str
    kind: str

    @property
    def why(self) -> str:
        return WHY[self.kind]


WHY = {
    "kept": "there is room here",
    "alone": "no other node takes such callers now",
    "together": "the speakers of the conference are there",
    "first": "the speakers of the conference are to be there",
    "room": "there is more room",
    "full": "this node is full",
    "draining": "this node is being drained",
    "late": "the sound of this node runs late",
    "takes": "this node is not for such callers",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node as one sees it who looks for room. calls: with those on their way; speakers: of the conference in question."""

    name: str
    load: Load
    calls: int
    shaky: bool  # its ticks are late, or it has not been heard for some time
    speakers: int
    closed: bool = False  # takes no calls for whatever other reason

    @property
    def has_room(self) -> bool:
        return not (self.closed or self.load.draining) and self.calls < self.load.most_calls

    @property
    def spare(self) -> float:
        """The share of its calls that it has room for; less where the machine is busy."""
        load = self.load
        busy = min(max(0.0, load.cpu - BUSY) / (100 - BUSY), 1.0)
        late = min(max(0.0, load.late - LATE / 2) / (LATE / 2), 1.0)
        return 1.0 - self.calls / max(1, load.most_calls) - STRAIN * max(busy, late)

    def takes(self, caller: Caller) -> bool:
        return (Takes.SPEAKERS if caller.speaks else Takes.LISTENERS) in self.load.takes


class Router:
    """own: this node's name; table: the others. It is asked once for each call. counters: what came of that, by kind."""

    def __init__(self, own: str, table: NodeTable) -> None:
        self.counters: Counter[str] = Counter()
        self._own = own
        self._table = table
        self._ledger = Ledger()

    def choose(
        self,
        caller: Caller,
        load: Load,
        speakers: int,
        now: float,
        *,
        closed: bool = False,
        without: Collection[str] = (),
    ) -> Choice | None:
        """None: no node has room. load: of this node; speakers: of the conference, on this node; closed: it takes no calls;
        without: others that do not take this one.
        """
        own = Candidate(self._own, load, load.calls, load.late > LATE, speakers, closed)
        others = [other for other in self._others(caller.conference, now) if other.name not in without]
        choice = self._choose(caller, own, others)
        self.counters["none" if choice is None else choice.kind] += 1
        if choice is not None and choice.node != self._own:
            self._ledger.note(choice.node, now)
        return choice

    def open(self, now: float) -> list[str]:
        """The other nodes that may get calls, by name."""
        able = [one for one in self._others("", now) if one.has_room and one.load.takes]
        return sorted(one.name for one in preferred(able, lambda one: not one.shaky))

    def _others(self, conference: str, now: float) -> list[Candidate]:
        speakers = {node.name: part.speakers for node, part in self._table.shares(conference)}
        return [self._seen(node, speakers.get(node.name, 0), now) for node in self._table.here() if node.load.uri]

    def _seen(self, node: Node, speakers: int, now: float) -> Candidate:
        load = node.load
        calls = load.calls + self._ledger.count(node.name, node.told_at, now)
        shaky = load.late > LATE or now - node.heard > QUIET
        return Candidate(node.name, load, calls, shaky, speakers)

    def _choose(self, caller: Caller, own: Candidate, others: list[Candidate]) -> Choice | None:
        able = [one for one in (own, *others) if one.has_room and one.takes(caller)]
        able = preferred(able, lambda one: not one.shaky)
        if not able:
            return Choice(own.name, "", "alone") if own.has_room else None
        if caller.speaks:
            kind, chosen = _for_speaker(caller, able)
        else:
            kind, chosen = "room", _for_listener(caller, able, own)
        if chosen is own:
            return Choice(own.name, "", "kept")
        return Choice(chosen.name, chosen.load.uri, kind if own in able else _not_here(caller, own))


def _for_speaker(caller: Caller, able: list[Candidate]) -> tuple[str, Candidate]:
    most = max(one.speakers for one in able)
    together = [one for one in able if one.speakers == most]
    # By what all nodes see alike.
    chosen = max(together, key=lambda one: draw(caller.conference, one.name, one.load.most_calls))
    return "together" if most else "first", chosen


def _for_listener(caller: Caller, able: list[Candidate], own: Candidate) -> Candidate:
    able = preferred(able, lambda one: one.load.region == own.load.region)
    able = preferred(able, lambda one: one.spare > MARGIN)
    if own in able:
        able = [one for one in able if one.spare > own.spare + MARGIN]
    if not able:
        return own
    return max(able, key=lambda one: draw(caller.call, one.name, max(one.spare, 0.001) * one.load.most_calls))


def _not_here(caller: Caller, own: Candidate) -> str:
    """Why this node is none of those that may take the call."""
    if own.load.draining:
        return "draining"
    if not own.load.takes:
        return "late"
    if not own.has_room:
        return "full"
    return "late" if own.takes(caller) else "takes"


def preferred(candidates: list[Candidate], good: Callable[[Candidate], bool]) -> list[Candidate]:
    """Those who are good; all, if none is."""
    return [one for one in candidates if good(one)] or candidates


def draw(what: str, node: str, weight: float) -> float:
    """A number below zero, the same wherever and whenever it is asked for. For how many `what` that of a node is the greatest
    of several goes by its weight (weighted rendezvous hashing, Schindelhauer and Schomaker 2005).
    """
    digest = blake2b(f"{node}\0{what}".encode(), digest_size=8).digest()
    return math.log((int.from_bytes(digest) + 1) / (2**64 + 1)) / weight
