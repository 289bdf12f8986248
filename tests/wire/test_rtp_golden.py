"""RTP, RTCP and telephone-events, byte by byte."""

from __future__ import annotations

import pytest

from xconf.rtp.packet import RtpPacket
from xconf.rtp.rtcp import Bye, ReceiverReport, ReportBlock, SenderReport, SourceDescription, build, parse
from xconf.rtp.telephone_event import Event


def test_a_plain_packet_of_g711() -> None:
    data = bytes.fromhex("80 88 1234 00000640 deadbeef") + b"\xd5" * 160
    packet = RtpPacket(8, 0x1234, 1600, 0xDEADBEEF, b"\xd5" * 160, marker=True)
    assert RtpPacket.parse(data) == packet
    assert packet.serialize() == data


def test_a_packet_with_everything() -> None:
    data = bytes.fromhex(
        "b2 65 0001 00000002 00000003"  # padding, extension, two contributing sources, payload type 101
        "0000000a 0000000b"
        "bede 0001 10aa0000"
        "cafe"
        "000003"
    )
    packet = RtpPacket(
        101, 1, 2, 3, b"\xca\xfe", csrcs=(10, 11), extension=(0xBEDE, bytes.fromhex("10aa0000")), padding=3
    )
    assert RtpPacket.parse(data) == packet
    assert packet.serialize() == data


@pytest.mark.parametrize(
    ("data", "event"),
    [
        ("09 87 0640", Event(9, 1600, end=True, volume=7)),
        ("01 8a 07d0", Event(1, 2000, end=True, volume=10)),
        ("01 14 0190", Event(1, 400, volume=20)),
        ("0b bf ffff", Event(11, 65535, end=True, volume=63)),
    ],
)
def test_telephone_events_as_in_the_example_of_dialling_911(data: str, event: Event) -> None:
    """RFC 4733, section 5.1: 9 held for 200 ms, 1 for 250 ms, and the second 1 still held after 50 ms."""
    assert Event.parse(bytes.fromhex(data)) == event
    assert event.serialize() == bytes.fromhex(data)


def test_a_compound_of_sender_report_name_and_goodbye() -> None:
    data = bytes.fromhex(
        "81c8000c"  # SR with one report block
        "00000001 e5774bc0 80000000 00000640 0000000a 00000640"
        "00000002 80ffffff 00010003 00000005 4bc08000 00020000"
        "81ca0003"  # SDES
        "00000001 0105 6140622e63 00"
        "81cb0002"  # BYE with a reason
        "00000001 03656e64"
    )
    block = ReportBlock(
        2,
        fraction_lost=128,
        cumulative_lost=-1,
        highest_sequence=0x10003,
        jitter=5,
        last_sr=0x4BC08000,
        delay_since_last_sr=2 << 16,
    )
    compound = [
        SenderReport(1, 0xE5774BC0_80000000, 1600, 10, 1600, (block,)),
        SourceDescription(((1, "a@b.c"),)),
        Bye((1,), "end"),
    ]
    assert parse(data) == compound
    assert build(compound) == data


def test_a_receiver_report_with_padding() -> None:
    data = bytes.fromhex("a0c90002 00000007 00000004")
    assert parse(data) == [ReceiverReport(7)]
