"""A world of user agents in virtual time, and a network between them that loses, doubles and reorders datagrams."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from xconf.sip.events import Ended, Event, Transmit
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Message, Request, Response, parse
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.useragent import Invited, Offered, UserAgent

E = TypeVar("E", bound=Event)

OFFER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
ANSWER = OFFER.replace(b"192.0.2.1", b"192.0.2.2")
OTHER_OFFER = OFFER.replace(b"4000", b"4004")
NOTHING = {"transactions": 0, "dialogs": 0, "sessions": 0, "timers": 0}


@dataclass
class Network:
    """delay: seconds, shortest and longest; what differs overtakes. loses: called for each message, True drops it."""

    rng: random.Random = field(default_factory=lambda: random.Random(1))
    loss: float = 0.0
    doubling: float = 0.0
    delay: tuple[float, float] = (0.01, 0.01)
    loses: Callable[[Message, str], bool] = lambda message, to: False

    def arrivals(self, message: Message, to: str) -> list[float]:
        if self.loses(message, to) or self.rng.random() < self.loss:
            return []
        copies = 2 if self.rng.random() < self.doubling else 1
        return [self.rng.uniform(*self.delay) for _ in range(copies)]


class Node:
    """A user agent and what its owner does. `on[Invited] = function(event)` takes the place of the usual reaction."""

    def __init__(self, world: World, name: str, place: Place, settings: Settings | None) -> None:
        self.name = name
        self.place = place
        self.world = world
        self.ua = UserAgent(settings, random.Random(name))
        self.events: list[Event] = []
        self.on: dict[type[Event], Callable[[Any], None]] = {
            Invited: lambda event: event.session.accept(ANSWER if event.request.body else OFFER, self.now),
            Offered: lambda event: event.session.accept(ANSWER if event.offer_sdp else OFFER, self.now),
        }

    @property
    def now(self) -> float:
        return self.world.now

    def flow(self, other: Place) -> Flow:
        return Flow("udp", self.place, other)

    def call(self, other: Node, **options: Any) -> Session:
        options = {"sdp": OFFER, "from_": f"<sip:{self.name}@example.com>", "flow": self.flow(other.place)} | options
        session = self.ua.invite(f"sip:{other.name}@{other.place[0]}:{other.place[1]}", now=self.now, **options)
        self.flush()
        return session

    def receive(self, data: bytes, source: Place) -> None:
        self.ua.receive(data, self.flow(source), self.now)
        self.flush()

    def wake(self) -> None:
        self.ua.wake(self.now)
        self.flush()

    def flush(self) -> None:
        while effects := self.ua.drain():
            for effect in effects:
                if isinstance(effect, Transmit):
                    self.world.carry(self, effect)
                else:
                    self.events.append(effect)
                    if (reaction := self.on.get(type(effect))) is not None:
                        reaction(effect)

    def seen(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def endings(self) -> list[tuple[str, str]]:
        return [(event.cause.value, event.by) for event in self.seen(Ended)]


class World:
    """Time goes from event to event."""

    def __init__(self, network: Network | None = None) -> None:
        self.now = 0.0
        self.network = network or Network()
        self.nodes: dict[Place, Node] = {}
        self.wire: list[tuple[float, str, str, Message]] = []
        """(when, from, to, message) of all that was sent, lost or not."""
        self._order = count()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []

    def node(self, name: str, settings: Settings | None = None) -> Node:
        place = (f"192.0.2.{len(self.nodes) + 1}", 5060)
        node = self.nodes[place] = Node(self, name, place, settings)
        return node

    def later(self, delay: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.now + delay, next(self._order), do))

    def carry(self, sender: Node, effect: Transmit) -> None:
        message = parse(effect.data)
        to = self.nodes.get(effect.flow.remote)
        self.wire.append((self.now, sender.name, to.name if to else str(effect.flow.remote), message))
        if to is None:
            return
        for delay in self.network.arrivals(message, to.name):
            self.later(delay, lambda: to.receive(effect.data, sender.place))

    def run(self, seconds: float) -> None:
        """Let this much time pass."""
        until = self.now + seconds
        for node in self.nodes.values():
            node.flush()
        while (due := self._next()) is not None and due <= until:
            self.now = max(self.now, due)
            if self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2]()
                continue
            for node in self.nodes.values():
                node.wake()
        self.now = until

    def _next(self) -> float | None:
        wakes = [wake for node in self.nodes.values() if (wake := node.ua.next_wake()) is not None]
        return min([*wakes, *(entry[0] for entry in self._queue[:1])], default=None)

    def settle(self) -> None:
        """Long enough for everything to be over; then nothing may be left anywhere."""
        self.run(200)
        for node in self.nodes.values():
            assert node.ua.sizes() == NOTHING, (node.name, node.ua.sizes(), node.events)
            sessions = [event.session for event in node.seen(Ended)]
            assert len(sessions) == len(set(sessions)), "a session ended twice"

    def sent(self, start: str, *, by: str | None = None) -> list[Message]:
        """All messages whose first line begins like this."""
        return [
            message
            for _, sender, _, message in self.wire
            if message.start_line().startswith(start) and by in (None, sender)
        ]

    def times(self, start: str) -> list[float]:
        return [round(when, 3) for when, _, _, message in self.wire if message.start_line().startswith(start)]


def drops(start: str, how_many: int = 10**9, *, method: str | None = None) -> Callable[[Message, str], bool]:
    """A network's `loses`: the first so many messages of this first line (of this method, by CSeq) are lost."""
    left = [how_many]

    def loses(message: Message, to: str) -> bool:
        hit = message.start_line().startswith(start) and method in (None, message.cseq.method) and left[0] > 0
        left[0] -= hit
        return hit

    return loses


__all__ = ["ANSWER", "NOTHING", "OFFER", "OTHER_OFFER", "Network", "Node", "Request", "Response", "World", "drops"]
