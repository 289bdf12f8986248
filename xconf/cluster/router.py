"""Which node takes a call.

A caller who speaks goes where most speakers of the conference are; where nobody speaks yet all nodes find the same one, for they
draw it by the conference's name (see `urn`). Listeners are spread: one stays where the call has arrived, unless one of a few
others has clearly more room; those are drawn, each as probable as it has room, for many nodes choose at the same time, by what
the others were some tenths of a second ago, and would all run to the emptiest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b

from xconf.cluster.field import LATE, MARGIN, Candidate, Class, Field
from xconf.cluster.ledger import Ledger
from xconf.cluster.nodes import NodeTable
from xconf.cluster.status import Load, Takes

FEW = 3  # nodes that are looked at, where the call might as well stay where it has arrived


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


class Router:
    """own: this node's name; table: the others. It is asked once for each call. counters: what came of that, by kind."""

    def __init__(self, own: str, table: NodeTable) -> None:
        self.counters: Counter[str] = Counter()
        self._own = own
        self._table = table
        self._ledger = Ledger()
        self._field = Field(own, table, self._ledger)

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
        own = Candidate(self._own, load, load.calls, load.late > LATE, closed)
        self._field.look(own, now, without)
        choice = (
            self._for_speaker(caller, own, speakers, now) if caller.speaks else self._for_listener(caller, own, now)
        )
        if choice is None and own.has_room:
            choice = self._stays("alone")
        self.counters["none" if choice is None else choice.kind] += 1
        if choice is not None and choice.node != self._own:
            self._ledger.note(choice.node, now)
            self._table.moved.add(choice.node)
        return choice

    def open(self, now: float) -> list[str]:
        """The other nodes that may get calls, by name."""
        seen = [self._field.candidate(node, now) for node in self._table.here() if node.load.uri]
        able = [one for one in seen if one.has_room and one.load.takes]
        return sorted(one.name for one in [one for one in able if not one.shaky] or able)

    def _stays(self, kind: str) -> Choice:
        return Choice(self._own, "", kind)

    # Who speaks

    def _for_speaker(self, caller: Caller, own: Candidate, speakers: int, now: float) -> Choice | None:
        for shaky in (False, True):
            kind = Class(True, shaky)
            while (urn := self._field.of(kind)) is not None:
                together = self._most_speak(caller.conference, speakers, urn)
                name = _one_of(together, caller.conference) if together else urn.draw(caller.conference)
                if name == self._own:
                    return self._stays("kept")
                one = self._field.seen(name, kind, now)
                if one is not None:
                    return _sent(one, "together" if together else "first", caller, own)
        return None

    def _most_speak(self, conference: str, own: int, able: Collection[str]) -> list[str]:
        """The able nodes with most speakers; none: nobody speaks on any."""
        counts = {name: count for name, count in self._table.speaking(conference).items() if name in able}
        if own and self._own in able:
            counts[self._own] = own
        most = max(counts.values(), default=0)
        return [name for name, count in counts.items() if count == most]

    # Who listens

    def _for_listener(self, caller: Caller, own: Candidate, now: float) -> Choice | None:
        """The best class in which there is a node; if this one is in it, it stays here unless another clearly has more room."""
        for kind in _classes(own.load.region):
            if own.may_take(Takes.LISTENERS) and kind == _class_of(own):
                return self._roomier(caller, own, kind, now) or self._stays("kept")
            while (urn := self._field.of(kind)) is not None:
                one = self._field.seen(urn.draw(caller.call), kind, now)
                if one is not None:
                    return _sent(one, "room", caller, own)
        return None

    def _roomier(self, caller: Caller, own: Candidate, kind: Class, now: float) -> Choice | None:
        """Of a few, the first. All nodes choose at the same time: would each look for the emptiest, they would run it down."""
        for number in range(FEW):
            urn = self._field.of(kind)
            if urn is None:
                return None
            one = self._field.seen(urn.draw(f"{number} {caller.call}"), kind, now)
            if one is not None and one.spare > own.spare + MARGIN:
                return _sent(one, "room", caller, own)
        return None


def _classes(region: str) -> Iterator[Class]:
    """Of those who take listeners, the best first."""
    for shaky in (False, True):
        for where in (region, None):
            for tight in (False, True):
                yield Class(False, shaky, tight, where)


def _class_of(own: Candidate) -> Class:
    return Class(False, own.shaky, own.spare <= MARGIN, own.load.region)


def _one_of(names: list[str], conference: str) -> str:
    """The same on all nodes."""
    return sorted(names)[
        int.from_bytes(blake2b(conference.encode(errors="surrogateescape"), digest_size=4).digest()) % len(names)
    ]


def _sent(one: Candidate, kind: str, caller: Caller, own: Candidate) -> Choice:
    able = own.may_take(Takes.SPEAKERS if caller.speaks else Takes.LISTENERS) and own.shaky == one.shaky
    return Choice(one.name, one.load.uri, kind if able else _not_here(caller, own))


def _not_here(caller: Caller, own: Candidate) -> str:
    """Why this node is none of those that may take the call."""
    if own.load.draining:
        return "draining"
    if not own.load.takes:
        return "late"
    if not own.has_room:
        return "full"
    return "late" if own.may_take(Takes.SPEAKERS if caller.speaks else Takes.LISTENERS) else "takes"
