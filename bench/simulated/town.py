"""Nodes in virtual time: tunnel, census and router are the real ones; of members there is only how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

from bench.simulated.clock import Timer, VirtualClock
from bench.simulated.hall import Hall
from bench.simulated.net import Host, Network, address_of
from xconf.cluster.census import LOOK_EVERY, Census
from xconf.cluster.frame import Kind
from xconf.cluster.peers import Address
from xconf.cluster.router import Caller, Router
from xconf.cluster.status import Load
from xconf.cluster.tunnel import HELLO_EVERY, Appeared, Effect, Received, Send, Tunnel

SECRET = b"a secret of the simulation"
CONFERENCE = "3000"
MOST_CALLS, MOST_NODES = 10_000, 300
NOTICED = 3.0  # s within which totals are right again, whatever happened
TICK = 0.02
REDIRECTED = 0.02, 0.2  # s until a telephone that was sent elsewhere calls there


class Town:
    """Nodes that reach each other by `mode` (see `net.MODES`); leaves: of the tree of relays.

    most: calls that a node takes.
    """

    def __init__(self, mode: str = "multicast", *, leaves: int = 0, most: int = MOST_CALLS) -> None:
        self.clock = VirtualClock()
        self.net = Network(self.clock, mode)
        self.nodes: dict[str, Node] = {}
        self.most = most
        self.refused = 0
        self._epoch = 0
        if mode == "relay":
            self.net.plant(leaves, SECRET)

    @property
    def now(self) -> float:
        return self.clock.seconds()

    def start(self, name: str) -> Node:
        """A node starts, perhaps anew."""
        self._epoch += 1
        self.nodes[name] = node = Node(self, name, self._epoch)
        return node

    def crash(self, name: str) -> None:
        """It is not heard any more; its members are not there."""
        self.nodes.pop(name).crash()

    def part(self, names: Iterable[str]) -> None:
        """These nodes and relays reach none but each other."""
        chosen = set(names)
        for host in (*self.net.nodes.values(), *self.net.relays):
            host.side = int(host.name in chosen)

    def heal(self) -> None:
        """All reach each other."""
        self.part(())

    def sources(self, host: Host) -> Iterable[Address]:
        """From where a node expects datagrams: its configuration names its peers, where they are not all in a group."""
        if host.peer is not None:
            return [host.peer.address]
        return map(address_of, range(1, MOST_NODES)) if self.net.mode == "unicast" else ()

    def branch(self, number: int) -> list[str]:
        """A relay of the tree, and its nodes."""
        relay = self.net.relays[number]
        return [relay.name, *(host.name for host in self.net.nodes.values() if host.peer is relay)]

    def run(self, seconds: float) -> None:
        self.clock.run(seconds)

    def members(self, side: int | None = None) -> int:
        """How many there are in truth; side: of those who reach each other there."""
        return sum(node.members for node in self.nodes.values() if side is None or node.host.side == side)

    def wrong(self) -> list[Node]:
        """Nodes on which the total is another one than what there is among those that it can reach."""
        sides = {node.host.side for node in self.nodes.values()}
        truth = {side: self.members(side) for side in sides}
        return [node for node in self.nodes.values() if node.total() != truth[node.host.side]]

    def until_right(self, most: float, step: float = 0.25) -> float | None:
        """Let time go by until all totals are right; how long that took (s), None: longer than `most`."""
        began = self.now
        while self.wrong():
            if self.now - began >= most:
                return None
            self.run(step)
        return self.now - began

    def __iter__(self) -> Iterator[Node]:
        return iter(tuple(self.nodes.values()))


class Node:
    """One of them."""

    def __init__(self, town: Town, name: str, epoch: int) -> None:
        self.town, self.name = town, name
        self.calls = 0
        self.speaking = False
        self.heard: dict[str, int] = {}  # frames of sound that came, by node
        self._prompt: Timer | None = None
        self.hall = Hall(town.clock)
        self.host = town.net.add(name, self.take)
        self.tunnel = Tunnel(name, [SECRET], epoch, sources=town.sources(self.host))
        self.census = Census(name, cast(Any, self.hall), self._tell, self.load)
        self.router = Router(name, self.census.table)
        town.clock.callLater(town.net.random.random() * HELLO_EVERY, self._greet)
        town.clock.callLater(town.net.random.random() * LOOK_EVERY, self._look)

    @property
    def members(self) -> int:
        conference = self.hall.get(CONFERENCE)
        return len(conference.members) if conference is not None else 0

    def total(self) -> int:
        """What it thinks there is on all nodes."""
        return self.members + self.census.table.members(CONFERENCE)

    def load(self) -> Load:
        return Load(self.calls, self.town.most, uri=f"sip:{self.name}")

    def join(self, listeners: int, speakers: int = 0) -> None:
        """So many more, or fewer where these are below 0."""
        self.calls += listeners + speakers
        self.hall.join(CONFERENCE, listeners, speakers)

    def call(self, number: int) -> None:
        """A listener calls this node, which takes him or says who does (302). Who was sent is not sent again."""
        choice = self.router.choose(Caller(CONFERENCE, False, f"{number}@phone"), self.load(), 0, self.town.now)
        if choice is None:
            self.town.refused += 1
        elif choice.node == self.name:
            self.join(1)
        else:
            self.town.clock.callLater(self.town.net.random.uniform(*REDIRECTED), self._called, choice.node)

    def _called(self, name: str) -> None:
        node = self.town.nodes.get(name)
        if node is not None and node.calls < self.town.most:
            node.join(1)
        else:
            self.town.refused += 1

    def speak(self) -> None:
        """From now on, a frame in each tick goes to the others."""
        self.speaking = True
        self._say()

    def crash(self) -> None:
        self.town.net.remove(self.name)

    def _say(self) -> None:
        if self.speaking and self.host.up:
            self._perform(self.tunnel.send(Kind.SOUND, bytes(350), self.town.now))
            self.town.clock.callLater(TICK, self._say)

    def _greet(self) -> None:
        if self.host.up:
            self._perform(self.tunnel.wake(self.town.now))
            self.town.clock.callLater(HELLO_EVERY, self._greet)

    def _look(self) -> None:
        if self.host.up:
            self.census.wake({name: peer.last for name, peer in self.tunnel.peers.items()})
            self.town.clock.callLater(LOOK_EVERY, self._look)

    def _tell(self, body: bytes) -> None:
        if self.host.up:
            self._perform(self.tunnel.send(Kind.STATUS, body, self.town.now))

    def take(self, datagram: bytes, source: Address) -> None:
        now = self.town.now
        self._perform(self.tunnel.receive(datagram, source, now))
        wanted = self.tunnel.wants_wake
        if wanted is not None and (self._prompt is None or not self._prompt.active()):
            self._prompt = self.town.clock.callLater(max(0.0, wanted - now), self._greet_newcomer)

    def _greet_newcomer(self) -> None:
        if self.tunnel.wants_wake is not None and self.host.up:
            self._perform(self.tunnel.wake(self.town.now))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.town.net.send(self.host, effect.datagram)
            elif isinstance(effect, Appeared):
                self.census.appeared(effect.node, effect.epoch)
            elif isinstance(effect, Received) and effect.kind == Kind.STATUS:
                self.census.said(effect.node, effect.body)
            elif isinstance(effect, Received):
                self.heard[effect.node] = self.heard.get(effect.node, 0) + 1
