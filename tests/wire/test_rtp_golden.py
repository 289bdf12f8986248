"""RTP, RTCP and telephone-events, byte by byte."""

from __future__ import annotations

from xconf.rtp.packet import RtpPacket


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
