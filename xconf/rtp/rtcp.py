"""RTCP (RFC 3550, section 6): compound packets built and parsed, and the reception statistics of one source.

Times of day come in as arguments: seconds since 1970, as `time.time()` gives them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xconf.rtp.packet import VERSION, distance

MAX_REPORTS = 31  # what the five bits of the count can say; also of sources in SDES and BYE

_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970
_CNAME = 1


class RtcpError(ValueError):
    """The bytes are no compound RTCP packet, or the fields do not fit into one."""


def ntp_time(wall: float) -> int:
    """A time of day as the 64 bits of NTP: seconds since 1900 and their fraction (RFC 3550, section 4)."""
    return int((wall + _NTP_EPOCH) * 2**32) % 2**64


def ntp_middle(ntp: int) -> int:
    """The middle 32 bits of an NTP time, in units of 1/65536 s, as LSR and DLSR have them."""
    return ntp >> 16 & 0xFFFFFFFF


@dataclass(slots=True, frozen=True)
class ReportBlock:
    """What a receiver says of one source. `jitter` in timestamp units, the last two in 1/65536 s (0: no SR yet)."""

    ssrc: int
    fraction_lost: int = 0
    cumulative_lost: int = 0
    highest_sequence: int = 0
    jitter: int = 0
    last_sr: int = 0
    delay_since_last_sr: int = 0

    size: ClassVar[int] = 24

    @classmethod
    def parse(cls, data: bytes, offset: int) -> ReportBlock:
        ssrc, lost, highest, jitter, last_sr, delay = struct.unpack_from("!6I", data, offset)
        return cls(ssrc, lost >> 24, distance(lost & 0xFFFFFF, 0, 24), highest, jitter, last_sr, delay)

    def serialize(self) -> bytes:
        if not (0 <= self.fraction_lost < 256 and -(1 << 23) <= self.cumulative_lost < 1 << 23):
            raise RtcpError("the fraction lost has 8 bits, the cumulative loss 24 with its sign")
        lost = self.fraction_lost << 24 | self.cumulative_lost & 0xFFFFFF
        rest = (self.highest_sequence, self.jitter, self.last_sr, self.delay_since_last_sr)
        return struct.pack("!6I", self.ssrc, lost, *rest)

    def round_trip(self, wall: float) -> float | None:
        """Seconds there and back, for a block about us that arrived at that time; None before our first SR."""
        if not self.last_sr:
            return None
        units = distance(ntp_middle(ntp_time(wall)), self.last_sr + self.delay_since_last_sr, 32)
        return max(units, 0) / 65536


@dataclass(slots=True, frozen=True)
class SenderReport:
    """SR: what we sent until `ntp` (64 bits), which is `rtp_timestamp` on the media's clock."""

    ssrc: int
    ntp: int
    rtp_timestamp: int
    packet_count: int
    octet_count: int
    reports: tuple[ReportBlock, ...] = ()

    packet_type: ClassVar[int] = 200

    @classmethod
    def parse(cls, count: int, body: bytes) -> SenderReport:
        ssrc, ntp, timestamp, packets, octets = struct.unpack_from("!IQIII", body)
        return cls(ssrc, ntp, timestamp, packets, octets, _parse_reports(body, 24, count))

    def serialize(self) -> bytes:
        fields = (self.ssrc, self.ntp, self.rtp_timestamp, self.packet_count, self.octet_count)
        body = struct.pack("!IQIII", *fields) + _serialize_reports(self.reports)
        return _packet(self.packet_type, len(self.reports), body)


@dataclass(slots=True, frozen=True)
class ReceiverReport:
    """RR: of who has sent nothing since the last report."""

    ssrc: int
    reports: tuple[ReportBlock, ...] = ()

    packet_type: ClassVar[int] = 201

    @classmethod
    def parse(cls, count: int, body: bytes) -> ReceiverReport:
        (ssrc,) = struct.unpack_from("!I", body)
        return cls(ssrc, _parse_reports(body, 4, count))

    def serialize(self) -> bytes:
        body = struct.pack("!I", self.ssrc) + _serialize_reports(self.reports)
        return _packet(self.packet_type, len(self.reports), body)


@dataclass(slots=True, frozen=True)
class SourceDescription:
    """SDES: the canonical name of each source as pairs (SSRC, CNAME); other items are passed over."""

    cnames: tuple[tuple[int, str], ...]

    packet_type: ClassVar[int] = 202

    @classmethod
    def parse(cls, count: int, body: bytes) -> SourceDescription:
        cnames, offset = [], 0
        for _ in range(count):
            (ssrc,) = struct.unpack_from("!I", body, offset)
            cname, offset = _parse_chunk(body, offset + 4)
            if cname is not None:
                cnames.append((ssrc, cname))
        return cls(tuple(cnames))

    def serialize(self) -> bytes:
        body = b"".join(_serialize_chunk(ssrc, cname) for ssrc, cname in self.cnames)
        return _packet(self.packet_type, len(self.cnames), body)


