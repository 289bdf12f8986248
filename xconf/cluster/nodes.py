"""The other nodes: which are there, how busy they are, and whom they have in which conference.

Input and `now` (s, of a clock that only goes forward) in, effects out. A node is there from the moment the tunnel has proved it
until it says goodbye or is silent for `SILENT` seconds; then what it said of its conferences does not count any more. Who comes
back within one run (epoch) is the same node; of a name there is one node, the tunnel sees to that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from xconf.cluster.status import About, Load, Part, State, Status, StatusError, parse

STATUS_EVERY = 1.0  # s
SOONEST = 0.1  # s between two that tell changes
SILENT = 2.75  # s: looked at four times a second, so it is noticed within 3
LOOK_EVERY = 0.25  # s
DOUBT = 30.0  # s for which an administrator on a node that fell silent is thought to come back
MOST_NODES = 4096
MOST_CONFERENCES = 10_000  # of one node
REMEMBERED = 3600.0  # s for which a node that is gone is still shown


@dataclass(frozen=True, slots=True)
class Came:
    """A node is there. before: it was there earlier, in this run of ours."""

    node: str
    before: bool


@dataclass(frozen=True, slots=True)
class Went:
    """A node is gone. how: left, silent or restarted."""

    node: str
    how: str


@dataclass(frozen=True, slots=True)
class Changed:
    """Of these conferences other nodes have something else than before."""

    conferences: frozenset[str]


Effect = Came | Went | Changed


@dataclass(slots=True, eq=False)
class Node:
    """One of the others. state: here, left, silent or restarted; born: `now` of when this run of it was first heard; since: of when
    its state began; heard: of the last word; told_at: of the latest status.

    octets, statuses: what it has told so far, for what it costs.
    """

    name: str
    epoch: int
    born: float
    since: float
    heard: float
    state: str = "here"
    load: Load = Load()
    told_at: float = 0.0
    parts: dict[str, Part] = field(default_factory=dict)
    statuses: int = 0
    octets: int = 0
    losses: int = 0  # how often it fell silent
    highest: int = 0  # number of its latest status
    told: dict[str, int] = field(default_factory=dict)  # conference: number of the status that it is from
    collected: tuple[int, set[int]] = (0, set())  # of a complete status: number of its first datagram, and which came

    @property
    def here(self) -> bool:
        return self.state == "here"

    @property
    def members(self) -> int:
        return sum(part.members for part in self.parts.values())

    @property
    def speakers(self) -> int:
        return sum(part.speakers for part in self.parts.values())


class NodeTable:
    """All other nodes. dropped: what was not understood, by reason; moved: nodes that have told something, came, or went; who
    looks at those takes them out.
    """

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self.moved: set[str] = set()
        self._nodes: dict[str, Node] = {}
        self._by_conference: dict[str, dict[str, Part]] = {}
        self._speaking: dict[str, dict[str, int]] = {}  # conference: nodes on which somebody speaks, and how many do
        self._doubts: dict[str, float] = {}  # conference: until when an administrator may come back

    def __iter__(self) -> Iterator[Node]:
        return iter(tuple(self._nodes.values()))

    def sorted(self) -> list[Node]:
        """By name."""
        return [self._nodes[name] for name in sorted(self._nodes)]

    def get(self, name: str) -> Node | None:
        return self._nodes.get(name)

    def here(self) -> list[Node]:
        return [node for node in self._nodes.values() if node.here]

    def shares(self, conference: str) -> list[tuple[Node, Part]]:
        """What nodes that are there have of a conference."""
        parts = self._by_conference.get(conference, {})
        return [(self._nodes[name], part) for name, part in parts.items()]

    def speaking(self, conference: str) -> Mapping[str, int]:
        """The nodes on which somebody speaks there, and how many do."""
        return self._speaking.get(conference, {})

    def members(self, conference: str) -> int:
        """On all nodes that are there."""
        return sum(part.members for part in self._by_conference.get(conference, {}).values())

    @property
    def conferences(self) -> Iterable[str]:
        """Those of which other nodes have something."""
        return self._by_conference.keys()

    def administered(self, conference: str, now: float) -> bool:
        """An administrator is in it elsewhere; or was, on a node that may come back."""
        parts = self._by_conference.get(conference, {}).values()
        return any(State.ADMIN in part.state for part in parts) or self._doubts.get(conference, now) > now

    # What comes from the tunnel

    def appeared(self, name: str, epoch: int, now: float) -> list[Effect]:
        """The tunnel has proved that a node is there; one of another epoch than before has been restarted."""
        node = self._nodes.get(name)
        if node is not None and node.epoch == epoch:
            return self._returned(node, now)
        effects: list[Effect] = []
        if node is not None and node.here:
            effects = self._gone(node, "restarted", now)
        if node is None and not self._make_room():
            self.dropped["too many nodes"] += 1
            return []
        losses = node.losses if node else 0
        self._nodes[name] = Node(name, epoch, now, now, now, losses=losses)
        self.moved.add(name)
        return [*effects, Came(name, node is not None)]

    def heard(self, name: str, at: float) -> None:
        """Something genuine came from it, whatever it was: while that is so, lost statuses do not matter."""
        node = self._nodes.get(name)
        if node is not None and node.here:
            node.heard = max(node.heard, at)

    def received(self, name: str, body: bytes, now: float) -> list[Effect]:
        """A status; what is not one is counted and dropped."""
        node = self._nodes.get(name)
        if node is None:
            self.dropped["unknown node"] += 1
            return []
        try:
            status = parse(body)
        except StatusError as error:
            self.dropped[str(error)] += 1
            return []
        node.statuses += 1
        node.octets += len(body)
        node.heard = now
        if About.LEAVING in status.about and status.number > node.highest:
            node.highest = status.number
            return self._gone(node, "left", now)
        if node.state == "left" and status.number <= node.highest:
            return []  # it was overtaken by the goodbye
        effects = self._returned(node, now)
        changed = self._take(node, status, now)
        return [*effects, Changed(frozenset(changed))] if changed else effects

    def wake(self, now: float) -> list[Effect]:
        """To be called every LOOK_EVERY seconds: who has been silent for too long is gone."""
        effects: list[Effect] = []
        for node in self:
            if node.here and now - node.heard >= SILENT:
                node.losses += 1
                self._doubt(node, now)
                effects += self._gone(node, "silent", now)
            elif not node.here and now - node.since > REMEMBERED:
                self._drop(node)
        over = {conference for conference, until in self._doubts.items() if until <= now}
        for conference in over:
            del self._doubts[conference]
        return [*effects, Changed(frozenset(over))] if over else effects

    def flush(self) -> tuple[int, list[Effect]]:
        """Forget what they said of conferences until they say it anew. How many nodes that were."""
        told = [node for node in self if node.parts]
        changed = frozenset(name for node in told for name in node.parts)
        for node in told:
            for name in tuple(node.parts):
                self._forget(node, name)
            node.told.clear()
        return len(told), [Changed(changed)] if changed else []

    # Nodes

    def _returned(self, node: Node, now: float) -> list[Effect]:
        if node.here:
            return []
        node.state, node.since = "here", now
        self.moved.add(node.name)
        return [Came(node.name, True)]

    def _gone(self, node: Node, how: str, now: float) -> list[Effect]:
        """What it said does not count any more; if it comes back, it says it anew."""
        if not node.here:
            return []
        node.state, node.since = how, now
        self.moved.add(node.name)
        changed = frozenset(node.parts)
        for conference in changed:
            self._forget(node, conference)
        node.told.clear()
        node.collected = 0, set()
        return [Went(node.name, how), *([Changed(changed)] if changed else [])]

    def _doubt(self, node: Node, now: float) -> None:
        for part in node.parts.values():
            if State.ADMIN in part.state:
                self._doubts[part.name] = now + DOUBT

    def _make_room(self) -> bool:
        if len(self._nodes) < MOST_NODES:
            return True
        gone = [node for node in self._nodes.values() if not node.here]
        if gone:
            self._drop(min(gone, key=lambda node: node.since))
        return bool(gone)

    def _drop(self, node: Node) -> None:
        """It is not even shown any more."""
        del self._nodes[node.name]
        self.moved.discard(node.name)

    # Their conferences

    def _take(self, node: Node, status: Status, now: float) -> set[str]:
        """The conferences of which the node has something else now."""
        if status.number > node.highest:
            node.highest, node.load, node.told_at = status.number, status.load, now
            self.moved.add(node.name)
        changed = {part.name for part in status.parts if self._update(node, part, status.number)}
        if About.COMPLETE in status.about:
            changed |= self._complete(node, status)
        return changed

    def _update(self, node: Node, part: Part, number: int) -> bool:
        """Whether that is news. The order in which datagrams come does not matter."""
        if number <= node.told.get(part.name, 0):
            return False
        if part.name not in node.told and len(node.told) >= MOST_CONFERENCES:
            self.dropped["too many conferences"] += 1
            return False
        node.told[part.name] = number
        if State.OVER in part.state:
            return self._forget(node, part.name)
        before, node.parts[part.name] = node.parts.get(part.name), part
        self._by_conference.setdefault(part.name, {})[node.name] = part
        self._count_speakers(node, part.name, part.speakers)
        if State.ADMIN in part.state:
            self._doubts.pop(part.name, None)
        return part != before

    def _complete(self, node: Node, status: Status) -> set[str]:
        """When all datagrams of a complete status have come, what they do not name is over."""
        first, collected = node.collected
        if status.first < first:
            return set()
        if status.first > first:
            collected = set()
            node.collected = status.first, collected
        collected.add(status.index)
        if len(collected) < status.total:
            return set()
        old = {name for name, number in node.told.items() if number < status.first}
        for name in old:
            del node.told[name]
        return {name for name in old if self._forget(node, name)}

    def _forget(self, node: Node, conference: str) -> bool:
        if node.parts.pop(conference, None) is None:
            return False
        parts = self._by_conference[conference]
        del parts[node.name]
        if not parts:
            del self._by_conference[conference]
        self._count_speakers(node, conference, 0)
        return True

    def _count_speakers(self, node: Node, conference: str, speakers: int) -> None:
        if speakers:
            self._speaking.setdefault(conference, {})[node.name] = speakers
            return
        counts = self._speaking.get(conference, {})
        if counts.pop(node.name, None) is not None and not counts:
            del self._speaking[conference]
