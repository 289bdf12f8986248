"""RTP packets (RFC 3550, section 5.1): headers of a whole batch read as numpy columns, and one packet at a time.

`headers` is for the media path: it never raises and never loops over packets. `RtpPacket` is for clients and tests.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

VERSION = 2
HEADER_SIZE = 12
RTCP_TYPES = range(192, 224)
"""Second byte of an RTCP packet on a shared port (RFC 5761, section 4): payload types 64-95 with the marker set."""

_PLAIN = 0x80  # version 2, no padding, no extension, no contributing sources: nearly every packet of a telephone
_RTCP_HEADER_SIZE = 8
_MARKER, _TYPES, _RTCP = (
    0x80 << 16,
    0xE0 << 16,
    0xC0 << 16,
)  # in the first word; of RTCP_TYPES these three bits are the same

Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.intp]


class RtpError(ValueError):
    """The bytes are no RTP packet, or the fields do not fit into one."""


@dataclass(slots=True, frozen=True)
class Headers:
    """The headers of n datagrams as columns of length n. Only rows that are `valid` mean anything.

    `rtcp` marks rows that are RTCP instead (RFC 5761); these are not `valid`. For valid rows
    `payload_offset + payload_length <= length`, and a payload may be empty.
    """

    valid: Bools
    rtcp: Bools
    marker: Bools
    payload_type: npt.NDArray[np.integer[Any]]
    sequence: npt.NDArray[np.integer[Any]]
    timestamp: npt.NDArray[np.uint32]
    ssrc: npt.NDArray[np.uint32]
    payload_offset: Integers
    payload_length: Integers


def headers(buffer: Bytes, lengths: npt.NDArray[np.integer[Any]]) -> Headers:
    """Read the RTP headers of n datagrams, the i-th being `buffer[i, :lengths[i]]`.

    buffer: uint8[n, width], each row contiguous; lengths: int[n], bytes. A length beyond the width (the datagram
    was cut off) is invalid, as is one of a header that does not fit.
    """
    count, width = buffer.shape
    if width < HEADER_SIZE or count == 0:
        return _nothing(count)
    words = buffer[:, :HEADER_SIZE].view(">u4").astype(np.uint32)
    first = words[:, 0]
    length = lengths.astype(np.intp)
    ours = (first >> 30 == VERSION) & (length <= width)
    rtcp = ours & (first & _TYPES == _RTCP) & (length >= _RTCP_HEADER_SIZE)
    valid = ours & ~rtcp & (length >= HEADER_SIZE)
    offset = np.full(count, HEADER_SIZE, dtype=np.intp)
    payload = length - HEADER_SIZE
    unusual = (valid & (first >> 24 != _PLAIN)).nonzero()[0]
    if unusual.size:
        valid[unusual], offset[unusual], end = _bounds(buffer, unusual, length[unusual])
        payload[unusual] = end - offset[unusual]
    return Headers(
        valid=valid,
        rtcp=rtcp,
        marker=first & _MARKER != 0,
        payload_type=first >> 16 & 0x7F,
        sequence=first & 0xFFFF,
        timestamp=words[:, 1],
        ssrc=words[:, 2],
        payload_offset=offset,
        payload_length=payload,
    )


def _bounds(buffer: Bytes, rows: Integers, length: Integers) -> tuple[Bools, Integers, Integers]:
    """Where the payload begins and ends in rows with padding, an extension or contributing sources; and if it fits."""
    last_column = buffer.shape[1] - 1
    first = buffer[rows, 0].astype(np.intp)
    offset = HEADER_SIZE + 4 * (first & 0x0F)
    extended = first & 0x10 != 0
    fits = ~extended | (offset + 4 <= length)
    # Columns are clipped, so that rows which do not fit can be read along with the others and then be ignored.
    high = buffer[rows, np.minimum(offset + 2, last_column)].astype(np.intp)
    low = buffer[rows, np.minimum(offset + 3, last_column)]
    offset = np.where(extended, offset + 4 + 4 * (high << 8 | low), offset)
    padded = first & 0x20 != 0
    padding = np.where(padded, buffer[rows, length - 1], 0)
    fits &= ~padded | (padding > 0)
    end = length - padding
    return fits & (offset <= end), offset, end


def _nothing(count: int) -> Headers:
    """Headers of datagrams none of which can be RTP."""

    def zeros(kind: Any) -> npt.NDArray[Any]:
        return np.zeros(count, dtype=kind)

    return Headers(
        valid=zeros(bool),
        rtcp=zeros(bool),
        marker=zeros(bool),
        payload_type=zeros(np.uint32),
        sequence=zeros(np.uint32),
        timestamp=zeros(np.uint32),
        ssrc=zeros(np.uint32),
        payload_offset=zeros(np.intp),
        payload_length=zeros(np.intp),
    )


def is_rtcp(data: bytes) -> bool:
    """Whether a datagram on a port shared by RTP and RTCP is RTCP (RFC 5761, section 4)."""
    return len(data) >= _RTCP_HEADER_SIZE and data[0] >> 6 == VERSION and data[1] in RTCP_TYPES


def distance(later: int, earlier: int, bits: int) -> int:
    """How far `later` lies after `earlier` on a counter that wraps at 2**bits; negative when it lies before."""
    half = 1 << (bits - 1)
    return (later - earlier + half) % (2 * half) - half


@dataclass(slots=True, frozen=True)
class RtpPacket:
    """One RTP packet. `extension` is (profile-defined number, data of whole 32-bit words); `padding` in bytes."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    padding: int = 0

    @classmethod
    def parse(cls, data: bytes) -> RtpPacket:
        """Read one datagram. Raises RtpError, and nothing else, when it is no RTP packet."""
        if len(data) < HEADER_SIZE:
            raise RtpError(f"{len(data)} bytes are fewer than an RTP header")
        first, second, sequence, timestamp, ssrc = struct.unpack_from("!BBHII", data)
        if first >> 6 != VERSION:
            raise RtpError(f"RTP version {first >> 6}, not {VERSION}")
        offset = HEADER_SIZE + 4 * (first & 0x0F)
        if offset > len(data):
            raise RtpError("contributing sources beyond the end of the packet")
        csrcs = struct.unpack_from(f"!{first & 0x0F}I", data, HEADER_SIZE)
        extension = None
        if first & 0x10:
            extension, offset = _parse_extension(data, offset)
        padding = _parse_padding(data, offset) if first & 0x20 else 0
        payload = data[offset : len(data) - padding]
        return cls(second & 0x7F, sequence, timestamp, ssrc, payload, second >= 0x80, csrcs, extension, padding)

    def serialize(self) -> bytes:
        """The packet as it goes on the wire. Raises RtpError when a field is out of range."""
        first = VERSION << 6 | bool(self.padding) << 5 | (self.extension is not None) << 4 | len(self.csrcs)
        if len(self.csrcs) > 15 or not 0 <= self.payload_type < 128 or not 0 <= self.padding < 256:
            raise RtpError("at most 15 contributing sources, payload types to 127, padding to 255 bytes")
        second = self.marker << 7 | self.payload_type
        try:
            header = struct.pack("!BBHII", first, second, self.sequence, self.timestamp, self.ssrc)
            csrcs = struct.pack(f"!{len(self.csrcs)}I", *self.csrcs)
        except struct.error as error:
            raise RtpError(f"a field does not fit: {error}") from None
        padding = bytes(self.padding - 1) + bytes([self.padding]) if self.padding else b""
        return header + csrcs + _serialize_extension(self.extension) + self.payload + padding


def _parse_extension(data: bytes, offset: int) -> tuple[tuple[int, bytes], int]:
    """The header extension at that offset (RFC 3550, 5.3.1), and the offset behind it."""
    if offset + 4 > len(data):
        raise RtpError("header extension beyond the end of the packet")
    profile, words = cast("tuple[int, int]", struct.unpack_from("!HH", data, offset))
    end = offset + 4 + 4 * words
    if end > len(data):
        raise RtpError("header extension beyond the end of the packet")
    return (profile, data[offset + 4 : end]), end


def _parse_padding(data: bytes, offset: int) -> int:
    padding = data[-1]
    if not 0 < padding <= len(data) - offset:
        raise RtpError(f"{padding} bytes of padding where {len(data) - offset} bytes are left")
    return padding


def _serialize_extension(extension: tuple[int, bytes] | None) -> bytes:
    if extension is None:
        return b""
    profile, data = extension
    if len(data) % 4 or len(data) >= 1 << 18 or not 0 <= profile < 1 << 16:
        raise RtpError("a header extension is whole 32-bit words, at most 65535, under a 16-bit number")
    return struct.pack("!HH", profile, len(data) // 4) + data
