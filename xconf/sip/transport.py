"""The user agent on the network: sockets, the reactor's clock, and the delivery of events, as a Twisted service."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from xconf.sip.errors import LocalProtocolError
from xconf.sip.events import Ended, Event, Invited, Transmit
from xconf.sip.flow import DEFAULT_PORT, Flow, Place
from xconf.sip.ports import WILDCARDS, DatagramPort, Routes
from xconf.sip.settings import Settings
from xconf.sip.stream import Item
from xconf.sip.tcp.ports import Connections
from xconf.sip.tls.ports import Security
from xconf.sip.useragent import UserAgent

log = Logger()

Trace = Callable[[str, Flow, bytes], None]

_LARGEST_DATAGRAM = 65_535
_SWEEP = 10.0  # s
_MOST_FAILURES = 1000  # places that could not be connected to, whose reason is remembered
_MOST_TOLD = 10  # refused handshakes that are logged between two sweeps
_LAST_WORDS = 1.0  # s that requests of ours, BYEs most likely, may wait for their answer at the stop
_LAST_LOOK = 0.02


def parse_listen(url: str) -> tuple[str, Place]:
    """`udp://127.0.0.1:5060` as ("udp", ("127.0.0.1", 5060)). Raises LocalProtocolError with what is wrong."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise LocalProtocolError(f"{url}: the port is not in 0..65535") from None
    if parts.scheme not in DEFAULT_PORT or not parts.hostname:
        raise LocalProtocolError(f"{url}: not like udp://address:port, tcp://address:port or tls://address:port")
    return parts.scheme, (parts.hostname, DEFAULT_PORT[parts.scheme] if port is None else port)


