"""The other nodes, sorted by how good it would be to send a call there, so that to choose one nobody looks at all of them.

Sorted anew is only who has told something, or was sent a call: `NodeTable.moved`. What comes of time alone (a node that is silent)
is seen when that node is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from xconf.cluster.ledger import Ledger
from xconf.cluster.nodes import Node, NodeTable
from xconf.cluster.status import Load, Takes
from xconf.cluster.urn import Urn

MARGIN = 0.05  # share of a node's calls: what others have to have more room by, and what is kept free for speakers
LATE = 10.0  # ms, half a tick: sound suffers
QUIET = 1.6  # s without a word: each second there should be one
BUSY = 50.0  # % of a core; what is beyond that makes a node appear fuller
STRAIN = 0.25  # share of its calls by which a core in full use, or ticks that are nearly late, do that
GRAIN = 50  # parts of a node's calls in which its room is told apart for a draw


@dataclass(slots=True, eq=False)
class Candidate:
    """A node as one sees it who looks for room. calls: with those on their way; shaky: its ticks are late, or it has not been heard
    for some time; closed: it takes no calls for whatever other reason.
    """

    name: str
    load: Load
    calls: int
    shaky: bool
    closed: bool = False

    @property
    def has_room(self) -> bool:
        return not (self.closed or self.load.draining) and self.calls < self.load.most_calls

    @property
    def spare(self) -> float:
        """The share of its calls that it has room for; less where the machine is busy."""
        load = self.load
        free = 1.0 - self.calls / max(1, load.most_calls)
        if load.cpu <= BUSY and load.late <= LATE / 2:
            return free
        busy = min(max(0.0, load.cpu - BUSY) / (100 - BUSY), 1.0)
        late = min(max(0.0, load.late - LATE / 2) / (LATE / 2), 1.0)
        return free - STRAIN * max(busy, late)

    @property
    def standing(self) -> Standing:
        load, spare = self.load, self.spare
        grains = max(1, math.ceil(spare * GRAIN))
        return self.has_room, self.shaky, spare <= MARGIN, grains, load.most_calls, load.takes, load.region

    def may_take(self, callers: Takes) -> bool:
        return self.has_room and callers in self.load.takes

    def fits(self, kind: Class) -> bool:
        """Whether it is of that class, as far as that may change without a word of its."""
        tight = kind.tight if kind.speaks else self.spare <= MARGIN
        return self.has_room and (self.shaky, tight) == (kind.shaky, kind.tight)


class Class(NamedTuple):
    """Nodes that are equally good for callers who speak, or who do not. tight: with less room than is kept for speakers; region:
    None for all.
    """

    speaks: bool
    shaky: bool
    tight: bool = False
    region: str | None = None


Standing = tuple[bool, bool, bool, int, int, Takes, str]
"""Has room, shaky, tight, grains, most calls, takes, region: all that the places of a node depend on."""

Places = dict[Class, float]
"""Where a node belongs, with its weight in a draw."""


class Field:
    """Of a router. own: the node that looks; it stands among the others only for those who are to speak."""

    def __init__(self, own: str, table: NodeTable, ledger: Ledger) -> None:
        self._own = own
        self._table = table
        self._ledger = ledger
        self._urns: dict[Class, Urn] = {}
        self._places: dict[str, Places] = {}
        self._standings: dict[str, Standing] = {}

    def look(self, own: Candidate, now: float, without: Iterable[str]) -> None:
        """Sort those of which there is news. without: who is out of the question until this is called again."""
        moved = self._table.moved
        while moved:
            self._sort(moved.pop(), now)
        for name in without:
            self._leave_out(name)
            moved.add(name)
        self._stand(own, for_speakers)

    def of(self, kind: Class) -> Urn | None:
        """Who is of that class; None: nobody."""
        return self._urns.get(kind)

    def seen(self, name: str, kind: Class, now: float) -> Candidate | None:
        """One of the others. None: it is not of that class any more, now that one looks; it is sorted anew."""
        node = self._table.get(name)
        if node is not None and node.here:
            candidate = self.candidate(node, now)
            if candidate.fits(kind):
                return candidate
        self._sort(name, now)
        return None

    def candidate(self, node: Node, now: float) -> Candidate:
        load = node.load
        calls = load.calls + self._ledger.count(node.name, node.told_at, now)
        return Candidate(node.name, load, calls, load.late > LATE or now - node.heard > QUIET)

    def _sort(self, name: str, now: float) -> None:
        node = self._table.get(name)
        if node is None or not node.here or not node.load.uri:
            self._leave_out(name)
        else:
            self._stand(self.candidate(node, now), places)

    def _stand(self, one: Candidate, places: Callable[[Standing], Places]) -> None:
        standing = one.standing
        if self._standings.get(one.name) != standing:  # as it is with most that a node tells
            self._standings[one.name] = standing
            self._put(one.name, places(standing))

    def _leave_out(self, name: str) -> None:
        self._standings.pop(name, None)
        self._put(name, {})

    def _put(self, name: str, places: Places) -> None:
        before = self._places.get(name, {})
        for kind in before.keys() - places.keys():
            urn = self._urns[kind]
            urn.remove(name)
            if not urn:
                del self._urns[kind]
        for kind, weight in places.items():
            self._urns.setdefault(kind, Urn()).put(name, weight)
        if places:
            self._places[name] = places
        else:
            self._places.pop(name, None)


def places(standing: Standing) -> Places:
    return for_speakers(standing) | _for_listeners(standing)


def for_speakers(standing: Standing) -> Places:
    """By what all nodes see alike."""
    has_room, shaky, _, _, most, takes, _ = standing
    return {Class(True, shaky): most} if has_room and Takes.SPEAKERS in takes else {}


def _for_listeners(standing: Standing) -> Places:
    has_room, shaky, tight, grains, most, takes, region = standing
    if not has_room or Takes.LISTENERS not in takes:
        return {}
    return {Class(False, shaky, tight, where): grains * most for where in (region, None)}
