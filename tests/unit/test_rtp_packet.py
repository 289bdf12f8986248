"""RTP headers: one packet and a whole batch agree, and nothing from the network raises anything unexpected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xconf.rtp.packet import RtpError, RtpPacket, distance, headers, is_rtcp

WORDS = st.integers(0, 0xFFFFFFFF)

packets = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127).filter(lambda value: not 64 <= value < 96),
    sequence=st.integers(0, 0xFFFF),
    timestamp=WORDS,
    ssrc=WORDS,
    payload=st.binary(max_size=200),
    marker=st.booleans(),
    csrcs=st.lists(WORDS, max_size=15).map(tuple),
    extension=st.none()
    | st.tuples(
        st.integers(0, 0xFFFF), st.integers(0, 10).flatmap(lambda n: st.binary(min_size=4 * n, max_size=4 * n))
    ),
    padding=st.integers(0, 255),
)


def batch(datagrams: list[bytes], width: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Datagrams as a receive call leaves them: rows with leftovers of older datagrams behind each."""
    buffer = np.random.default_rng(1).integers(0, 256, size=(len(datagrams), width), dtype=np.uint8)
    for row, data in zip(buffer, datagrams, strict=True):
        kept = data[:width]
        row[: len(kept)] = np.frombuffer(kept, dtype=np.uint8)
    return buffer, np.array([len(data) for data in datagrams])


@given(packets)
def test_a_packet_survives_the_wire(packet: RtpPacket) -> None:
    assert RtpPacket.parse(packet.serialize()) == packet


@given(st.lists(packets, min_size=1, max_size=20))
def test_a_batch_reads_what_single_packets_say(sent: list[RtpPacket]) -> None:
    buffer, lengths = batch([packet.serialize() for packet in sent])
    lengths_that_fit = lengths <= buffer.shape[1]
    found = headers(buffer, lengths)
    assert (found.valid == lengths_that_fit).all()
    for row in np.flatnonzero(found.valid):
        packet, start = sent[row], found.payload_offset[row]
        payload = buffer[row, start : start + found.payload_length[row]].tobytes()
        assert (found.marker[row], found.payload_type[row]) == (packet.marker, packet.payload_type)
        assert (found.sequence[row], found.timestamp[row]) == (packet.sequence, packet.timestamp)
        assert (found.ssrc[row], payload) == (packet.ssrc, packet.payload)


@given(st.binary(max_size=80))
@example(b"\x80")
@example(b"")
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        packet: RtpPacket | None = RtpPacket.parse(data)
    except RtpError:
        packet = None
    found = headers(*batch([data]))
    assert found.valid[0] == (packet is not None and not is_rtcp(data))
    assert found.rtcp[0] == is_rtcp(data)
    if found.valid[0] and packet is not None:
        start = int(found.payload_offset[0])
        assert data[start : start + int(found.payload_length[0])] == packet.payload


@given(st.lists(st.binary(max_size=40), max_size=10), st.integers(0, 40))
def test_any_batch_of_any_width_is_read(datagrams: list[bytes], width: int) -> None:
    found = headers(*batch(datagrams, width))
    inside = found.payload_offset + found.payload_length <= [len(data) for data in datagrams]
    assert (inside & (found.payload_length >= 0) | ~found.valid).all()
    assert not (found.valid & ([len(data) > width for data in datagrams] if datagrams else False)).any()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"\x80\x00", "fewer than an RTP header"),
        (b"\x40" + bytes(11), "version 1"),
        (b"\x82" + bytes(15), "contributing sources"),
        (b"\x90" + bytes(11) + b"\xbe\xde\x00\x02" + bytes(4), "extension"),
        (b"\x90" + bytes(13), "extension"),
        (b"\xa0" + bytes(12), "padding"),
        (b"\xa0" + bytes(11) + b"\x02", "padding"),
    ],
)
def test_what_is_wrong_is_said_and_the_batch_leaves_it_out(data: bytes, why: str) -> None:
    with pytest.raises(RtpError, match=why):
        RtpPacket.parse(data)
    assert not headers(*batch([data])).valid[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"sequence": 65536},
        {"timestamp": -1},
        {"payload_type": 128},
        {"padding": 256},
        {"csrcs": (0,) * 16},
        {"extension": (0, b"abc")},
    ],
)
def test_a_packet_that_does_not_fit_the_wire_is_refused(fields: dict[str, object]) -> None:
    plain: dict[str, object] = {"payload_type": 0, "sequence": 0, "timestamp": 0, "ssrc": 0}
    with pytest.raises(RtpError):
        RtpPacket(**{**plain, **fields}).serialize()  # type: ignore[arg-type]


def test_a_row_view_of_a_larger_buffer_is_read() -> None:
    packet = RtpPacket(8, 1, 2, 3, bytes(160))
    buffer, lengths = batch([packet.serialize()] * 8)
    found = headers(buffer[::2, :512], lengths[::2])
    assert found.valid.all() and (found.payload_length == 160).all()


@pytest.mark.parametrize(
    ("later", "earlier", "bits", "apart"),
    [(5, 3, 16, 2), (3, 5, 16, -2), (1, 0xFFFF, 16, 2), (0xFFFF, 1, 16, -2), (0, 0xFFFFFF00, 32, 256), (9, 9, 32, 0)],
)
def test_counters_wrap(later: int, earlier: int, bits: int, apart: int) -> None:
    assert distance(later, earlier, bits) == apart
