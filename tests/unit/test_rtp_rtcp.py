"""RTCP: what is built is parsed, what is hostile is refused, and the statistics say what happened."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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
from xconf.rtp.statistics import SourceStatistics

WORDS = st.integers(0, 0xFFFFFFFF)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
blocks = st.builds(ReportBlock, WORDS, st.integers(0, 255), st.integers(-(1 << 23), (1 << 23) - 1), WORDS, WORDS, WORDS)
reports = st.lists(blocks, max_size=31).map(tuple)
packets = st.one_of(
    st.builds(SenderReport, WORDS, st.integers(0, 2**64 - 1), WORDS, WORDS, WORDS, reports),
    st.builds(ReceiverReport, WORDS, reports),
    st.builds(SourceDescription, st.lists(st.tuples(WORDS, texts), max_size=31).map(tuple)),
    st.builds(Bye, st.lists(WORDS, max_size=31).map(tuple), texts),
)


@given(st.lists(packets, min_size=1, max_size=5))
def test_a_compound_survives_the_wire(sent: list[RtcpPacket]) -> None:
    data = build(sent)
    assert len(data) % 4 == 0
    assert parse(data) == sent


@given(st.binary(max_size=120) | st.lists(packets, max_size=3).map(build).flatmap(lambda data: bits_flipped(data)))
@example(b"")
@example(b"\x81\xca\x00\x02\x00\x00\x00\x01\x01\xff\x61\x00")
def test_any_bytes_parse_or_are_refused(data: bytes) -> None:
    try:
        found = parse(data)
    except RtcpError:
        return
    assert len(found) <= len(data) // 4


def bits_flipped(data: bytes) -> st.SearchStrategy[bytes]:
    if not data:
        return st.just(data)
    flips = st.lists(st.tuples(st.integers(0, len(data) - 1), st.integers(1, 255)), max_size=6)
    return flips.map(lambda places: flip(data, places))


def flip(data: bytes, places: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for position, bits in places:
        changed[position] ^= bits
    return bytes(changed)


def test_app_and_unknown_packets_are_passed_over() -> None:
    app = bytes.fromhex("80cc0002 00000001 6e616d65")
    feedback = bytes.fromhex("81cd0002 00000001 00000002")
    assert parse(app + feedback + build([Bye((7,))])) == [Bye((7,))]


def test_a_name_without_its_null_at_the_end_is_read() -> None:
    assert parse(bytes.fromhex("81ca0002 00000009 01026162")) == [SourceDescription(((9, "ab"),))]


@pytest.mark.parametrize(
    "packet",
    [
        ReceiverReport(1 << 32),
        ReceiverReport(1, (ReportBlock(1),) * 32),
        ReceiverReport(1, (ReportBlock(1, cumulative_lost=1 << 23),)),
        SourceDescription(((1, "x" * 256),)),
        Bye((1,), "x" * 256),
    ],
)
def test_what_does_not_fit_the_wire_is_refused(packet: RtcpPacket) -> None:
    with pytest.raises(RtcpError):
        build([packet])


def test_a_time_of_day_on_the_wire() -> None:
    assert ntp_time(0) == 2_208_988_800 << 32
    assert ntp_middle(ntp_time(0.5)) == (2_208_988_800 & 0xFFFF) << 16 | 0x8000


def run(source: SourceStatistics, numbers: list[int], start: float = 0.0) -> None:
    """Packets of 20 ms at 8 kHz with these running numbers, each arriving when it is due."""
    for number in numbers:
        source.packet(number & 0xFFFF, start + number * 0.02, number * 160 & 0xFFFFFFFF)


def test_a_clean_stream_over_the_wrap() -> None:
    source = SourceStatistics(5, 8000)
    run(source, list(range(65530, 65550)))
    block = source.report(0.0)
    assert (block.highest_sequence, block.fraction_lost, block.cumulative_lost) == (65549, 0, 0)
    assert source.received == source.expected == 20
    assert source.jitter == pytest.approx(0, abs=1e-6)


def test_every_second_packet_lost() -> None:
    source = SourceStatistics(5, 8000)
    run(source, list(range(0, 100, 2)))
    block = source.report(0.0)
    assert (block.cumulative_lost, block.fraction_lost) == (49, 49 * 256 // 99)
    run(source, list(range(99, 199)))
    block = source.report(0.0)
    assert (block.cumulative_lost, block.fraction_lost) == (49, 0)


def test_a_lost_block_of_a_report_is_that_of_its_interval() -> None:
    source = SourceStatistics(5, 8000)
    run(source, list(range(100)))
    source.report(0.0)
    run(source, list(range(150, 200)))
    assert source.report(0.0).fraction_lost == 128


def test_doubled_packets_make_the_loss_negative_and_never_the_fraction() -> None:
    source = SourceStatistics(5, 8000)
    run(source, [0, 1, 1, 1, 2])
    block = source.report(0.0)
    assert (block.cumulative_lost, block.fraction_lost) == (-2, 0)


def test_reordering_is_no_loss() -> None:
    source = SourceStatistics(5, 8000)
    run(source, [1, 0, 3, 2, *range(5, 200), 4])
    assert source.lost == 0 and source.highest_sequence == 199


def test_a_stray_number_changes_nothing_and_two_in_a_row_begin_anew() -> None:
    source = SourceStatistics(5, 8000)
    run(source, [0, 1, 30_000, 2])
    assert (source.received, source.lost) == (3, 0)
    run(source, [40_000, 40_001, 40_002])
    assert (source.received, source.lost, source.highest_sequence) == (2, 0, 40_002)


def test_jitter_of_a_packet_that_is_late_once() -> None:
    source = SourceStatistics(5, 8000)
    source.packet(0, 0.000, 0)
    source.packet(1, 0.030, 160)
    assert source.jitter == pytest.approx(80 / 16)
    source.packet(2, 0.040, 320)
    assert source.jitter == pytest.approx(5 + (80 - 5) / 16)


def test_the_round_trip_is_what_both_reports_say() -> None:
    wall = 1_700_000_000.25
    there = SourceStatistics(5, 8000)
    there.sender_report(SenderReport(5, ntp_time(wall), 0, 0, 0), now=10.0)
    block = there.report(now=12.5)
    assert block.delay_since_last_sr == int(2.5 * 65536)
    assert block.round_trip(wall + 2.5 + 0.08) == pytest.approx(0.08, abs=1e-4)
    assert ReportBlock(5).round_trip(wall) is None


def test_an_empty_source_reports_nothing() -> None:
    assert SourceStatistics(5, 8000).report(0.0) == ReportBlock(5)


@given(st.lists(st.tuples(st.integers(0, 65535), st.floats(0, 1e6), WORDS), max_size=60))
def test_any_numbers_give_a_report_that_fits(arrivals: list[tuple[int, float, int]]) -> None:
    source = SourceStatistics(5, 8000)
    for sequence, now, timestamp in arrivals:
        source.packet(sequence, now, timestamp)
    build([ReceiverReport(1, (source.report(1e6),))])
