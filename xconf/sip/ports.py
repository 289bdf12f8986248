"""Sockets that SIP goes through: datagrams, and connections that are bounded in number, time and memory."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import protocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from xconf.sip.flow import Flow, Place
from xconf.sip.stream import PONG, Item, KeepAlive, StreamParser

RECEIVE_BUFFER = 4 * 1024 * 1024  # bursts of INVITEs; the kernel grants what it may
WILDCARDS = ("0.0.0.0", "::")

_MAPPED = "::ffff:"
_MOST_ROUTES = 10_000
_MOST_WAITING = 256 * 1024  # bytes for a peer that does not read, or is not connected yet
_SLOW = 30.0  # s for the first message, and for the rest of one that has begun
_IDLE = 3600.0  # s without a byte
_CONNECT = 8.0  # s


class Owner(Protocol):
    """What sockets tell."""

    def received(self, data: bytes | Item, flow: Flow) -> None: ...
    def flow_failed(self, flow: Flow) -> None: ...
    def traced(self, direction: str, flow: Flow, data: bytes) -> None: ...
    def count(self, name: str) -> None: ...
    def seconds(self) -> float: ...


def plain(host: str) -> str:
    """An IPv4 address as such, also where a socket of IPv6 has it (RFC 4291 section 2.5.5.2)."""
    return host.removeprefix(_MAPPED) if "." in host else host


class Routes:
    """The address of ours that a peer sees, for sockets that listen on all of them (a routing look-up; nothing is sent)."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def local(self, remote: str) -> str:
        """Raises OSError when there is no way to it."""
        known = self._known.get(remote)
        if known is None:
            known = self._look_up(remote)
            if len(self._known) >= _MOST_ROUTES:
                self._known.clear()
            self._known[remote] = known
        return known

    @staticmethod
    def _look_up(remote: str) -> str:
        family = socket.AF_INET6 if ":" in remote else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote, 9))
            return str(probe.getsockname()[0])


OCTETS_PER_TURN = 2048


class DatagramPort(protocol.DatagramProtocol):
    """One UDP socket."""

    noisy = False
    transport: Any

    def __init__(self, owner: Owner, routes: Routes) -> None:
        self._owner = owner
        self._routes = routes
        self.place: Place = ("", 0)

    def startProtocol(self) -> None:
        host = self.transport.getHost()
        self.place = (host.host, host.port)
        self.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # A burst of requests waits in that buffer, so that other work of the reactor (the media's tick) comes in between.
        self.transport.maxThroughput = OCTETS_PER_TURN

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        try:
            remote = plain(addr[0]), addr[1]
            flow = Flow("udp", self.local_for(remote[0]), remote)
        except OSError:
            self._owner.count("no_route")
            return
        self._owner.traced("in", flow, datagram)
        self._owner.received(datagram, flow)

    def local_for(self, remote: str) -> Place:
        """Raises OSError."""
        host, port = self.place
        return (self._routes.local(remote), port) if host in WILDCARDS else self.place

    def send(self, flow: Flow, data: bytes) -> None:
        self._owner.traced("out", flow, data)
        try:
            if self.transport is not None:
                self.transport.write(data, self._reached(flow.remote))
        except (OSError, ValueError):  # no way there, too long, or no address at all
            self._owner.count("datagram_not_sent")

    def _reached(self, remote: Place) -> Place:
        """The place as our socket's family writes it."""
        mapped = ":" in self.place[0] and ":" not in remote[0]
        return (f"{_MAPPED}{remote[0]}", remote[1]) if mapped else remote


