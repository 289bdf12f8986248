"""A network of media ports in virtual time, for the phone's tests: what arrives, and when, is up to the test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.address import IPv4Address
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

Address = tuple[str, int]


class FakePorts:
    """Media ports on a network of one clock; `lose` decides which RTP datagrams vanish."""

    def __init__(self, net: Net, address: Address) -> None:
        self.address, self.port = address
        self.net = net
        self.sent: list[tuple[float, bytes]] = []
        self.rtcp_sent: list[bytes] = []
        self.closed = False
        net.ports[address] = self
        self.on_rtp: Callable[[bytes, Address], None] = lambda data, source: None
        self.on_rtcp: Callable[[bytes, Address], None] = lambda data, source: None

    def send_rtp(self, data: bytes, to: Address) -> None:
        self.sent.append((self.net.clock.seconds(), data))
        if not self.net.lose(data, self.address):
            self.net.clock.callLater(self.net.delay, lambda: self.net.ports[to].on_rtp(data, (self.address, self.port)))

    def send_rtcp(self, data: bytes, to: Address) -> None:
        self.rtcp_sent.append(data)
        target = self.net.ports[to[0], to[1] - 1]
        self.net.clock.callLater(self.net.delay, lambda: target.on_rtcp(data, (self.address, self.port + 1)))

    def close(self) -> None:
        self.closed = True


@dataclass
class Net:
    clock: Clock = field(default_factory=Clock)
    delay: float = 0.01
    lose: Callable[[bytes, str], bool] = lambda data, source: False
    ports: dict[Address, FakePorts] = field(default_factory=dict)

    def run(self, seconds: float) -> None:
        """Advance from one thing that is due to the next."""
        end = self.clock.seconds() + seconds
        while (due := min((call.getTime() for call in self.clock.getDelayedCalls()), default=math.inf)) <= end:
            self.clock.advance(max(0.0, due - self.clock.seconds()) + 1e-9)
        self.clock.advance(max(0.0, end - self.clock.seconds()))


class FakeReactor(Clock):
    """As much of a reactor as a phone needs: time, and UDP ports on a network that loses what `lose` says.

    lose(datagram, sender's port) decides about each; all others arrive `delay` seconds later.
    """

    def __init__(self, delay: float = 0.01) -> None:
        super().__init__()
        self.delay = delay
        self.lose: Callable[[bytes, int], bool] = lambda data, port: False
        self.ports: dict[Address, FakeUDPPort] = {}

    def listenUDP(
        self, port: int, protocol: DatagramProtocol, interface: str = "", maxPacketSize: int = 8192
    ) -> FakeUDPPort:
        number = port or next(number for number in range(40_000, 50_000) if (interface, number) not in self.ports)
        if (interface, number) in self.ports:
            raise CannotListenError(interface, number, OSError("in use"))
        listening = self.ports[interface, number] = FakeUDPPort(self, (interface, number), protocol)
        protocol.makeConnection(listening)
        return listening

    def run(self, seconds: float) -> None:
        """Advance from one thing that is due to the next."""
        end = self.seconds() + seconds
        while (due := min((call.getTime() for call in self.getDelayedCalls()), default=math.inf)) <= end:
            self.advance(max(0.0, due - self.seconds()) + 1e-9)
        self.advance(max(0.0, end - self.seconds()))


class FakeUDPPort:
    """A port and its protocol's transport."""

    def __init__(self, reactor: FakeReactor, place: Address, protocol: DatagramProtocol) -> None:
        self.reactor, self.place, self.protocol = reactor, place, protocol

    def write(self, data: bytes, to: Address) -> None:
        if not self.reactor.lose(data, self.place[1]):
            self.reactor.callLater(self.reactor.delay, self._arrive, data, to)

    def _arrive(self, data: bytes, to: Address) -> None:
        if to in self.reactor.ports:
            self.reactor.ports[to].protocol.datagramReceived(data, self.place)

    def stopListening(self) -> None:
        self.reactor.ports.pop(self.place, None)

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", *self.place)

    def getHandle(self) -> FakeUDPPort:
        return self

    def setsockopt(self, *option: object) -> None:
        """Nothing to set."""

    def fileno(self) -> int:
        """It is no file."""
        return -1
