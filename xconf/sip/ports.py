"""Sockets that datagrams of SIP go through, and what sockets tell their owner."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet import protocol

from xconf.sip.flow import Flow, Place
from xconf.sip.stream import Item

RECEIVE_BUFFER = 4 * 1024 * 1024  # bursts of INVITEs; the kernel grants what it may
WILDCARDS = ("0.0.0.0", "::")

_MAPPED = "::ffff:"
_MOST_ROUTES = 10_000


class Owner(Protocol):
    """What sockets tell."""

    def received(self, data: bytes | Item, flow: Flow) -> None: ...
    def flow_failed(self, flow: Flow) -> None: ...
    def connection_stands(self, flow: Flow) -> None: ...
    def connection_failed(self, flow: Flow, why: str) -> None: ...
    def handshake_failed(self, flow: Flow, why: str) -> None: ...
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
        self._flows: dict[tuple[Any, ...], Flow] = {}
        self.place: Place = ("", 0)

    def startProtocol(self) -> None:
        host = self.transport.getHost()
        self.place = (host.host, host.port)
        self.transport.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        # A burst of requests waits in that buffer, so that other work of the reactor (the media's tick) comes in between.
        self.transport.maxThroughput = OCTETS_PER_TURN

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        try:
            flow = self._flows.get(addr) or self._flow_of(addr)
        except OSError:
            self._owner.count("no_route")
            return
        self._owner.traced("in", flow, datagram)
        self._owner.received(datagram, flow)

    def _flow_of(self, addr: Any) -> Flow:
        remote = plain(addr[0]), addr[1]
        flow = Flow("udp", self.local_for(remote[0]), remote)
        if len(self._flows) >= _MOST_ROUTES:
            self._flows.clear()
        self._flows[addr] = flow
        return flow

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
