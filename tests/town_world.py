"""Nodes with conferences and callers, that know of each other, in virtual time and without a network."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from conference_world import World

from xconf.cluster.bus.desk import Desk
from xconf.cluster.bus.latecomer import Latecomer
from xconf.cluster.bus.post import Correspondent, Post
from xconf.cluster.bus.steering import Steering
from xconf.cluster.census import LOOK_EVERY, Census
from xconf.cluster.seal import key_id
from xconf.cluster.status import Load
from xconf.conference.dispatch import Result, final
from xconf.conference.turns import finish

WAY = 0.01  # s that a datagram takes


class NodeWorld(World):
    """One of the nodes; `up` until it crashes."""

    desk: Desk | None = None
    steering: Steering
    latecomer: Latecomer

    def __init__(self, town: Town, name: str, epoch: int, profile: Mapping[str, Any] | None) -> None:
        super().__init__(profile)
        self.town, self.name, self.epoch = town, name, epoch
        self.up = True
        self.heard: dict[str, float] = {}
        self.gone: list[str] = []
        self.clock.advance(town.now)
        self.load: Load | None = None  # what it tells of itself, where a test says it
        self.census = Census(name, self.node, self._send, lambda: self.load or Load(calls=len(self.node)), self._gone)
        self.clock.callLater(0, self._look)

    def _gone(self, node: str) -> None:
        self.gone.append(node)
        if self.desk is not None:
            self.desk.gone(node)

    def _look(self) -> None:
        self.census.wake(self.heard)
        self.clock.callLater(LOOK_EVERY, self._look)

    def _send(self, body: bytes) -> None:
        for other in self.town.others(self):
            other.clock.callLater(WAY, other.receive, self, body)

    def receive(self, sender: NodeWorld, body: bytes) -> None:
        if self.town.reach(sender, self):
            self.heard[sender.name] = self.clock.seconds()
            self.census.said(sender.name, body)


class Town:
    """All nodes. parted: those that only hear one another."""

    def __init__(self, *names: str, profile: Mapping[str, Any] | None = None) -> None:
        self.now = 0.0
        self.parted: set[str] = set()
        self.profile = profile
        self.nodes: dict[str, NodeWorld] = {}
        self._epoch = 0
        for name in names:
            self.start(name)
        self.wait(0.1)

    def __getitem__(self, name: str) -> NodeWorld:
        return self.nodes[name]

    def start(self, name: str) -> NodeWorld:
        self._epoch += 1
        node = self.nodes[name] = NodeWorld(self, name, self._epoch, self.profile)
        for other in self.others(node):
            other.census.appeared(name, node.epoch)
            node.census.appeared(other.name, other.epoch)
        return node

    def crash(self, name: str) -> None:
        self.nodes.pop(name).up = False

    def reach(self, one: NodeWorld, other: NodeWorld) -> bool:
        return one.up and other.up and (one.name in self.parted) is (other.name in self.parted)

    def others(self, node: NodeWorld) -> list[NodeWorld]:
        return [other for other in self.nodes.values() if other is not node and self.reach(node, other)]

    def wait(self, seconds: float) -> None:
        """Time goes by on all nodes alike."""
        for _ in range(round(seconds / 0.05)):
            self.now += 0.05
            for node in tuple(self.nodes.values()):
                node.clock.advance(0.05)


class FakeBroker:
    """The bus of a town. It takes its time, and loses, repeats and shows letters as it is told to; `up` or not."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.up = True
        self.lost = 0.0
        self.letters: list[tuple[str, bytes]] = []
        self.random = random.Random(1)

    def deliver(self, to: str, letter: bytes) -> None:
        self.letters.append((to, letter))
        node = self.town.nodes.get(to)
        if self.up and node is not None and self.random.random() >= self.lost:
            node.clock.callLater(WAY, self._hand_over, node, letter)

    def _hand_over(self, node: NodeWorld, letter: bytes) -> None:
        if node.up and node.desk is not None:
            node.desk.letter(letter)


class FakeLine:
    """One node's way to the broker."""

    def __init__(self, broker: FakeBroker) -> None:
        self.broker = broker

    @property
    def up(self) -> bool:
        return self.broker.up

    def send(self, to: str, letter: bytes) -> None:
        self.broker.deliver(to, letter)


SECRET = b"a secret of the tests"


class SteeredTown(Town):
    """With a broker: `ask` runs a command on a node, and gives what it said at last."""

    def __init__(self, *names: str, profile: Mapping[str, Any] | None = None) -> None:
        self.broker = FakeBroker(self)
        super().__init__(*names, profile=profile)

    def start(self, name: str) -> NodeWorld:
        node = super().start(name)
        post = Post(name, node.epoch, [SECRET], lambda other: self._known(node, other))
        node.desk = Desk(
            node.node, post, FakeLine(self.broker), lambda: [other.name for other in node.census.table.here()]
        )
        node.steering = Steering(node.node, node.census, node.desk)
        node.latecomer = Latecomer(node.node, node.census, node.desk)
        node.node.steer = node.steering.run
        return node

    def _known(self, node: NodeWorld, other: str) -> Correspondent | None:
        entry = node.census.table.get(other)
        return Correspondent(entry.epoch, {key_id(SECRET)}) if entry else None

    def ask(self, name: str, line: str, within: float = 5.0) -> Result:
        said: list[Result] = []
        result = finish(self[name].steering.run(line))
        if result.later is None:
            return result
        result.later.then(lambda outcome: said.append(final(outcome)))
        until = self.now + within
        while not said and self.now < until:
            self.wait(0.05)
        assert said, f"no answer to {line}"
        return said[0]

    def did(self, name: str, line: str) -> str:
        result = self.ask(name, line)
        assert result.ok, result.text
        return result.text
