"""The tunnel on the network: a UDP socket, by unicast to a list of peers or by multicast to a group."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.application.service import Service
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from xconf.cluster.conferences import Codecs, Conferences
from xconf.cluster.frame import Kind
from xconf.cluster.peers import Address
from xconf.cluster.ports import Arrivals, listen
from xconf.cluster.tunnel import HELLO_EVERY, Appeared, Effect, Received, Send, Tunnel, epoch_at

log = logging.getLogger(__name__)

BUFFER = 4 << 20  # octets that the kernel is to hold while we are busy
LOG_EVERY = 60  # greetings between two lines about what was dropped

Message = Callable[[str, bytes], None]


@dataclass(frozen=True, slots=True)
class Ways:
    """Where datagrams come from and go to. listen: our address; group: of multicast, which takes the place of peers; ttl:
    of multicast, how many routers it may pass."""

    listen: Address
    peers: Sequence[Address] = ()
    group: str = ""
    ttl: int = 1


def new_epoch() -> int:
    """For a start now."""
    return epoch_at(time.time(), int.from_bytes(os.urandom(4), "big"))


class TunnelService(Service):
    """One node's tunnel, and the sound of its conferences in it (`conferences`).

    For other kinds of messages: `send`, and `subscribe` for those of others. `appeared(node, epoch)` is called for each
    function of `on_appeared` when a node comes, or comes back after a restart; `every_second` is called after each greeting.
    """

    name = "tunnel"

    def __init__(self, reactor: Any, tunnel: Tunnel, ways: Ways, codecs: Codecs) -> None:
        self.tunnel = tunnel
        self.ways = ways
        self.unsent = 0
        self.conferences = Conferences(self._send_sound, reactor.seconds, codecs)
        self.on_appeared: list[Callable[[str, int], None]] = [lambda node, _: self.conferences.restarted(node)]
        self._reactor = reactor
        self._subscribers: dict[Kind, list[Message]] = {}
        self._protocol = _Protocol(self)
        self._port: Any = None
        self._arrivals: Arrivals | None = None
        self._greeting = LoopingCall(self._greet)
        self._greeting.clock = reactor
        self._prompt: Any = None
        self._greeted = 0

    # For others

    def send(self, kind: Kind, body: bytes) -> None:
        """To all other nodes; may get lost. At most frame.MAX_BODY octets, or ValueError."""
        self._perform(self.tunnel.send(kind, body, self._reactor.seconds()))

    def subscribe(self, kind: Kind, message: Message) -> None:
        """Call `message(node, body)` for each message of that kind; node: the authenticated name."""
        self._subscribers.setdefault(kind, []).append(message)

    def adopt(self, secrets: Sequence[bytes]) -> None:
        """Other secrets, from now on."""
        self.tunnel.adopt(secrets, self._reactor.seconds())

    def counters(self) -> dict[str, int]:
        """What was counted since the start, and what is held."""
        counts = self.tunnel.counts
        return {
            **self.tunnel.sizes(),
            **self.conferences.sizes(),
            "sent": counts.sent,
            "received": counts.received,
            "unsent": self.unsent,
            **{f"dropped_{reason}": count for reason, count in self.tunnel.drops.total.items()},
            **{f"sound_{name}": count for name, count in self.conferences.counters().items()},
        }

    # Start and stop

    def startService(self) -> None:
        super().startService()
        group, (host, number) = self.ways.group, self.ways.listen
        # Bound to the group: what is sent to this port otherwise does not even come in.
        self._port = listen(self._reactor, number, self._protocol, group or host, shared=bool(group))
        handle = self._port.getHandle()
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._arrivals = Arrivals(handle)
        if group:
            self._port.setTTL(self.ways.ttl)
            self._port.setOutgoingInterface(host)
            self._port.joinGroup(group, host).addErrback(self._not_joined)
        self._greeting.start(HELLO_EVERY)

    def stopService(self) -> Any:
        super().stopService()
        if self._greeting.running:
            self._greeting.stop()
        if self._prompt is not None and self._prompt.active():
            self._prompt.cancel()
        port, self._port = self._port, None
        return port.stopListening() if port is not None else None

    def _not_joined(self, failure: Any) -> None:
        log.error(
            "tunnel: cannot join the multicast group %s at %s: %s", self.ways.group, *self.ways.listen[:1], failure
        )

    # What comes and goes

    def read(self) -> None:
        """What has come until now. A tick that is late, for this process had no time, finds the frames that it plays."""
        if self._port is not None:
            self._port.doRead()

    def datagram(self, datagram: bytes, source: Address) -> None:
        """One came."""
        now = self._reactor.seconds()
        self._perform(self.tunnel.receive(datagram, source, now))
        wanted = self.tunnel.wants_wake
        if wanted is not None and (self._prompt is None or not self._prompt.active()):
            self._prompt = self._reactor.callLater(max(0.0, wanted - now), self._greet_newcomer)

    def _greet(self) -> None:
        now = self._reactor.seconds()
        self._perform(self.tunnel.wake(now))
        self.conferences.heard = bool(self.tunnel.alive(now))
        self._greeted += 1
        if self._greeted % LOG_EVERY == 0:
            self._tell_dropped()

    def _greet_newcomer(self) -> None:
        if self.tunnel.wants_wake is not None:
            self._perform(self.tunnel.wake(self._reactor.seconds()))

    def _tell_dropped(self) -> None:
        dropped = self.tunnel.drops.line()
        if dropped:
            log.warning("tunnel: dropped in the last minute: %s", dropped)

    def _send_sound(self, body: bytes) -> None:
        self._perform(self.tunnel.send(Kind.SOUND, body, self._reactor.seconds()))

    def _perform(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._write(effect.datagram)
            elif isinstance(effect, Received):
                self._received(effect)
            else:
                self._appeared(effect)

    def _write(self, datagram: bytes) -> None:
        if self._protocol.transport is None:
            return
        number = self.ways.listen[1]
        for address in ((self.ways.group, number),) if self.ways.group else self.ways.peers:
            try:
                self._protocol.transport.write(datagram, address)
            except OSError:  # no route, a full buffer: the others may have one
                self.unsent += 1

    def _received(self, effect: Received) -> None:
        if effect.kind == Kind.SOUND:
            now = self._reactor.seconds()
            self.conferences.sound(effect.node, effect.body, self._arrivals.last(now) if self._arrivals else now)
            return
        for message in self._subscribers.get(effect.kind, ()):
            with _guarded(effect.kind.name):
                message(effect.node, effect.body)

    def _appeared(self, effect: Appeared) -> None:
        log.info("tunnel: node %s is there", effect.node)
        self.conferences.heard = True
        for call in self.on_appeared:
            with _guarded("appeared"):
                call(effect.node, effect.epoch)


@contextlib.contextmanager
def _guarded(what: str) -> Any:
    """Who listens to the tunnel and fails does not touch the others."""
    try:
        yield
    except Exception:
        log.exception("tunnel: a listener failed (%s)", what)


class _Protocol(DatagramProtocol):
    def __init__(self, service: TunnelService) -> None:
        self._service = service

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._service.datagram(datagram, addr)
