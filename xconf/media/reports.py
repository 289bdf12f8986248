"""RTCP of all legs (RFC 3550, section 6): a report to each every five seconds, spread over the ticks; theirs are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xconf.media.outputs import Timelines
from xconf.media.receive import Receiver
from xconf.rtp.ports import MediaPorts
from xconf.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpError,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build,
    ntp_middle,
    ntp_time,
    parse,
)

if TYPE_CHECKING:
    from xconf.media.leg import Leg

PERIOD = 250  # ticks between two reports to a leg
READ_EVERY = 10  # ticks between two looks at the RTCP sockets
_TICK = 0.02


@dataclass(slots=True)
class _Counterpart:
    """What is kept of one leg between reports."""

    first_tick: int
    place: tuple[int, tuple[str, int]]  # media port, and the phone's RTCP address
    last_heard: int = -1
    last_sr: int = 0
    last_sr_tick: int = 0
    expected: int = 0
    received: int = 0
    remote_lost: float | None = None  # share, as the phone reports it of our packets
    remote_jitter: int = 0
    round_trip: float | None = None


class Reports:
    """Reports to and from the legs of an engine."""

    def __init__(self, timelines: Timelines, rng: np.random.Generator) -> None:
        self._timelines = timelines
        self._cname = f"{int(rng.integers(1 << 48)):012x}@xconf"  # RFC 7022: random, of one run
        self._known: dict[int, _Counterpart] = {}
        self._by_address: dict[tuple[int, tuple[str, int]], int] = {}
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._known)

    def counterpart(self, row: int) -> _Counterpart | None:
        """What the phone reported; None before it was first reported to."""
        return self._known.get(row)

    def run(self, legs: dict[int, Leg], ports: MediaPorts, receiver: Receiver, tick: int, wall: float) -> None:
        """Send the reports that are due at this tick; now and then read what came."""
        if tick % READ_EVERY == 0:
            for port, remote, data in ports.drain_rtcp():
                self._read(port, remote, data, tick, wall)
        for row in range(tick % PERIOD, max(legs, default=-1) + 1, PERIOD):
            leg = legs.get(row)
            if leg is not None and leg.latched is not None and leg.media is not None:
                self._send(leg, ports, receiver, tick, wall)

    def _rtcp_address(self, leg: Leg) -> tuple[str, int]:
        assert leg.media is not None and leg.latched is not None
        if leg.latched == leg.media.remote:
            return leg.media.remote_rtcp
        return leg.latched[0], leg.latched[1] + 1

    def _send(self, leg: Leg, ports: MediaPorts, receiver: Receiver, tick: int, wall: float) -> None:
        assert leg.media is not None
        known = self._known.get(leg.row)
        address = self._rtcp_address(leg)
        place = leg.port.index, address
        if known is None:
            known = self._known[leg.row] = _Counterpart(tick, place)
        if known.place != place:
            self._by_address.pop(known.place, None)
            known.place = place
        self._by_address[place] = leg.row
        ports.send_rtcp(leg.port.index, build(self._packets(leg, known, receiver, tick, wall)), address)

    def _packets(self, leg: Leg, known: _Counterpart, receiver: Receiver, tick: int, wall: float) -> list[RtcpPacket]:
        assert leg.media is not None
        ssrc = int(self._timelines.ssrc[leg.timeline])
        blocks = self._blocks(leg, known, receiver, tick)
        report: RtcpPacket = ReceiverReport(ssrc, blocks)
        if leg.media.sends:
            codec = leg.media.codec
            sent = tick - known.first_tick
            stamp = self._timelines.rtp_time(leg.timeline, tick, codec.clock)
            report = SenderReport(
                ssrc, ntp_time(wall), stamp, sent & 0xFFFFFFFF, sent * codec.room(20) & 0xFFFFFFFF, blocks
            )
        return [report, SourceDescription(((ssrc, self._cname),))]

    def _blocks(self, leg: Leg, known: _Counterpart, receiver: Receiver, tick: int) -> tuple[ReportBlock, ...]:
        """The report of what came from the leg; none when nothing came."""
        if leg.voice is None or not receiver.reception.received[leg.row]:
            return ()
        now = receiver.reception.report(leg.row)
        expected, received = now.expected - known.expected, now.received - known.received
        known.expected, known.received = now.expected, now.received
        lost = expected - received
        return (
            ReportBlock(
                int(receiver.ssrc[leg.row]),
                min(255, lost * 256 // expected) if 0 < lost <= expected else 0,
                max(-(1 << 23), min((1 << 23) - 1, now.lost)),
                now.highest_sequence & 0xFFFFFFFF,
                min(int(now.jitter), 0xFFFFFFFF),
                known.last_sr,
                int((tick - known.last_sr_tick) * _TICK * 65536) & 0xFFFFFFFF if known.last_sr else 0,
            ),
        )

    def _read(self, port: int, remote: tuple[str, int], data: bytes, tick: int, wall: float) -> None:
        row = self._by_address.get((port, remote))
        known = None if row is None else self._known.get(row)
        if known is None:
            self.counters["stray"] += 1
            return
        known.last_heard = tick
        try:
            packets = parse(data)
        except RtcpError:
            self.counters["malformed"] += 1
            return
        for packet in packets:
            if isinstance(packet, SenderReport):
                known.last_sr, known.last_sr_tick = ntp_middle(packet.ntp), tick
            if isinstance(packet, SenderReport | ReceiverReport) and packet.reports:
                block = packet.reports[0]
                known.remote_lost, known.remote_jitter = block.fraction_lost / 256, block.jitter
                known.round_trip = block.round_trip(wall)

    def bye(self, leg: Leg, ports: MediaPorts) -> None:
        """The call is over: tell the phone (RFC 3550, 6.6), and forget the leg."""
        known = self._known.pop(leg.row, None)
        if known is None:
            return
        self._by_address.pop(known.place, None)
        ssrc = int(self._timelines.ssrc[leg.timeline])
        packets: list[RtcpPacket] = [ReceiverReport(ssrc), SourceDescription(((ssrc, self._cname),)), Bye((ssrc,))]
        ports.send_rtcp(known.place[0], build(packets), known.place[1])
