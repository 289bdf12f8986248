"""Nodes' tunnels on a network that is not there: it delays, loses, reorders and doubles what it is told to."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator

import numpy as np

from xconf.cluster.conferences import Codecs, Conferences
from xconf.cluster.frame import Kind
from xconf.cluster.streams import Stream
from xconf.cluster.tunnel import Appeared, Effect, Received, Send, Tunnel
from xconf.cluster.urn import Urn

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
        self.effects_of: dict[str, Callable[[Effect], None]] = {}
        self.random = random.Random(1)
        self._flying: list[tuple[float, int, str, str, bytes]] = []
        self._calls: list[tuple[float, int, Callable[[], None]]] = []
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
                self.effects_of.get(sender, lambda effect: None)(effect)

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
            while self._calls and self._calls[0][0] <= self.now:
                heapq.heappop(self._calls)[2]()
            if self.now >= end and not any(pile and pile[0][0] <= end for pile in (self._flying, self._calls)):
                return

    def _due(self) -> float:
        flying = [self._flying[0][0]] if self._flying else []
        wanted = [t.wants_wake for t in self.tunnels.values() if t.wants_wake is not None]
        calls = [self._calls[0][0]] if self._calls else []
        return min([*flying, *wanted, *calls, *(self._woken.get(name, -1.0) + 1.0 for name in self.tunnels)])

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call that at that time."""
        self._number += 1
        heapq.heappush(self._calls, (when, self._number, call))

    def received(self, name: str) -> Iterator[Received]:
        return (effect for effect in self.effects[name] if isinstance(effect, Received))

    def appeared(self, name: str) -> list[str]:
        return [effect.node for effect in self.effects[name] if isinstance(effect, Appeared)]


class NoCodecs:
    """L16 only."""

    def coder(self, rate: int, channels: int) -> None:
        return None

    def decoder(self, rate: int, channels: int) -> None:
        return None


class SoundNode:
    """A node that says a tone in one conference and keeps what it hears of the others.

    phase: s by which its ticks are later than those of others; ppm: by how much its clock is slow; say: gives the frame of
    a tick, or None.
    """

    def __init__(
        self,
        wire: Wire,
        name: str,
        *,
        rate: int = 8000,
        channels: int = 1,
        phase: float = 0.0,
        ppm: float = 0.0,
        first_tick: int = 0,
        epoch: int = 1,
        codecs: Codecs | None = None,
        say: Callable[[int], np.ndarray | None] = lambda tick: None,
    ) -> None:
        self.wire, self.name, self.rate, self.say = wire, name, rate, say
        self.tunnel = Tunnel(name, [SECRET], epoch)
        wire.add(self.tunnel)
        self.conferences = Conferences(self._send, lambda: wire.now, codecs or NoCodecs())
        self.link = self.conferences.open("3000", rate, channels)
        self.frames: list[np.ndarray] = []
        self.silence = np.zeros(rate // 50 * channels, np.int16)
        self.missed: set[int] = set()  # ticks that it sleeps through
        self._period = 0.02 * (1 + ppm / 1e6)
        self._tick, self._first, self._began = 0, first_tick, wire.now + phase
        wire.effects_of[name] = self._take
        wire.at(self._began, self._beat)

    def _send(self, body: bytes) -> None:
        self.wire.send(self.name, self.tunnel.send(Kind.SOUND, body, self.wire.now))

    def _take(self, effect: Effect) -> None:
        if isinstance(effect, Received):
            self.conferences.sound(effect.node, effect.body, self.wire.now)
        elif isinstance(effect, Appeared):
            self.conferences.restarted(effect.node)

    def _beat(self) -> None:
        self.conferences.heard = bool(self.tunnel.alive(self.wire.now))
        if self._tick not in self.missed:
            self.link.send(self._first + self._tick, self.say(self._tick))
            frame = self.link.receive(self._first + self._tick)
            self.frames.append(self.silence if frame is None else frame.copy())
        self._tick += 1
        if self.wire.tunnels.get(self.name) is self.tunnel:
            self.wire.at(self._began + self._tick * self._period, self._beat)

    def heard(self, seconds: float) -> np.ndarray:
        """What it heard last."""
        return np.concatenate(self.frames[-round(seconds * 50) :])

    @property
    def stream(self) -> Stream:
        """The only one that it hears."""
        (source,) = self.link.sources.values()
        return source.stream


def tone(rate: int, hertz: float, level: float = 4000.0) -> Callable[[int], np.ndarray]:
    """A sine, frame by frame."""

    def frame(tick: int) -> np.ndarray:
        at = (np.arange(rate // 50) + tick * (rate // 50)) / rate
        return np.rint(level * np.sin(2 * np.pi * hertz * at)).astype(np.int16)

    return frame


def level_at(sound: np.ndarray, rate: int, hertz: float) -> float:
    """The amplitude of a tone in it."""
    window = np.hanning(len(sound))
    at = np.exp(-2j * np.pi * hertz * np.arange(len(sound)) / rate)
    return float(abs((sound * window * at).sum()) / window.sum() * 2)


def decibels(level: float, reference: float) -> float:
    return 20 * float(np.log10(max(level, 1e-9) / reference))


def node_of_speakers(conference: str) -> str:
    """Which of nodes a and b takes the first who speaks in it, if they are equal otherwise."""
    urn = Urn()
    for name in "ab":
        urn.put(name, 1)
    return urn.draw(conference)
