"""The media of one call: an RTP and an RTCP port, the beat of 20 ms, reports every 5 s."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime, IReactorUDP
from twisted.internet.protocol import DatagramProtocol

from xconf.phone.metronome import Metronome
from xconf.phone.receiver import Receiver
from xconf.phone.sender import Sender
from xconf.rtp.packet import is_rtcp
from xconf.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpError,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build,
    parse,
)

FRAME = 0.02
REPORT_INTERVAL = 5.0

_PORTS = range(20_000, 32_000, 2)  # even ones; below those that systems give to outgoing connections
_TRIES = 50
_LARGEST_DATAGRAM = 8192

Address = tuple[str, int]


class PhoneError(Exception):
    """The phone cannot do its work; the text says why and what to do."""


class _Socket(DatagramProtocol):
    """Hands on what arrives. Sending never raises: a destination that cannot be reached is the network's affair."""

    def __init__(self, received: Callable[[bytes, Address], None]) -> None:
        self._received = received

    def datagramReceived(self, datagram: bytes, addr: Address) -> None:
        self._received(datagram, addr)

    def send(self, datagram: bytes, address: Address) -> None:
        with suppress(OSError):
            if self.transport is not None:
                self.transport.write(datagram, address)


class MediaPorts:
    """A pair of UDP ports on one address, RTP on the even one and RTCP on the next (RFC 3550, section 11)."""

    def __init__(self, reactor: IReactorUDP, address: str, rng: random.Random) -> None:
        """Raises PhoneError when there is no such pair."""
        self.on_rtp: Callable[[bytes, Address], None] = _drop
        self.on_rtcp: Callable[[bytes, Address], None] = _drop
        self.address = address
        self._reactor, self._rng = reactor, rng
        self._rtp = _Socket(lambda data, source: self.on_rtp(data, source))
        self._rtcp = _Socket(lambda data, source: self.on_rtcp(data, source))
        self.port, self._listening = self._listen(reactor, rng)

    def _listen(self, reactor: IReactorUDP, rng: random.Random) -> tuple[int, list[IListeningPort]]:
        trouble: CannotListenError | None = None
        for port in rng.sample(_PORTS, _TRIES):
            listening: list[IListeningPort] = []
            try:
                for number, protocol in ((port, self._rtp), (port + 1, self._rtcp)):
                    listening.append(reactor.listenUDP(number, protocol, self.address, _LARGEST_DATAGRAM))
            except CannotListenError as error:
                trouble = error
                for opened in listening:
                    opened.stopListening()
            else:
                return port, listening
        raise PhoneError(f"no UDP port for sound on {self.address}: {trouble and trouble.socketError}; try --bind")

    def another(self) -> MediaPorts:
        """A pair besides. Raises PhoneError."""
        return MediaPorts(self._reactor, self.address, self._rng)

    def send_rtp(self, datagram: bytes, address: Address) -> None:
        self._rtp.send(datagram, address)

    def send_rtcp(self, datagram: bytes, address: Address) -> None:
        self._rtcp.send(datagram, address)

    def close(self) -> None:
        for port in self._listening:
            port.stopListening()
        self._listening = []


def _drop(data: bytes, source: Address) -> None:
    pass


class MediaSession:
    """Sends and receives from `start` to `stop`, towards where `direct` says.

    monotonic, wall: seconds on the monotonic clock and since 1970; tests hand in their own.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ports: MediaPorts,
        sender: Sender,
        receiver: Receiver,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.ports = ports
        self.sender = sender
        self.receiver = receiver
        self.stray = 0
        """Datagrams from hosts that the session description did not name."""
        self.round_trip: float | None = None
        """Seconds, of the last report about us."""
        self.remote_view: ReportBlock | None = None
        """The last report about us."""
        self._clock = clock
        self._monotonic = monotonic
        self._wall = wall
        self._remote: Address | None = None
        self._remote_rtcp: Address | None = None
        self._metronome = Metronome(clock, monotonic, FRAME, self._beat)
        self._reports: IDelayedCall | None = None
        self._sent_before = 0
        ports.on_rtp, ports.on_rtcp = self._rtp, self._rtcp

    def direct(self, remote: Address, remote_rtcp: Address, *, sends: bool) -> None:
        """Where to send from now on, and whether sound is to be sent at all. The host 0.0.0.0 is sent nothing."""
        somewhere = remote[0] != "0.0.0.0" and remote[1] != 0
        self._remote = remote if somewhere else None
        self._remote_rtcp = remote_rtcp if somewhere else None
        self.sender.active = sends and somewhere

    def start(self) -> None:
        self._metronome.start()
        self._reports = self._clock.callLater(REPORT_INTERVAL, self._report)

    def stop(self) -> None:
        """Say goodbye to the other side's RTCP port and close the ports."""
        self._metronome.stop()
        if self._reports is not None and self._reports.active():
            self._reports.cancel()
        self._send_compound(Bye((self.sender.ssrc,)))
        self.ports.close()

    def _beat(self, missed: int) -> None:
        self.sender.skip(missed)
        datagram = self.sender.tick()
        if datagram is not None and self._remote is not None:
            self.ports.send_rtp(datagram, self._remote)

    def _rtp(self, data: bytes, source: Address) -> None:
        if self._remote is not None and source[0] != self._remote[0]:
            self.stray += 1
        elif is_rtcp(data):
            self._rtcp(data, source)
        else:
            self.receiver.datagram(data, self._monotonic())

    def _rtcp(self, data: bytes, source: Address) -> None:
        if self._remote is not None and source[0] != self._remote[0]:
            self.stray += 1
            return
        try:
            packets = parse(data)
        except RtcpError:
            self.receiver.malformed += 1
            return
        for packet in packets:
            if isinstance(packet, SenderReport):
                self._sender_report(packet)
            if isinstance(packet, (SenderReport, ReceiverReport)):
                self._about_us(packet.reports)

    def _sender_report(self, report: SenderReport) -> None:
        heard = self.receiver.source
        if heard is not None and heard.ssrc == report.ssrc:
            heard.sender_report(report, self._monotonic())

    def _about_us(self, reports: tuple[ReportBlock, ...]) -> None:
        for block in reports:
            if block.ssrc == self.sender.ssrc:
                self.remote_view = block
                self.round_trip = block.round_trip(self._wall())

    def _report(self) -> None:
        self._reports = self._clock.callLater(REPORT_INTERVAL, self._report)
        self._send_compound()

    def _send_compound(self, *more: RtcpPacket) -> None:
        """SR or RR, whether we have sent anything since the last one, then the name, then more."""
        if self._remote_rtcp is None:
            return
        blocks = self.receiver.reports(self._monotonic())
        first: RtcpPacket = ReceiverReport(self.sender.ssrc, blocks)
        if self.sender.packets > self._sent_before:
            first = self.sender.report(self._wall(), blocks)
        self._sent_before = self.sender.packets
        name = SourceDescription(((self.sender.ssrc, f"{self.ports.port}@{self.ports.address}"),))
        self.ports.send_rtcp(build([first, name, *more]), self._remote_rtcp)