class SIPService(Service):
    """Listens on the URLs and calls `handle` with each event of its user agent.

    What a session is asked to do goes out by itself, whoever asks and when. startService raises Twisted's
    CannotListenError, one line with the address, and leaves nothing open then. Set `trace` to see all messages:
    trace("in" or "out", flow, data).
    """

    name = "sip"

    def __init__(
        self,
        reactor: Any,
        listen: Iterable[str],
        handle: Callable[[Any], None],
        settings: Settings | None = None,
        *,
        rng: random.Random | None = None,
        max_connections: int = 10_000,
        security: Security | None = None,
    ) -> None:
        self.user_agent = UserAgent(settings, rng)
        self.user_agent.out.wanted = self._output
        self.handle = handle
        self.trace: Trace | None = None
        self.connections = Connections(reactor, self, max_connections, security)
        self._security = security
        self._failures: OrderedDict[tuple[str, Place], str] = OrderedDict()
        self._handshakes_told = 0
        self.reactor = reactor
        self._listen = [parse_listen(url) for url in listen]
        self._routes = Routes()
        self._ports: list[Any] = []
        self._datagrams: dict[Place, DatagramPort] = {}
        self._listeners: list[tuple[str, Place]] = []
        self._pumping = False
        self._wake_call: IDelayedCall | None = None
        self._sweeper = LoopingCall(self._sweep)
        self._sweeper.clock = reactor

    # Start and stop

    def startService(self) -> None:
        try:
            for transport, place in self._listen:
                self._open(transport, place)
        except CannotListenError:
            self._close_ports()
            raise
        super().startService()
        self._sweeper.start(_SWEEP, now=False)

    def _open(self, transport: str, place: Place) -> None:
        host, port = place
        if transport != "udp":
            factory = self._factory(transport)
            listening = self.reactor.listenTCP(port, factory, backlog=512, interface=host)
        else:
            datagrams = DatagramPort(self, self._routes)
            listening = self.reactor.listenUDP(port, datagrams, interface=host, maxPacketSize=_LARGEST_DATAGRAM)
            self._datagrams[datagrams.place] = datagrams
        self._ports.append(listening)
        self._listeners.append((transport, (host, listening.getHost().port)))

    def _factory(self, transport: str) -> Factory[Any]:
        if transport == "tcp":
            return self.connections
        if self._security is None or self._security.contexts.identity is None:
            raise LocalProtocolError("tls:// needs a certificate")
        return self.connections.secured(self._security)

    def _close_ports(self) -> None:
        for port in self._ports:
            port.stopListening()
        self._ports.clear()
        self._datagrams.clear()
        self._listeners.clear()

    def stopService(self) -> Deferred[None]:
        """Fires when the sockets are closed: as soon as all sessions are over and the peers have answered our last
        requests, or after a second. A session that is hung up before its ACK has come is not over until then.
        """
        super().stopService()
        stopped: Deferred[None] = Deferred()
        self._stop_when_quiet(self.seconds() + _LAST_WORDS, stopped)
        return stopped

    def _stop_when_quiet(self, latest: float, stopped: Deferred[None]) -> None:
        waiting = self.user_agent.transactions.unanswered or any(self.user_agent.sessions)
        if waiting and self.seconds() < latest:
            self.reactor.callLater(_LAST_LOOK, self._stop_when_quiet, latest, stopped)
            return
        if self._sweeper.running:
            self._sweeper.stop()
        self._close_ports()
        self.connections.close()
        self._cancel_wake()
        stopped.callback(None)

    @property
    def listeners(self) -> list[tuple[str, Place]]:
        """(transport, place) of all that is listened on, with the real ports."""
        return self._listeners.copy()

    @property
    def transports(self) -> list[str]:
        """What requests of ours can go by."""
        listened = {transport for transport, _ in self._listeners}
        secure = ["tls"] if self._security is not None else []
        return [*(["udp"] if "udp" in listened else []), "tcp", *secure]

    def flow_to(self, transport: str, remote: Place, names: tuple[str, ...] = ()) -> Flow:
        """How to reach an address from here. names: over TLS, whom the certificate there must be for (see Flow).

        From what we listen on, so that the peer can answer. Where that is nothing of TCP or TLS, the connection that we
        make is the only way back. Raises LocalProtocolError when there is no way.
        """
        if transport not in DEFAULT_PORT:
            raise LocalProtocolError(f"{transport} is not udp, tcp or tls")
        try:
            ours, fault = self._routes.local(remote[0]), ""
        except OSError as error:
            ours, fault = "", f"no way to {remote[0]}: {error.strerror or error}"
        places = self._facing(transport, remote[0])
        best = min(
            places, key=lambda place: place[0] not in (ours, *WILDCARDS), default=(ours, DEFAULT_PORT[transport])
        )
        if not places and transport == "udp":
            fault = f"nothing listens for udp here, so that {remote[0]} could answer"
        host = ours if best[0] in WILDCARDS else best[0]
        if not host or (fault and not places):
            raise LocalProtocolError(fault)
        return Flow(transport, (host, best[1]), remote, None, names)

    def _facing(self, transport: str, remote: str) -> list[Place]:
        """Where we listen for a transport, at addresses of the same family."""
        places = [place for name, place in self._listeners if name == transport]
        return [place for place in places if place[0] == "::" or (":" in place[0]) == (":" in remote)]

    def why_failed(self, flow: Flow) -> str:
        """Why the last connection to there failed; empty when it stands, or there was none."""
        return self._failures.get((flow.transport, flow.remote), "")

    # What the sockets tell

    def received(self, data: bytes | Item, flow: Flow) -> None:
        self._work(self.user_agent.receive, data, flow)

    def flow_failed(self, flow: Flow) -> None:
        self._work(self.user_agent.flow_failed, flow)

    def connection_stands(self, flow: Flow) -> None:
        """What went wrong before is over."""
        self._failures.pop((flow.transport, flow.remote), None)

    def connection_failed(self, flow: Flow, why: str) -> None:
        """One that we wanted; those who wait for it hear of it by flow_failed."""
        self._failures[flow.transport, flow.remote] = why
        self._failures.move_to_end((flow.transport, flow.remote))
        if len(self._failures) > _MOST_FAILURES:
            self._failures.popitem(last=False)
        log.warn("connection to {flow} failed: {why}", flow=flow, why=why)

    def handshake_failed(self, flow: Flow, why: str) -> None:
        """One that a peer wanted. Anybody can: not each is told of."""
        self.count("tls_refused")
        self._handshakes_told += 1
        if self._handshakes_told <= _MOST_TOLD:
            log.info("{flow} is refused: {why}", flow=flow, why=why)

    def _sweep(self) -> None:
        self._handshakes_told = 0
        self.connections.sweep(self.seconds())

    def traced(self, direction: str, flow: Flow, data: bytes) -> None:
        if self.trace is not None:
            self.trace(direction, flow, data)

    def count(self, name: str) -> None:
        self.user_agent.counters[name] += 1

    def seconds(self) -> float:
        return float(self.reactor.seconds())

    # The user agent's work

    def _work(self, do: Callable[..., None], *args: Any) -> None:
        """A fault of ours in one message must not keep the others from being answered."""
        pumping, self._pumping = self._pumping, True  # what comes of it goes out when it is done
        try:
            do(*args, self.seconds())
        except Exception:
            self.count("faults")
            log.failure("a fault in SIP; the message is dropped")
        finally:
            self._pumping = pumping
        self.pump()

    def _output(self) -> None:
        """A session was asked to do something from outside of our own work."""
        if not self._pumping:
            self.reactor.callLater(0, self.pump)

    def pump(self) -> None:
        """Send what is to be sent and tell what has happened, until there is no more of it."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while effects := self.user_agent.drain():
                for effect in effects:
                    if isinstance(effect, Transmit):
                        self._send(effect)
                    else:
                        self._deliver(effect)
        finally:
            self._pumping = False
        self._schedule()

    def _send(self, effect: Transmit) -> None:
        flow = effect.flow
        if flow.reliable:
            self.connections.send(flow, effect.data, effect.reconnect)
            return
        port = self._datagrams.get(flow.local) or self._wildcard(flow.local)
        if port is None:
            self.count("datagram_not_sent")
        else:
            port.send(flow, effect.data)

    def _wildcard(self, local: Place) -> DatagramPort | None:
        of_port = (self._datagrams.get((host, local[1])) for host in WILDCARDS)
        return next((port for port in of_port if port is not None), None) or next(iter(self._datagrams.values()), None)

    def _deliver(self, event: Event) -> None:
        try:
            self.handle(event)
        except Exception:
            self.count("faults")
            log.failure("a fault in a call; it is ended", call_id=event.session.call_id)
            self._give_up(event)

    def _give_up(self, event: Event) -> None:
        if isinstance(event, Ended) or event.session.ended:
            return
        try:
            if isinstance(event, Invited) and event.session.incoming:
                event.session.refuse(500, now=self.seconds())
            else:
                event.session.hangup(self.seconds())
        except LocalProtocolError:
            log.failure("and could not be ended")

    # Time

    def _schedule(self) -> None:
        """One call of the reactor stands for all timers. One that comes too early does no harm."""
        due = self.user_agent.next_wake()
        if due is None:
            return
        delay = max(0.0, due - self.seconds())
        if self._wake_call is None:
            self._wake_call = self.reactor.callLater(delay, self._wake)
        elif due < self._wake_call.getTime():
            self._wake_call.reset(delay)

    def _wake(self) -> None:
        self._wake_call = None
        self._work(self.user_agent.wake)

    def _cancel_wake(self) -> None:
        if self._wake_call is not None:
            self._wake_call.cancel()
            self._wake_call = None
