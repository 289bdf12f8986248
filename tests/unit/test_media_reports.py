"""RTCP as phones get it from the server, and what the server learns from theirs."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import numpy as np
import pytest
from media_world import Room, Wire

from xconf.media.leg import LegMedia
from xconf.media.reports import BYES, PERIOD
from xconf.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build,
    ntp_middle,
    parse,
)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


class Rtcp:
    """The RTCP socket of a phone."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.setblocking(False)

    def media(self, *, sends: bool = True) -> LegMedia:
        wire = self.wire
        address = self.socket.getsockname()
        return LegMedia(wire.codec, wire.payload_type, wire.payload_type, None, wire.address, address, sends=sends)

    def join(self, *, sends: bool = True) -> None:
        self.wire.leg.set_media(self.media(sends=sends), host="127.0.0.1", addressed=True)

    def send(self, *packets: RtcpPacket) -> None:
        self.socket.sendto(build(packets), ("127.0.0.1", self.wire.leg.local_port + 1))

    def got(self) -> list[list[RtcpPacket]]:
        found = []
        while True:
            try:
                found.append(parse(self.socket.recv(2048)))
            except BlockingIOError:
                return found


@pytest.fixture
def phone(room: Room) -> Iterator[Rtcp]:
    phone = Rtcp(room.phone())
    phone.join()
    yield phone
    phone.socket.close()


def test_who_is_only_listening_gets_a_sender_report_every_five_seconds(room: Room, phone: Rtcp) -> None:
    phone.wire.leg.speaker = False
    room.quiet(2 * PERIOD)
    reports = phone.got()
    assert len(reports) == 2
    for report, name in reports:
        assert isinstance(report, SenderReport) and isinstance(name, SourceDescription)
        assert not report.reports and report.ssrc == name.cnames[0][0]
    first, second = (report[0] for report in reports)
    assert isinstance(first, SenderReport) and isinstance(second, SenderReport)
    assert second.packet_count - first.packet_count == PERIOD and second.octet_count - first.octet_count == PERIOD * 160
    assert (second.rtp_timestamp - first.rtp_timestamp) % 2**32 == PERIOD * 160
    assert (second.ntp - first.ntp) / 2**32 == pytest.approx(5.0, abs=0.01)
    # The time stamp of a report is that of the packets sent with it.
    sent = [int.from_bytes(packet[4:8], "big") for packet in phone.wire.packets]
    assert second.rtp_timestamp in sent


def test_a_speaker_is_told_what_of_his_was_lost(room: Room, phone: Rtcp) -> None:
    lost_every = 4
    for number in range(2 * PERIOD):
        if number % lost_every == 0:
            phone.wire.skip(160)
        else:
            phone.wire.speak(np.full(160, 1000, np.int16))
        room.tick()
    (last, _) = phone.got()[-1]
    assert isinstance(last, SenderReport)
    (block,) = last.reports
    assert block.ssrc == phone.wire.ssrc
    assert block.fraction_lost == pytest.approx(256 / lost_every, abs=3)
    assert block.cumulative_lost == pytest.approx(2 * PERIOD / lost_every, rel=0.3)


def test_a_phone_on_hold_gets_receiver_reports(room: Room, phone: Rtcp) -> None:
    phone.join(sends=False)
    room.quiet(PERIOD)
    assert [type(report) for report, _ in phone.got()] == [ReceiverReport]


def test_what_the_phone_says_of_our_packets_is_known(room: Room, phone: Rtcp) -> None:
    room.quiet(PERIOD)
    ((ours, _),) = phone.got()
    assert isinstance(ours, SenderReport)
    phone.send(SenderReport(phone.wire.ssrc, 5 << 32, 0, 0, 0, (ReportBlock(1, 64, 9, 0, 0, ntp_middle(ours.ntp)),)))
    room.quiet(10)
    statistics = phone.wire.leg.statistics
    assert statistics.lost_there == 0.25
    assert statistics.round_trip_ms == pytest.approx(((room.ticks - 1) % PERIOD) * 20, abs=300)
    assert statistics.silent_for is not None and statistics.silent_for < 1


def test_reports_of_strangers_and_broken_ones_are_counted(room: Room, phone: Rtcp) -> None:
    room.quiet(PERIOD)
    phone.socket.sendto(b"\x81\xc8\x00\x01", ("127.0.0.1", phone.wire.leg.local_port + 1))
    phone.wire.socket.sendto(build([ReceiverReport(1)]), ("127.0.0.1", phone.wire.leg.local_port + 1))
    room.quiet(10)
    assert room.engine.reports.counters == {"stray": 1, "malformed": 1}


def test_a_call_that_ends_says_goodbye(room: Room, phone: Rtcp) -> None:
    room.quiet(PERIOD)
    phone.got()
    phone.wire.leg.close()
    room.quiet(2)
    ((report, name, bye),) = phone.got()
    assert isinstance(report, ReceiverReport) and isinstance(name, SourceDescription)
    assert isinstance(bye, Bye) and bye.ssrcs == (report.ssrc,)


def test_when_many_hang_up_at_once_all_are_told_some_at_each_tick(room: Room) -> None:
    phones = [Rtcp(room.phone(speaker=False)) for _ in range(BYES + 10)]
    for phone in phones:
        phone.join()
    room.quiet(PERIOD)
    for phone in phones:
        phone.got()
        phone.wire.leg.close()
    room.quiet(1)
    told = [phone.got() for phone in phones]
    assert sum(map(bool, told)) == BYES
    room.quiet(1)
    assert all(late or early for late, early in zip((phone.got() for phone in phones), told, strict=True))
    for phone in phones:
        phone.socket.close()


def test_an_engine_that_closes_says_goodbye_to_all(room: Room) -> None:
    other = Room()
    phone = Rtcp(other.phone())
    phone.join()
    other.quiet(PERIOD)
    phone.got()
    phone.wire.leg.close()
    other.engine.close()
    assert [type(packet) for packet in phone.got()[0]] == [ReceiverReport, SourceDescription, Bye]
    phone.socket.close()
    phone.wire.socket.close()
