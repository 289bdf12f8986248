"""The network between simulated nodes: multicast, unicast, or a tree of relays. It delays, loses, and is cut."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from bench.simulated.clock import VirtualClock
from xconf.cluster.peers import Address
from xconf.cluster.relay.core import Relay

PORT = 65021
MODES = ("multicast", "unicast", "relay")

Take = Callable[[bytes, Address], None]


def address_of(number: int) -> Address:
    """Of the host that is added as the first, second …"""
    return f"10.0.{number >> 8}.{number & 255}", PORT


class Host:
    """A node or a relay. side: those of one side reach each other; peer: the relay that is its only one, if any.

    sent, came: datagrams, counted where they leave and where they arrive.
    """

    def __init__(self, name: str, address: Address, take: Take | None = None) -> None:
        self.name, self.address = name, address
        self.take = take
        self.up = True
        self.side = 0
        self.sent = self.came = 0
        self.peer: Host | None = None


class Network:
    """delay: s of one way, least and most; loss: share of the datagrams that do not arrive.

    A datagram takes equally long to all who get it; another one may overtake it.
    """

    def __init__(self, clock: VirtualClock, mode: str) -> None:
        self.clock = clock
        self.mode = mode
        self.delay = 0.0005, 0.002
        self.loss = 0.0
        self.random = random.Random(1)
        self.nodes: dict[str, Host] = {}
        self.relays: list[Host] = []
        self._cores: dict[str, Relay] = {}
        self._by_address: dict[Address, Host] = {}
        self._number = 0

    def add(self, name: str, take: Take) -> Host:
        """A node; with relays, of the leaf whose turn it is."""
        host = self.nodes[name] = self._host(name)
        host.take = take
        if self.relays:
            leaves = self.relays[1:] or self.relays
            host.peer = leaves[len(self.nodes) % len(leaves)]
            self._cores[host.peer.name].add(name, host.address)
        return host

    def remove(self, name: str) -> None:
        """It is not there any more; its relay does not know that."""
        host = self.nodes.pop(name)
        host.up = False

    def plant(self, leaves: int, secret: bytes) -> None:
        """A tree of relays: one, with so many others, to which nodes are given in turn."""
        first, *others = [self._relay(f"relay-{number}", secret) for number in range(1 + leaves)]
        for other in others:
            self._cores[first.name].add(other.name, other.address)
            self._cores[other.name].add(first.name, first.address)

    def _host(self, name: str) -> Host:
        self._number += 1
        host = Host(name, address_of(self._number))
        self._by_address[host.address] = host
        return host

    def _relay(self, name: str, secret: bytes) -> Host:
        host, core = self._host(name), Relay(secret)
        self._cores[name] = core
        self.relays.append(host)

        def take(datagram: bytes, source: Address) -> None:
            to = [self._by_address[end.address] for _, end in core.receive(datagram, source, self.clock.seconds())]
            host.sent += len(to)
            self._fly(host, datagram, to)

        host.take = take
        return host

    def send(self, origin: Host, datagram: bytes) -> None:
        """What a node sends goes to all others, in the network's way."""
        if origin.peer is not None:
            origin.sent += 1
            self._fly(origin, datagram, [origin.peer])
            return
        others = [host for host in self.nodes.values() if host is not origin]
        origin.sent += 1 if self.mode == "multicast" else len(others)
        self._fly(origin, datagram, others)

    def _fly(self, origin: Host, datagram: bytes, to: Sequence[Host]) -> None:
        if to:
            self.clock.callLater(self.random.uniform(*self.delay), self._arrive, origin, datagram, to)

    def _arrive(self, origin: Host, datagram: bytes, to: Sequence[Host]) -> None:
        for host in to:
            if host.up and host.side == origin.side and (not self.loss or self.random.random() >= self.loss):
                host.came += 1
                assert host.take is not None
                host.take(datagram, origin.address)
