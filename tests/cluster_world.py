"""Nodes' tunnels on a network that is not there: it delays, loses, reorders and doubles what it is told to."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator

from xconf.cluster.tunnel import Appeared, Effect, Received, Send, Tunnel

SECRET = b"a secret of the tests"
OTHER = b"another secret of the tests"


class Wire:
    """All tunnels hear each other. now: s; delay: how long a datagram takes, None: it is lost."""

    def __init__(self, *tunnels: Tunnel, delay: Callable[[], float | None] = lambda: 0.0005) -> None:
        self.now = 100.0
        self.delay = delay
        self.tunnels = {tunnel.name: tunnel for tunnel in tunnels}
        self.cut: set[str] = set()  # neither heard nor hearing
        self.doubled = 0.0  # share of datagrams that come twice
        self.effects: dict[str, list[Effect]] = {tunnel.name: [] for tunnel in tunnels}
        self.recorded: list[tuple[str, bytes]] = []
        self.on_effect: Callable[[str, Effect], None] | None = None
        self.random = random.Random(1)
        self._flying: list[tuple[float, int, str, str, bytes]] = []
        self._number = 0
        self._woken: dict[str, float] = {}

    def add(self, tunnel: Tunnel) -> None:
        """It starts, perhaps anew."""
        self.tunnels[tunnel.name] = tunnel
        self.effects[tunnel.name] = []
        self._woken.pop(tunnel.name, None)

    def stop(self, name: str) -> None:
        del self.tunnels[name]

    def send(self, sender: str, effects: list[Effect] | list[Send]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self.recorded.append((sender, effect.datagram))
                for name in self.tunnels:
                    if name != sender and not {name, sender} & self.cut:
                        self._fly(sender, name, effect.datagram)
            else:
                self.effects[sender].append(effect)
                if self.on_effect is not None:
                    self.on_effect(sender, effect)

    def _fly(self, sender: str, name: str, datagram: bytes) -> None:
        for _ in range(1 + (self.random.random() < self.doubled)):
            delay = self.delay()
            if delay is not None:
                self._number += 1
                heapq.heappush(self._flying, (self.now + delay, self._number, sender, name, datagram))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            due = min(self._due(), end)
            self.now = max(self.now, due)
            for name, tunnel in list(self.tunnels.items()):
                if self._woken.get(name, 0.0) + 1.0 <= self.now or (tunnel.wants_wake or end + 1) <= self.now:
                    self._woken[name] = self.now
                    self.send(name, tunnel.wake(self.now))
            while self._flying and self._flying[0][0] <= self.now:
                _, _, sender, name, datagram = heapq.heappop(self._flying)
                if name in self.tunnels:
                    self.send(name, self.tunnels[name].receive(datagram, (sender, 65021), self.now))
            if self.now >= end and not (self._flying and self._flying[0][0] <= end):
                return

    def _due(self) -> float:
        flying = [self._flying[0][0]] if self._flying else []
        wanted = [t.wants_wake for t in self.tunnels.values() if t.wants_wake is not None]
        return min([*flying, *wanted, *(self._woken.get(name, -1.0) + 1.0 for name in self.tunnels)])

    def received(self, name: str) -> Iterator[Received]:
        return (effect for effect in self.effects[name] if isinstance(effect, Received))

    def appeared(self, name: str) -> list[str]:
        return [effect.node for effect in self.effects[name] if isinstance(effect, Appeared)]
