"""What one phone sends amiss costs the others nothing, and is not taken for what it is not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from media_world import EVENTS, Room, Wire, level

from xconf.rtp.telephone_event import event_packets


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def frame(room: Room, frequency: float) -> np.ndarray:
    time = (room.ticks * 160 + np.arange(160)) / 8000
    return (8000 * np.sin(2 * np.pi * frequency * time)).astype(np.int16)


def test_a_flood_of_events_from_one_phone_took_the_keys_of_another(room: Room) -> None:
    flooder, other = room.phone(), room.phone()
    pressed: list[str] = []
    other.leg.on_digit = pressed.append
    room.talk({flooder: 440, other: 600}, 5)
    for number in range(600):  # more than are looked at in one batch
        packet = next(event_packets("5", 160))
        flooder.raw(EVENTS, 7_000_000 + 1000 * number, packet.payload, True)
    other.press("7")
    room.tick()
    assert pressed == ["7"]
    assert room.engine.receiver.counters["events_dropped"] > 500


def test_a_second_source_at_a_phones_address_broke_the_first_ones_sound(room: Room) -> None:
    """Two programs behind one address: while the first sends, it is the one that is heard, without a gap."""
    speaker, listener = room.phone(), room.phone(speaker=False)
    room.talk({speaker: 440}, 20)
    for _ in range(30):
        speaker.speak(frame(room, 440))
        sequence, speaker.sequence, speaker.ssrc = speaker.sequence, 7, 99
        speaker.raw(0, 123, bytes(160))
        speaker.sequence, speaker.ssrc = sequence, 77
        room.tick()
    heard = listener.heard(25)
    assert level(heard, 440) == pytest.approx(8000, rel=0.05)
    assert all(level(part, 440) > 7000 for part in np.split(heard, 5))


def test_a_new_source_is_heard_when_the_old_one_is_silent(room: Room) -> None:
    speaker, listener = room.phone(), room.phone(speaker=False)
    room.talk({speaker: 440}, 20)
    speaker.ssrc, speaker.sequence, speaker.timestamp = 99, 5, 77
    room.talk({speaker: 900}, 20)
    assert level(listener.heard(10), 900) == pytest.approx(8000, rel=0.05)


def test_packets_of_many_lengths_from_one_phone_silenced_others(room: Room) -> None:
    odd, speaker, listener = room.phone(), room.phone(), room.phone(speaker=False)
    room.talk({odd: 1800, speaker: 440}, 10)
    for _ in range(25):
        for length in range(100, 140):
            odd.raw(0, odd.timestamp, bytes([0xFF]) * length)
        speaker.speak(frame(room, 440))
        room.tick()
    heard = listener.heard(20)
    assert all(level(part, 440) > 7000 for part in np.split(heard, 4))


def test_a_pressed_key_was_reported_as_lost_packets(room: Room) -> None:
    phone: Wire = room.phone()
    room.talk({phone: 440}, 10)
    phone.press("3")
    room.talk({phone: 440}, 10)
    assert phone.leg.statistics.lost == 0


def test_a_source_that_counts_anew_was_reported_as_lost_packets(room: Room) -> None:
    phone = room.phone()
    room.talk({phone: 440}, 10)
    phone.sequence += 20_000
    room.talk({phone: 440}, 10)
    assert phone.leg.statistics.lost == 0
