"""Silence that is not sent (Opus with usedtx), and speech after it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from itertools import pairwise

import pytest
from media_world import Room, Wire, level

from xconf.media.opus_parameters import encoded
from xconf.media.pauses import AFTER, EVERY
from xconf.media.sources import Clip
from xconf.media.tones import tone

PAUSING = encoded(16000, 1, "usedtx=1")
STEADY = encoded(16000, 1, None)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room(16000)
    yield room
    room.close()


def listener(room: Room, **options: object) -> Wire:
    return room.phone(speaker=False, codec=PAUSING, payload_type=107, **options)  # type: ignore[arg-type]


def speaker(room: Room) -> Wire:
    """Of whom only what is loud is mixed in."""
    phone = room.phone(codec=STEADY, payload_type=107)
    phone.leg.vad_level = 300
    return phone


def heads(wire: Wire) -> list[tuple[int, int, int]]:
    """(marker, sequence number, timestamp) of each packet."""
    return [(packet[1] >> 7, *struct.unpack("!HI", packet[2:8])) for packet in wire.packets]


def test_a_silent_conference_is_hardly_sent_and_hardly_encoded(room: Room) -> None:
    phones = [listener(room) for _ in range(5)]
    room.mix.comfort_noise = 120  # the phone makes its own, when it asks for no packets of silence
    room.quiet(60)
    for phone in phones:
        phone.packets.clear()
    before = room.engine.counters["encoded"]
    room.quiet(10 * EVERY)
    assert room.engine.counters["encoded"] - before == 10
    assert {len(phone.packets) for phone in phones} == {10}  # which keep ways through translators open
    assert room.engine.sizes()["packets_per_tick"] == 5


def test_who_does_not_ask_for_pauses_gets_none(room: Room) -> None:
    steady, pausing = room.phone(speaker=False, codec=STEADY, payload_type=107), listener(room)
    plain = room.phone(speaker=False)
    room.quiet(200)
    assert len(steady.packets) == len(plain.packets) == 200
    assert len(pausing.packets) < 30


def test_numbers_have_no_gap_and_timestamps_tell_the_pause(room: Room) -> None:
    """A gap in sequence numbers would be taken for a loss; the first packet after a pause has the marker (RFC 3551, 4.1)."""
    phone, talker = listener(room), speaker(room)
    for _ in range(3):
        room.talk({talker: 700.0}, 30)
        room.quiet(150)
    assert len(phone.packets) < 3 * 130
    marked = 0
    for (_, sequence, stamp), (marker, later, its_stamp) in pairwise(heads(phone)):
        assert later == (sequence + 1) & 0xFFFF
        step = (its_stamp - stamp) & 0xFFFFFFFF
        assert step % 960 == 0
        assert step >= 960
        marked += marker
        assert not marker or step > 960
    assert marked == 2


def test_speech_after_a_pause_is_heard_from_its_first_packet(room: Room) -> None:
    phone, talker = listener(room), speaker(room)
    room.quiet(100)
    phone.packets.clear()
    room.talk({talker: 700.0}, 60)
    assert len(phone.packets) >= 57
    assert level(phone.heard(40), 700, 16000) == pytest.approx(8000, rel=0.12)


def test_a_steady_tone_is_no_silence(room: Room) -> None:
    """libopus takes it for noise, and music on hold for nothing to send."""
    phone, talker = listener(room), speaker(room)
    room.talk({talker: 440.0}, 200)
    assert len(phone.packets) >= 197
    assert level(phone.heard(100), 440, 16000) == pytest.approx(8000, rel=0.12)


def test_a_prompt_to_one_wakes_his_conference_and_no_number_is_used_twice(room: Room) -> None:
    a, b = listener(room), listener(room)
    room.quiet(100)
    for _ in range(3):
        a.leg.play(Clip(tone([900.0], 0.5, 16000), 16000))
        room.quiet(25 + AFTER + 40)
    for phone in (a, b):
        numbers = [sequence for _, sequence, _ in heads(phone)]
        assert all(later == (before + 1) & 0xFFFF for before, later in pairwise(numbers))
    assert len(a.packets) == len(b.packets)


def test_conferences_pause_each_on_its_own(room: Room) -> None:
    other = room.engine.create_mix(16000)
    talker, near, far = (
        speaker(room),
        listener(room),
        room.phone(speaker=False, codec=PAUSING, payload_type=107, at=other),
    )
    room.talk({talker: 700.0}, 200)
    assert len(near.packets) >= 190
    assert len(far.packets) < 30
    far.leg.close()
    room.tick()
    other.close()


@pytest.mark.parametrize("ptime", [10, 40, 60])
def test_pauses_of_other_packet_times(room: Room, ptime: int) -> None:
    phone, talker = listener(room, ptime=ptime), speaker(room)
    room.talk({talker: 700.0}, 60)
    room.quiet(150)
    phone.packets.clear()
    room.quiet(60 * EVERY // 20 * 2)
    assert len(phone.packets) <= 60 * 20 * 2 // ptime // EVERY + 1
    phone.packets.clear()
    room.talk({talker: 700.0}, 60)
    assert level(phone.heard(400 // ptime), 700, 16000) == pytest.approx(8000, rel=0.12)
    assert all(later == (before + 1) & 0xFFFF for (_, before, _), (_, later, _) in pairwise(heads(phone)))
