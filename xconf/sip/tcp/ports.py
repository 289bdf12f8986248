"""Connections that SIP goes through, TCP and TLS, bounded in number, time and memory (RFC 3261 section 18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet import protocol
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHandshakeListener, IPushProducer
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from xconf.sip.flow import Flow, Place
from xconf.sip.ports import Owner, plain
from xconf.sip.stream import PONG, KeepAlive, StreamParser
from xconf.sip.tls.ports import Security, certified_names, check_names, explain

_MOST_WAITING = 256 * 1024  # bytes for a peer that does not read, or is not connected yet
_SLOW = 30.0  # s for the first message, and for the rest of one that has begun
_IDLE = 3600.0  # s without a byte
_CONNECT = 8.0  # s


@implementer(IPushProducer, IHandshakeListener)
class Connection(protocol.Protocol):
    """One connection of TCP or TLS that we make. Over TLS nothing is sent before the peer's certificate is believed."""

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
        self._distrust = ""

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.setTcpKeepAlive(True)
        self.transport.registerProducer(self, True)
        if self.flow.transport != "tls":
            self._open()

    def distrusted(self, why: str) -> None:
        """TLS does not believe the peer's certificate; the end of the connection follows."""
        self._distrust = self._distrust or why

    def handshakeCompleted(self) -> None:
        self.verified()
        if self._distrust:
            self.abort()
        else:
            self._open()

    def verified(self) -> None:
        """The peer has a certificate that is believed: is it the one that we want?"""
        why = check_names(self.transport.getHandle(), self.flow.names or self.flow.remote[:1])
        if why is not None:
            self.distrusted(why)

    def _open(self) -> None:
        self._connected = True
        self._pool.owner.connection_stands(self.flow)
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
        if self._parser.broken:
            self.close()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        if not reason.check(ConnectionDone):
            self._pool.owner.count("connection_lost")
        if self._distrust or not (reason.check(ConnectionDone) and self._connected):
            self.failed(self._distrust or explain(reason))
        self._pool.gone(self)

    def failed(self, why: str) -> None:
        self._pool.owner.connection_failed(self.flow, why)

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
            self.transport.unregisterProducer()  # TLS would wait for it
            self.transport.loseConnection()

    # IPushProducer: the buffer of what the peer does not take is bounded by `write`.

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        self._waiting_size = 0

    def stopProducing(self) -> None:
        pass


Way = tuple[str, Place, tuple[str, ...]]
"""Transport, place, and the names that TLS vouches for."""


def _way(flow: Flow, place: Place | None = None) -> Way:
    return flow.transport, place or flow.remote, flow.names


class Connections(protocol.ServerFactory):
    """All connections of a service: those that peers make, and those that we make to peers when we must."""

    noisy = False

    def __init__(self, reactor: Any, owner: Owner, most: int, security: Security | None = None) -> None:
        self.owner = owner
        self._reactor = reactor
        self._most = most
        self._security = security
        self._numbers = 0
        self._by_id: dict[int, Connection] = {}
        self._by_way: dict[Way, Connection] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    @property
    def full(self) -> bool:
        return len(self._by_id) >= self._most

    def buildProtocol(self, addr: Any) -> Connection | None:
        """For a peer that connects; None, and so refused, when there are too many."""
        return None if self.refuses() else Accepted(self, "tcp", (plain(addr.host), addr.port))

    def refuses(self) -> bool:
        if self.full:
            self.owner.count("connection_refused")
        return self.full

    def secured(self, security: Security) -> protocol.Factory[Any]:
        """The same for peers that come over TLS."""
        return _SecureFactory(security.server(), False, _Secured(self), clock=self._reactor)

    def send(self, flow: Flow, data: bytes, reconnect: Place | None) -> None:
        """On the flow's connection, or on one to the place that stands for it."""
        connection = self._by_id.get(flow.id) if flow.id is not None else None
        if connection is None or connection.flow.remote != flow.remote:  # the number is of an earlier run
            place = reconnect if flow.id is not None else flow.remote
            connection = self._to(place, flow) if place is not None else None
        if connection is None:
            # Not now: whoever sends is not done with what it does.
            self._reactor.callLater(0, self.owner.flow_failed, flow)
        else:
            connection.send(data)

    def _to(self, place: Place, flow: Flow) -> Connection | None:
        connection = self._by_way.get(_way(flow, place))
        if connection is None and not self.full and (flow.transport == "tcp" or self._security is not None):
            connection = self.add(Flow(flow.transport, flow.local, place, self.number(), flow.names))
            factory: Any = _Connector(connection, lambda: self.owner.flow_failed(flow))
            if flow.transport == "tls" and self._security is not None:
                name = flow.names[0] if flow.names else place[0]
                factory = TLSMemoryBIOFactory(self._security.client(name), True, factory, clock=self._reactor)
            self._reactor.connectTCP(*place, factory, timeout=_CONNECT, bindAddress=(flow.local[0], 0))
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
        self._by_way[_way(connection.flow)] = connection

    def renamed(self, connection: Connection, names: tuple[str, ...]) -> None:
        """TLS has told whose connection it is."""
        if self._by_way.get(_way(connection.flow)) is connection:
            del self._by_way[_way(connection.flow)]
        connection.flow = replace(connection.flow, names=names)
        self.keep(connection)

    def gone(self, connection: Connection) -> None:
        flow = connection.flow
        if flow.id is None or self._by_id.pop(flow.id, None) is None:
            return
        if self._by_way.get(_way(flow)) is connection:
            del self._by_way[_way(flow)]
        self.owner.flow_failed(flow)
        self.owner.flow_failed(replace(flow, id=None))

    def sweep(self, now: float) -> None:
        """Close those that are overdue."""
        for connection in tuple(self._by_id.values()):
            if connection.overdue(now):
                self.owner.count("connection_overdue")
                connection.abort()

    def close(self) -> None:
        for connection in tuple(self._by_id.values()):
            connection.close()


class _Secured(protocol.ServerFactory):
    """Takes what comes over TLS."""

    noisy = False

    def __init__(self, pool: Connections) -> None:
        self.pool = pool

    def buildProtocol(self, addr: Any) -> Connection:
        return Accepted(self.pool, "tls", (plain(addr.host), addr.port))


class _SecureFactory(TLSMemoryBIOFactory):
    """Refuses before any handshake when there are too many connections."""

    wrappedFactory: _Secured

    def buildProtocol(self, addr: Any) -> Any:
        return None if self.wrappedFactory.pool.refuses() else super().buildProtocol(addr)


class Accepted(Connection):
    """A peer's connection: only when it stands is it known which of our addresses it came to."""

    def __init__(self, pool: Connections, transport: str, remote: Place) -> None:
        super().__init__(pool, Flow(transport, ("", 0), remote))

    def connectionMade(self) -> None:
        host = self.transport.getHost()
        self.flow = replace(self.flow, local=(plain(host.host), host.port), id=self._pool.number())
        self._pool.keep(self)
        super().connectionMade()

    def verified(self) -> None:
        self._pool.renamed(self, certified_names(self.transport.getHandle()))

    def failed(self, why: str) -> None:
        if self.flow.transport == "tls" and not self._connected:
            self._pool.owner.handshake_failed(self.flow, why)


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