@implementer(IPushProducer)
class Connection(protocol.Protocol):
    """One TCP connection, made by us or by the peer."""

    transport: Any

    def __init__(self, pool: Connections, flow: Flow) -> None:
        self.flow = flow
        self.since = pool.owner.seconds()
        self.heard = self.since
        self._pool = pool
        self._parser = StreamParser()
        self._waiting: list[bytes] = []
        self._waiting_size = 0
        self._connected = False
        self._paused = False
        self._spoken = False

    def connectionMade(self) -> None:
        self._connected = True
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        waiting, self._waiting, self._waiting_size = self._waiting, [], 0
        self.transport.writeSequence(waiting)

    def dataReceived(self, data: bytes) -> None:
        owner = self._pool.owner
        self.heard = owner.seconds()
        owner.traced("in", self.flow, data)
        for item in self._parser.feed(data):
            if isinstance(item, KeepAlive):
                self.write(PONG)
            else:
                self._spoken = True
                owner.received(item, self.flow)
        if not self._parser.buffered:
            self.since = self.heard
        if self._parser.broken and self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        if not reason.check(ConnectionDone):
            self._pool.owner.count("connection_lost")
        self._pool.gone(self)

    def send(self, data: bytes) -> None:
        self._pool.owner.traced("out", self.flow, data)
        self.write(data)

    def write(self, data: bytes) -> None:
        """Send it, now or when connected; a peer that takes nothing is given up."""
        if self._paused or not self._connected:
            self._waiting_size += len(data)
            if self._waiting_size > _MOST_WAITING:
                self._pool.owner.count("connection_stuck")
                self.abort()
                return
        if not self._connected:
            self._waiting.append(data)
        elif self.transport is not None:
            self.transport.write(data)

    def overdue(self, now: float) -> bool:
        """A message that does not end, nothing at all for long, or a stranger that says nothing."""
        unfinished = self._parser.buffered or not (self._spoken or self.flow.id is None or self._waiting)
        return now - self.heard > _IDLE or (bool(unfinished) and now - self.since > _SLOW)

    def abort(self) -> None:
        if self.transport is not None:
            self.transport.abortConnection()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    # IPushProducer: the buffer of what the peer does not take is bounded by `write`.

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._waiting_size = 0

    def stopProducing(self) -> None:
        pass


class Connections(protocol.ServerFactory):
    """All connections of a service: those that peers make, and those that we make to peers when we must."""

    noisy = False

    def __init__(self, reactor: Any, owner: Owner, most: int) -> None:
        self.owner = owner
        self._reactor = reactor
        self._most = most
        self._numbers = 0
        self._by_id: dict[int, Connection] = {}
        self._by_place: dict[Place, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def buildProtocol(self, addr: Any) -> Connection | None:
        """For a peer that connects; None, and so refused, when there are too many."""
        if len(self._by_id) >= self._most:
            self.owner.count("connection_refused")
            return None
        return _Accepted(self, (plain(addr.host), addr.port))

    def send(self, flow: Flow, data: bytes, reconnect: Place | None) -> None:
        """On the flow's connection, or on one to the place that stands for it."""
        connection = self._by_id.get(flow.id) if flow.id is not None else None
        if connection is None:
            place = reconnect if flow.id is not None else flow.remote
            connection = self._to(place, flow) if place is not None else None
        if connection is None:
            # Not now: whoever sends is not done with what it does.
            self._reactor.callLater(0, self.owner.flow_failed, flow)
        else:
            connection.send(data)

    def _to(self, place: Place, flow: Flow) -> Connection | None:
        connection = self._by_place.get(place)
        if connection is None and len(self._by_id) < self._most:
            connection = self.add(Flow("tcp", flow.local, place, self.number()))
            connector = _Connector(connection, lambda: self.owner.flow_failed(flow))
            self._reactor.connectTCP(*place, connector, timeout=_CONNECT, bindAddress=(flow.local[0], 0))
        return connection

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def add(self, flow: Flow) -> Connection:
        connection = Connection(self, flow)
        self.keep(connection)
        return connection

    def keep(self, connection: Connection) -> None:
        assert connection.flow.id is not None
        self._by_id[connection.flow.id] = connection
        self._by_place[connection.flow.remote] = connection

    def gone(self, connection: Connection) -> None:
        flow = connection.flow
        if flow.id is None or self._by_id.pop(flow.id, None) is None:
            return
        if self._by_place.get(flow.remote) is connection:
            del self._by_place[flow.remote]
        self.owner.flow_failed(flow)
        self.owner.flow_failed(Flow(flow.transport, flow.local, flow.remote))

    def sweep(self, now: float) -> None:
        """Close those that are overdue."""
        for connection in tuple(self._by_id.values()):
            if connection.overdue(now):
                self.owner.count("connection_overdue")
                connection.abort()

    def close(self) -> None:
        for connection in tuple(self._by_id.values()):
            connection.close()


class _Accepted(Connection):
    """A peer's connection: only when it stands is it known which of our addresses it came to."""

    def __init__(self, pool: Connections, remote: Place) -> None:
        super().__init__(pool, Flow("tcp", ("", 0), remote))

    def connectionMade(self) -> None:
        host = self.transport.getHost()
        self.flow = Flow("tcp", (plain(host.host), host.port), self.flow.remote, self._pool.number())
        self._pool.keep(self)
        super().connectionMade()


class _Connector(protocol.ClientFactory):
    """Makes one connection."""

    noisy = False

    def __init__(self, connection: Connection, failed: Callable[[], None]) -> None:
        self._connection = connection
        self._failed = failed

    def buildProtocol(self, addr: Any) -> Connection:
        return self._connection

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self._connection.connectionLost(reason)
        self._failed()
