"""Packets of 10 to 60 ms: what is on the wire, what is heard, and who shares them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from media_world import Room, Wire, level

from xconf.media.catalogue import packet_time
from xconf.media.codecs import LINEAR, PCMU, Codec
from xconf.media.g722 import G722
from xconf.media.opus import Opus
from xconf.media.pace import PTIMES

OPUS = Opus(rate=8000, bitrate=24000)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def heads(wire: Wire) -> list[tuple[int, int, int]]:
    """(sequence number, timestamp, SSRC) of each packet."""
    return [struct.unpack("!HII", packet[2:12]) for packet in wire.packets]


@pytest.mark.parametrize("codec", [PCMU, LINEAR[16000, 1], G722(), OPUS], ids=lambda codec: codec.name)
@pytest.mark.parametrize("ptime", PTIMES)
def test_packets_are_as_long_as_was_asked_for(room: Room, ptime: int, codec: Codec) -> None:
    ptime = packet_time(codec, ptime)
    speaker, listener = room.phone(), room.phone(speaker=False, codec=codec, payload_type=96, ptime=ptime)
    room.quiet(3)
    listener.packets.clear()
    room.talk({speaker: 500.0}, 90)
    assert len(listener.packets) == 90 * 20 // ptime
    step = codec.clock * ptime // 1000
    for before, after in pairwise(heads(listener)):
        assert after[0] == (before[0] + 1) & 0xFFFF
        assert after[1] == (before[1] + step) & 0xFFFFFFFF
        assert after[2] == before[2]
    if codec.name != "opus":
        assert {len(packet) for packet in listener.packets} == {12 + codec.room(ptime)}
    heard = listener.heard(len(listener.packets) // 2)
    assert level(heard, 500, codec.rate) == pytest.approx(8000, rel=0.12)
    tenths = heard[: len(heard) // (codec.rate // 50) * (codec.rate // 50)].reshape(-1, codec.rate // 50)
    assert min(level(part, 500, codec.rate) for part in tenths) > 6000  # without a gap


def test_sequence_numbers_and_timestamps_go_on_over_their_ends(room: Room) -> None:
    speaker = room.phone()
    listeners = [room.phone(speaker=False, ptime=ptime) for ptime in PTIMES]
    room.engine.timelines.sequence[room.mix.timeline] = 65520
    room.engine.timelines.timestamp[room.mix.timeline] = 2**32 - 1600
    room.talk({speaker: 500.0}, 60)
    for listener, ptime in zip(listeners, PTIMES, strict=True):
        for before, after in pairwise(heads(listener)):
            assert after[0] == (before[0] + 1) & 0xFFFF
            assert after[1] == (before[1] + ptime * 8) & 0xFFFFFFFF


def test_listeners_of_one_packet_time_share_their_packets(room: Room) -> None:
    """Sharing is what thousands of listeners rest on: one packet time is one output, whenever its listeners came."""
    speaker = room.phone()
    everybody: dict[int, list[Wire]] = {ptime: [] for ptime in PTIMES}
    for number in range(4):
        for ptime, phones in everybody.items():
            phones.append(room.phone(speaker=False, ptime=ptime))
        room.talk({speaker: 500.0}, 5 + number)
    for phones in everybody.values():
        for phone in phones:
            phone.packets.clear()
    before = room.engine.counters["encoded"]
    room.talk({speaker: 500.0}, 30)
    for phones in everybody.values():
        assert len({tuple(phone.packets) for phone in phones}) == 1
    # 600 ms of each packet time, and the speaker's own, which is without himself.
    assert room.engine.counters["encoded"] - before == sum(600 // ptime for ptime in PTIMES) + 30
    assert room.engine.sizes()["outputs"] == len(PTIMES) + 1


def test_who_begins_to_speak_goes_on_hearing_the_others_without_a_gap(room: Room) -> None:
    """With long packets an output that is new in mid-packet began with silence."""
    a, b = room.phone(), room.phone(ptime=60)
    b.leg.vad_level = 300
    for _ in range(3):
        room.talk({a: 500.0}, 50)
        room.talk({a: 500.0, b: 900.0}, 20)
        assert b.leg.speaking
        room.talk({a: 500.0}, 71)  # until his gate closes, and beyond
        assert not b.leg.speaking
    heard = b.heard()[8000:]
    levels = [level(part, 500) for part in heard[: len(heard) // 160 * 160].reshape(-1, 160)]
    assert min(levels) > 6000


def test_a_packet_time_that_changes_in_a_call(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    room.talk({a: 500.0}, 20)
    for ptime in (60, 10, 30, 20):
        b.leg.set_media(b.media(ptime=ptime), host="127.0.0.1", addressed=True)
        room.talk({a: 500.0}, 6)
        b.packets.clear()
        room.talk({a: 500.0}, 30)
        assert {len(packet) for packet in b.packets} == {12 + ptime * 8}
        assert len(b.packets) == 600 // ptime
        assert level(b.heard(), 500) == pytest.approx(8000, rel=0.05)


def test_missed_ticks_leave_the_time_line_as_it_is(room: Room) -> None:
    a = room.phone()
    phones = {ptime: room.phone(speaker=False, ptime=ptime) for ptime in PTIMES}
    room.talk({a: 500.0}, 30)
    for missed in (1, 2, 3, 7):
        room.tick(missed)
        room.talk({a: 500.0}, 11)
    for ptime, phone in phones.items():
        for (sequence, stamp, _), (later, its_stamp, _) in pairwise(heads(phone)):
            packets = (later - sequence) & 0xFFFF
            assert (its_stamp - stamp) & 0xFFFFFFFF == packets * ptime * 8
            assert 1 <= packets <= 2 + 8 * 20 // ptime


def test_the_nearest_packet_time_from_below() -> None:
    wanted = (1, 10, 15, 20, 25, 30, 35, 40, 50, 60, 120, 1000)
    assert [packet_time(PCMU, each) for each in wanted] == [10, 10, 10, 20, 20, 30, 30, 40, 40, 60, 60, 60]
    assert [packet_time(OPUS, each) for each in wanted] == [10, 10, 10, 20, 20, 20, 20, 40, 40, 60, 60, 60]
    # Its packets cross an Ethernet in one piece.
    assert packet_time(LINEAR[16000, 1], 60) == 40
    assert packet_time(LINEAR[48000, 1], 20) == 10


@pytest.mark.parametrize(("milliseconds", "frequency"), [(10, 400.0), (20, 800.0), (40, 1300.0), (60, 1900.0)])
def test_any_packet_time_is_heard(room: Room, milliseconds: int, frequency: float) -> None:
    """What comes in need not be as long as what goes out."""
    listener, speaker = room.phone(speaker=False), room.phone(codec=OPUS, payload_type=107)
    wave = (3000 * np.sin(2 * np.pi * frequency * np.arange(480 * 20) / 8000)).astype(np.int16)
    spoken = 0
    for tick in range(60):
        while (tick + 1) * 160 - spoken >= milliseconds * 8:
            speaker.speak(wave[spoken : spoken + milliseconds * 8])
            spoken += milliseconds * 8
        room.tick()
    assert level(listener.heard(30), frequency) == pytest.approx(3000, rel=0.12)