@dataclass(slots=True, frozen=True)
class Bye:
    """BYE: these sources are gone, and why if they say so."""

    ssrcs: tuple[int, ...]
    reason: str = ""

    packet_type: ClassVar[int] = 203

    @classmethod
    def parse(cls, count: int, body: bytes) -> Bye:
        ssrcs = struct.unpack_from(f"!{count}I", body)
        reason = body[4 * count :]
        return cls(ssrcs, _text(reason[1 : 1 + _length(reason, 0)]) if reason else "")

    def serialize(self) -> bytes:
        reason = self.reason.encode()
        counted = bytes([_at_most_255(reason)]) + reason if reason else b""
        body = struct.pack(f"!{len(self.ssrcs)}I", *self.ssrcs) + counted
        return _packet(self.packet_type, len(self.ssrcs), body + bytes(-len(body) % 4))


RtcpPacket = SenderReport | ReceiverReport | SourceDescription | Bye

_KINDS: dict[int, type[SenderReport | ReceiverReport | SourceDescription | Bye]] = {
    kind.packet_type: kind for kind in (SenderReport, ReceiverReport, SourceDescription, Bye)
}


def build(packets: Iterable[RtcpPacket]) -> bytes:
    """A compound packet. It should begin with a report and have a CNAME (6.1). Raises RtcpError when it cannot be."""
    try:
        return b"".join(packet.serialize() for packet in packets)
    except struct.error as error:
        raise RtcpError(f"a field does not fit: {error}") from None


def parse(data: bytes) -> list[RtcpPacket]:
    """The packets of a compound packet in order; APP and unknown ones are left out.

    Raises RtcpError, and nothing else. A datagram need not begin with a report (RFC 5506).
    """
    if not data:
        raise RtcpError("an empty datagram")
    packets: list[RtcpPacket] = []
    offset = 0
    while offset < len(data):
        count, kind, body, offset = _split(data, offset)
        if kind in _KINDS:
            packets.append(_parse_body(kind, count, body))
    return packets


def _parse_body(kind: int, count: int, body: bytes) -> RtcpPacket:
    try:
        return _KINDS[kind].parse(count, body)
    except struct.error:
        raise RtcpError(f"packet of type {kind} is too short for what it announces") from None


def _split(data: bytes, offset: int) -> tuple[int, int, bytes, int]:
    """Count, type and body (without padding) of the packet at that offset, and the offset behind it."""
    if offset + 4 > len(data):
        raise RtcpError("cut off within a header")
    first, kind, words = struct.unpack_from("!BBH", data, offset)
    end = offset + 4 + 4 * words
    if first >> 6 != VERSION or end > len(data):
        raise RtcpError("not version 2, or longer than the datagram")
    body = data[offset + 4 : end]
    if first & 0x20:
        padding = body[-1] if body else 0
        if end < len(data) or not 0 < padding <= len(body):
            raise RtcpError("padding that does not fit, or not in the last packet")
        body = body[:-padding]
    return first & 0x1F, kind, body, end


def _packet(kind: int, count: int, body: bytes) -> bytes:
    if count > MAX_REPORTS:
        raise RtcpError(f"{count} entries, where {MAX_REPORTS} fit")
    return struct.pack("!BBH", VERSION << 6 | count, kind, len(body) // 4) + body


def _parse_reports(body: bytes, offset: int, count: int) -> tuple[ReportBlock, ...]:
    return tuple(ReportBlock.parse(body, offset + ReportBlock.size * number) for number in range(count))


def _serialize_reports(reports: Sequence[ReportBlock]) -> bytes:
    return b"".join(report.serialize() for report in reports)


def _parse_chunk(body: bytes, offset: int) -> tuple[str | None, int]:
    """The CNAME among the items at that offset, and the offset of the next chunk (6.5).

    The null that ends the items is not insisted on at the end of the packet; some phones leave it out.
    """
    cname = None
    while offset < len(body) and (kind := body[offset]):
        length = _length(body, offset + 1)
        if offset + 2 + length > len(body):
            raise RtcpError("description item beyond the end of its packet")
        if kind == _CNAME:
            cname = _text(body[offset + 2 : offset + 2 + length])
        offset += 2 + length
    return cname, offset // 4 * 4 + 4


def _serialize_chunk(ssrc: int, cname: str) -> bytes:
    name = cname.encode()
    chunk = struct.pack("!IBB", ssrc, _CNAME, _at_most_255(name)) + name
    return chunk + bytes(4 - len(chunk) % 4)


def _length(data: bytes, offset: int) -> int:
    if offset >= len(data):
        raise RtcpError("cut off before a length")
    return data[offset]


def _at_most_255(text: bytes) -> int:
    if len(text) > 255:
        raise RtcpError("names and reasons have at most 255 bytes")
    return len(text)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
