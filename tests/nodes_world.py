"""Nodes that tell each other of themselves, in virtual time, over a network that loses, delays, reorders and parts them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable

from xconf.cluster.nodes import LOOK_EVERY, STATUS_EVERY, Changed, Effect, NodeTable
from xconf.cluster.status import Load, Part, Reporter

START = 1000.0


class Station:
    """One node. It tells `parts` of itself and keeps what it heard of the others; `effects`: what that led to, with when."""

    def __init__(self, world: NodesWorld, name: str, epoch: int) -> None:
        self.world, self.name, self.epoch = world, name, epoch
        self.parts: dict[str, Part] = {}
        self.load = Load(most_calls=1000)
        self.table = NodeTable()
        self.reporter = Reporter()
        self.effects: list[tuple[float, Effect]] = []
        self.next_status = world.now + world.random.random() * STATUS_EVERY
        self.next_look = world.now + world.random.random() * LOOK_EVERY
        self.listening = True

    def has(self, conference: str, members: int, speakers: int = 0, **more: object) -> None:
        """It has so many members now, and says so."""
        self.parts[conference] = Part(conference, members, speakers, **more)  # type: ignore[arg-type]
        self.tell(self.reporter.changes(self.load, [self.parts[conference]]))

    def tell(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            self.world.send(self, body)

    def leave(self) -> None:
        """It stops, and says so."""
        self.tell(self.reporter.complete(self.load, (), leaving=True))
        self.world.crash(self.name)

    def note(self, effects: Iterable[Effect]) -> None:
        self.effects += [(self.world.now, effect) for effect in effects]

    def noted(self, kind: type[Effect]) -> list[tuple[float, Effect]]:
        return [(at, effect) for at, effect in self.effects if isinstance(effect, kind)]

    def members(self, conference: str) -> int:
        """Of all nodes, as this one knows it."""
        own = self.parts[conference].members if conference in self.parts else 0
        return own + sum(part.members for _, part in self.table.shares(conference))


class NodesWorld:
    """now: s. loss: share of datagrams that is lost; delay: s, least and most; parted: those who only hear each other."""

    def __init__(
        self, *names: str, loss: float = 0.0, delay: tuple[float, float] = (0.0005, 0.001), seed: int = 1
    ) -> None:
        self.now = START
        self.random = random.Random(seed)
        self.loss, self.delay = loss, delay
        self.parted: set[str] = set()
        self.stations: dict[str, Station] = {}
        self.octets = self.datagrams = 0
        self._flying: list[tuple[float, int, str, str, bytes]] = []
        self._number = 0
        for name in names:
            self.start(name)

    def start(self, name: str) -> Station:
        """A node starts, perhaps anew; the tunnels find each other at once."""
        self._number += 1
        station = self.stations[name] = Station(self, name, self._number)
        for other in self.stations.values():
            if other is not station and self._reach(name, other.name):
                other.note(other.table.appeared(name, station.epoch, self.now))
                station.note(station.table.appeared(other.name, other.epoch, self.now))
        return station

    def crash(self, name: str) -> None:
        del self.stations[name]

    def _reach(self, one: str, other: str) -> bool:
        return (one in self.parted) is (other in self.parted)

    def send(self, sender: Station, body: bytes) -> None:
        self.datagrams += 1
        self.octets += len(body)
        for name, station in self.stations.items():
            reached = station is not sender and station.listening and self._reach(name, sender.name)
            if reached and self.random.random() >= self.loss:
                self._number += 1
                at = self.now + self.random.uniform(*self.delay)
                heapq.heappush(self._flying, (at, self._number, sender.name, name, body))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = min(min(station.next_status, station.next_look) for station in self.stations.values())
            due = min(due, self._flying[0][0]) if self._flying else due
            if due > end:
                self.now = end
                return
            self.now = due
            self._turn()

    def _turn(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, _, sender, name, body = heapq.heappop(self._flying)
            if name in self.stations:
                self.stations[name].note(self.stations[name].table.received(sender, body, self.now))
        for station in tuple(self.stations.values()):
            if station.next_look <= self.now:
                station.next_look += LOOK_EVERY
                station.note(station.table.wake(self.now))
            if station.next_status <= self.now:
                station.next_status += STATUS_EVERY
                station.tell(station.reporter.complete(station.load, station.parts.values()))


def changed(station: Station) -> set[str]:
    """The conferences that it was told of."""
    return {name for _, effect in station.noted(Changed) for name in effect.conferences}  # type: ignore[union-attr]
