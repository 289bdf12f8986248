"""The other nodes: what the tunnel and the broker say of them, joined to this node's conferences and commands."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptography import x509
from twisted.application.service import MultiService
from twisted.internet.task import LoopingCall

from xconf.app.config import Configuration
from xconf.app.settings import Settings
from xconf.cluster.bus.desk import Desk
from xconf.cluster.bus.follow import follow_command
from xconf.cluster.bus.latecomer import Latecomer
from xconf.cluster.bus.post import Correspondent, Post
from xconf.cluster.bus.steering import Steering
from xconf.cluster.census import LOOK_EVERY, Census
from xconf.cluster.frame import Kind
from xconf.cluster.node_command import nodes_command
from xconf.cluster.router import Router
from xconf.cluster.service import TunnelService
from xconf.cluster.status import Load, Takes
from xconf.conference.dispatch import Result, in_turns
from xconf.conference.events import Error
from xconf.conference.registry import Conferences
from xconf.conference.turns import Turns

CPU_OVER = 1.0  # s over which the processor's use is told


@dataclass(frozen=True, slots=True)
class Busy:
    """calls: that are up or being set up; late: ms by which 99 % of the last ticks came at most late; draining: it is being
    drained; overloaded: it has no time for more calls.
    """

    calls: int
    late: float
    draining: bool
    overloaded: bool


class Nodes(MultiService):
    """on_gone: told the name of a node that is not there any more.

    busy: how busy this node is, as far as calls and media go; bus_trust: who signs the broker's certificate, None: whom the
    system believes."""

    name = "nodes"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        tunnel: TunnelService,
        conferences: Conferences,
        busy: Callable[[], Busy],
        bus_trust: Sequence[x509.Certificate] | None = None,
    ) -> None:
        super().__init__()
        self.on_gone: list[Callable[[str], None]] = []
        self._conferences = conferences
        self._tunnel = tunnel
        self._busy = busy
        self._idle = offered(settings)
        self._cpu = Processor()
        self.census = Census(settings.node.name, conferences, self._send, self.load, self._gone)
        self.router = Router(settings.node.name, self.census.table) if settings.cluster.router.enable else None
        self.post = Post(settings.node.name, tunnel.tunnel.epoch, settings.cluster.secrets, self._known)
        self.rabbit = self._make_rabbit(reactor, settings, bus_trust)
        self.desk = self._make_desk()
        self._steering = Steering(conferences, self.census, self.desk)
        self._latecomer = Latecomer(conferences, self.census, self.desk) if self.desk is not None else None
        self.run = self._steering.run
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        tunnel.on_appeared.append(self.census.appeared)
        tunnel.subscribe(Kind.STATUS, self.census.said)
        conferences.commands.add([nodes_command(self.census, self.load)])

    def _make_rabbit(self, reactor: Any, settings: Settings, trust: Sequence[x509.Certificate] | None) -> Any:
        """What it needs of AMQP is loaded only where there is one."""
        bus = settings.cluster.bus
        if bus is None:
            return None
        from xconf.cluster.bus.transport import Rabbit

        name = settings.node.name
        rabbit = Rabbit(reactor, bus.text, name, lambda letter: self._letter(letter), self._tell, trust)
        rabbit.setServiceParent(self)
        return rabbit

    def _make_desk(self) -> Desk | None:
        if self.rabbit is None:
            return None
        desk = Desk(self._conferences, self.post, self.rabbit, lambda: [node.name for node in self.census.table.here()])
        self._conferences.commands.add([follow_command(desk.follower)])
        return desk

    def adopt(self, secrets: Sequence[bytes]) -> None:
        """Other secrets, from now on."""
        self.post.adopt(secrets)

    def load(self) -> Load:
        """How busy this node is."""
        busy = self._busy()
        inside = sum(len(one.members) + len(one.waiting) + len(one.leaving) for one in self._conferences)
        return replace(
            self._idle,
            calls=busy.calls,
            late=busy.late,
            cpu=self._cpu.percent,
            pending=max(0, busy.calls - inside),
            draining=busy.draining,
            takes=Takes(0) if busy.overloaded else self._idle.takes,
        )

    def counters(self) -> dict[str, int]:
        """What was counted since the start."""
        router = self.router.counters if self.router is not None else {}
        counts = {f"placed_{kind}": count for kind, count in router.items()}
        counts |= {f"status_{reason.replace(' ', '_')}": count for reason, count in self.census.table.dropped.items()}
        if self.rabbit is not None:
            counts |= {f"bus_{name}": count for name, count in self.rabbit.counters.items()}
        if self.desk is not None:
            counts["following"] = len(self.desk.follower)
        return counts | {f"bus_dropped_{reason}": count for reason, count in self.post.dropped.items()}

    def startService(self) -> None:
        super().startService()
        self._cpu = Processor()
        self._looking.start(LOOK_EVERY)

    def stopService(self) -> Any:
        if self._looking.running:
            self._looking.stop()
            self.census.stop()
        if self._latecomer is not None:
            self._latecomer.stop()
        return super().stopService()

    def _look(self) -> None:
        self.census.wake({name: peer.last for name, peer in self._tunnel.tunnel.peers.items()})

    def _send(self, body: bytes) -> None:
        self._tunnel.send(Kind.STATUS, body)

    def _gone(self, node: str) -> None:
        self._tunnel.conferences.restarted(node)  # nothing of it is heard any more
        if self.desk is not None:
            self.desk.gone(node)
        for told in self.on_gone:
            told(node)

    def _letter(self, letter: bytes) -> None:
        if self.desk is not None:
            self.desk.letter(letter)

    def _known(self, name: str) -> Correspondent | None:
        peer = self._tunnel.tunnel.peers.get(name)
        return None if peer is None else Correspondent(peer.epoch, peer.keys)

    def _tell(self, line: str) -> None:
        self._conferences.events.publish(Error, conference="", part="bus", error=line)


def offered(settings: Settings) -> Load:
    """What this node has room for, and where callers who came to other nodes reach it."""
    cluster = settings.cluster
    uri = cluster.own_uri(settings.sip.listen)
    takes = Takes[cluster.router.takes.upper()]
    return Load(most_calls=settings.sip.limits.calls, uri=uri, region=cluster.router.region, takes=takes)


class Processor:
    """How much of a core this process uses. A daemon is another process than the one that read its configuration, and its count
    of what it has used begins anew.
    """

    def __init__(self) -> None:
        self._since, self._used = time.monotonic(), time.process_time()
        self._percent = 0.0

    @property
    def percent(self) -> float:
        """Over the last second or so."""
        now = time.monotonic()
        if now - self._since >= CPU_OVER:
            used = time.process_time()
            self._percent = max(0.0, 100 * (used - self._used) / (now - self._since))
            self._since, self._used = now, used
        return self._percent


def make_nodes(
    reactor: Any,
    configuration: Configuration,
    tunnel: TunnelService | None,
    conferences: Conferences,
    busy: Callable[[], Busy],
) -> Nodes | None:
    """None where there is no cluster."""
    if tunnel is None:
        return None
    return Nodes(reactor, configuration.settings, tunnel, conferences, busy, configuration.bus_trust)


Run = Callable[[str | Sequence[str]], Turns[Result]]


def steered(nodes: Nodes | None, conferences: Conferences) -> Run:
    """What runs commands: on this node, or on all."""
    return nodes.run if nodes is not None else lambda command: in_turns(conferences, command)
