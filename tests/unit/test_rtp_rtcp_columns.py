"""RTCP by columns is what RTCP one by one is: the same bytes, the same reading."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xconf.rtp.rtcp import (
    Bye,
    ReceiverReport,
    ReportBlock,
    RtcpPacket,
    SenderReport,
    SourceDescription,
    build,
    ntp_middle,
    ntp_time,
)
from xconf.rtp.rtcp_columns import Blocks, Sent, compose, read

NAME = "someone@example"
words = st.integers(0, 0xFFFFFFFF)


def one(*packets: RtcpPacket) -> bytes:
    return build(packets)


@given(ssrc=words, ntp=st.integers(0, 2**64 - 1), stamp=words, packets=words, octets=words, lost=st.integers(-99, 999))
def test_written_as_by_one(ssrc: int, ntp: int, stamp: int, packets: int, octets: int, lost: int) -> None:
    block = ReportBlock(7, 200, lost, 70000, 55, 0xFFFF0000, 65536)
    columns = Blocks(*(np.array([value]) for value in (7, 200, lost, 70000, 55, 0xFFFF0000, 65536)))
    sent = Sent(ntp, np.array([stamp]), np.array([packets]), np.array([octets]))
    source, name = np.array([ssrc]), SourceDescription(((ssrc, NAME),))
    sender = SenderReport(ssrc, ntp, stamp, packets, octets, (block,))
    assert compose(source, NAME, sent=sent, blocks=columns)[0].tobytes() == one(sender, name)
    alone = SenderReport(ssrc, ntp, stamp, packets, octets)
    assert compose(source, NAME, sent=sent)[0].tobytes() == one(alone, name)
    assert compose(source, NAME, blocks=columns)[0].tobytes() == one(ReceiverReport(ssrc, (block,)), name)
    assert compose(source, NAME, bye=True)[0].tobytes() == one(ReceiverReport(ssrc), name, Bye((ssrc,)))


def table(*datagrams: bytes) -> tuple[np.ndarray, np.ndarray]:
    data = np.full((len(datagrams), 128), 0xA5, np.uint8)  # what an earlier datagram left behind it
    for at, datagram in enumerate(datagrams):
        data[at, : len(datagram)] = np.frombuffer(datagram, np.uint8)
    return data, np.array([len(datagram) for datagram in datagrams])


def test_read_as_by_one() -> None:
    wall = 1.7e9
    ago = ntp_time(wall - 0.25)  # our report left then; they held it for 0.2 s
    block = ReportBlock(7, 64, 10, 70000, 55, ntp_middle(ago), round(0.2 * 65536))
    never = ReportBlock(7, 0, 0, 70000, 55)
    theirs = ntp_time(wall - 3)
    told = read(
        *table(
            one(SenderReport(1, theirs, 0, 0, 0, (block,)), SourceDescription(((1, NAME),))),
            one(ReceiverReport(1, (never, block))),
            one(ReceiverReport(1)),
            one(Bye((1,))),
        ),
        wall,
    )
    assert told.well_formed.all()
    assert told.sr.tolist() == [ntp_middle(theirs), 0, 0, 0]
    assert told.block.tolist() == [True, True, False, False]
    assert told.fraction.tolist() == [64, 0, 0, 0]
    assert told.jitter.tolist() == [55, 55, 0, 0]
    np.testing.assert_allclose(told.round_trip, [0.05, np.nan, np.nan, np.nan], atol=1e-4)


def test_what_is_cut_off_or_something_else_says_nothing() -> None:
    whole = one(SenderReport(1, 2**40, 0, 0, 0, (ReportBlock(7, 64, 10),)))
    odd = [whole[:size] for size in range(0, len(whole), 4)] + [b"\x80\xc8\x00\x01" + bytes(4), b"\x00" + whole[1:]]
    odd += [b"\x80\x00\x00\x01" + bytes(60)]
    told = read(*table(*odd), 1.7e9)
    assert not told.well_formed.any() and not told.sr.any() and not told.block.any() and not told.fraction.any()


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=8))
def test_any_bytes_are_read(datagrams: list[bytes]) -> None:
    told = read(*table(*datagrams), 1.7e9)
    assert not (told.block & ~told.well_formed).any()
