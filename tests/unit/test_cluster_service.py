"""The tunnel on real sockets: who subscribes hears, who fails harms nobody, and what is dropped is logged."""

from __future__ import annotations

import logging
import socket
import time

import pytest
from cluster_world import SECRET, NoCodecs
from twisted.internet import task
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.testing import MemoryReactor

from xconf.cluster.frame import Kind
from xconf.cluster.ports import AT_ONCE, Arrivals, listen
from xconf.cluster.service import LOG_EVERY, TunnelService, Ways
from xconf.cluster.tunnel import Tunnel


class Port:
    """A socket that is not there. sent: (datagram, address)."""

    def __init__(self, network: Network, protocol: object, address: tuple[str, int]) -> None:
        self.network, self.protocol, self.address = network, protocol, address
        self.sent: list[tuple[bytes, tuple[str, int]]] = []
        self.unreachable: set[tuple[str, int]] = set()
        self.stopped = False
        self.waiting: list[tuple[bytes, tuple[str, int]]] | None = (
            None  # what nobody has looked for yet; None: he looks at once
        )
        protocol.transport = self  # type: ignore[attr-defined]

    def getHandle(self) -> socket.socket:
        return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def write(self, datagram: bytes, address: tuple[str, int]) -> None:
        if address in self.unreachable:
            raise OSError("no route")
        self.sent.append((datagram, address))
        other = self.network.ports.get(address)
        if other is not None and other.waiting is not None:
            other.waiting.append((datagram, self.address))
        elif other is not None:
            other.protocol.datagramReceived(datagram, self.address)  # type: ignore[attr-defined]

    def doRead(self) -> None:
        waiting, self.waiting = self.waiting or [], None
        for datagram, address in waiting:
            self.protocol.datagramReceived(datagram, address)  # type: ignore[attr-defined]

    def stopListening(self) -> None:
        self.stopped = True
        del self.network.ports[self.address]


class Network(task.Clock):
    """A reactor."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[tuple[str, int], Port] = {}

    def listen(self, number: int, protocol: object, interface: str, *, shared: bool) -> Port:
        port = self.ports[interface, number] = Port(self, protocol, (interface, number))
        return port


A, B, C = ("10.0.0.1", 65021), ("10.0.0.2", 65021), ("10.0.0.3", 65021)


def service(network: Network, name: str, listen: tuple[str, int], *peers: tuple[str, int]) -> TunnelService:
    made = TunnelService(network, Tunnel(name, [SECRET], 1), Ways(listen, peers), NoCodecs())
    made.startService()
    return made


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Network:
    monkeypatch.setattr("xconf.cluster.service.listen", Network.listen)
    return Network()


def test_messages_come_to_who_subscribed_and_nodes_are_announced(network: Network) -> None:
    a, b = service(network, "a", A, B), service(network, "b", B, A)
    heard: list[object] = []
    b.subscribe(Kind.STATUS, lambda node, body: heard.append((node, body)))
    b.on_appeared.append(lambda node, epoch: heard.append((node, epoch)))
    network.pump([0.1] * 20)
    a.send(Kind.STATUS, b"4 members")
    assert heard == [("a", 1), ("a", b"4 members")]


def test_what_waits_is_taken_in_before_a_tick_and_nothing_is_when_it_has_stopped(network: Network) -> None:
    a, b = service(network, "a", A, B), service(network, "b", B, A)
    network.pump([0.1] * 20)
    heard: list[bytes] = []
    b.subscribe(Kind.STATUS, lambda node, body: heard.append(body))
    port = network.ports[B]
    port.waiting = []
    a.send(Kind.STATUS, b"x")
    assert not heard
    b.read()
    assert heard == [b"x"]
    b.stopService()
    port.waiting = [(b"junk", A)]
    b.read()
    assert port.waiting


# Twisted stops at so many octets: of empty datagrams, at any rate, a turn had no end, and there was no tick.
@pytest.mark.parametrize("junk", [b"", b"x"])
def test_a_flood_of_datagrams_however_small_leaves_time_for_the_tick(junk: bytes) -> None:
    class Counter(DatagramProtocol):
        came = 0

        def datagramReceived(self, datagram: bytes, addr: object) -> None:
            self.came += 1
            if self.came % 7 == 0:
                raise ValueError("a fault in one does not cost the others")

    counter, reactor = Counter(), MemoryReactor()
    port = listen(reactor, 0, counter, "127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as flood:
        for _ in range(3 * AT_ONCE):
            flood.sendto(junk, (port.getHost().host, port.getHost().port))
    turns = []
    for _ in range(4):
        port.doRead()
        turns.append(counter.came)
    port.socket.close()
    assert turns == [AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE, 3 * AT_ONCE]


def test_when_a_datagram_came_is_known_however_long_it_waited() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there,
    ):
        here.bind(("127.0.0.1", 0))
        arrivals = Arrivals(here)
        before = time.time()
        there.sendto(b"x", here.getsockname())
        after = time.time()
        here.recv(10)
        assert before - 0.001 <= arrivals.last(after + 0.5) <= after + 0.001
        assert arrivals.last(before - 1) == before - 1, "of a clock that was set"
        assert arrivals.last(after + 100) == after + 100


def test_one_subscriber_that_fails_does_not_keep_others_from_hearing(
    network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    a, b = service(network, "a", A, B), service(network, "b", B, A)
    heard: list[bytes] = []
    b.subscribe(Kind.STATUS, lambda node, body: 1 / 0)  # type: ignore[arg-type, return-value]
    b.subscribe(Kind.STATUS, lambda node, body: heard.append(body))
    network.pump([0.1] * 20)
    a.send(Kind.STATUS, b"x")
    assert heard == [b"x"]
    assert "listener failed" in caplog.text


def test_a_peer_that_cannot_be_reached_does_not_keep_others_from_hearing(network: Network) -> None:
    a, b = service(network, "a", A, C, B), service(network, "b", B, A)
    network.ports[A].unreachable.add(C)
    network.pump([0.1] * 20)
    assert set(a.tunnel.peers) == {"b"} and set(b.tunnel.peers) == {"a"}
    assert a.counters()["unsent"] > 0


def test_what_was_dropped_is_one_line_a_minute(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    service(network, "a", A, B)
    for _ in range(3 * LOG_EVERY):
        for _ in range(20):
            network.ports[A].protocol.datagramReceived(b"junk", ("192.0.2.9", 9))  # type: ignore[attr-defined]
        network.advance(1.0)
    lines = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert len(lines) == 3
    assert lines[1] == f"tunnel: dropped in the last minute: {20 * LOG_EVERY} foreign from 192.0.2.9"


def test_what_is_stopped_leaves_no_timer(network: Network) -> None:
    a, b = service(network, "a", A, B), service(network, "b", B, A)
    network.pump([0.1] * 5)
    for part in (a, b):
        part.stopService()
    assert network.getDelayedCalls() == [] and network.ports == {}
