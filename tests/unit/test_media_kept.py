"""Outputs that nobody hears any more are kept for a while: the next listener goes on with their encoder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from media_world import Room, Wire, level

from xconf.media import opus
from xconf.media.opus import Opus

SECOND = 50  # ticks


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The encoders of Opus that were begun."""
    begun: list[object] = []
    make = opus._encoder_state

    def counted(codec: Opus) -> object:
        begun.append(codec)
        return make(codec)

    monkeypatch.setattr(opus, "_encoder_state", counted)
    return begun


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room(rate=8000, capacity=4)
    yield room
    room.close()


def listener(room: Room, ptime: int = 20) -> Wire:
    return room.phone(speaker=False, codec=Opus(), payload_type=111, ptime=ptime)


def leave(room: Room, phone: Wire) -> None:
    room.phones.remove(phone)
    phone.leg.close()
    phone.socket.close()


def test_who_comes_within_the_time_goes_on_with_the_encoder(room: Room, made: list[object]) -> None:
    room.mix.keep = 2.0
    speaker, first = room.phone(), listener(room)
    room.talk({speaker: 500.0}, 10)
    leave(room, first)
    room.talk({speaker: 500.0}, SECOND)
    assert room.engine.sizes()["outputs"] == 1, "the speaker's alone: nobody hears the other"
    encoded = room.engine.counters["encoded"]
    room.talk({speaker: 500.0}, 10)
    assert room.engine.counters["encoded"] == encoded + 10, "what nobody hears is not encoded"
    second = listener(room)
    room.talk({speaker: 500.0}, 20)
    assert len(made) == 1
    assert level(second.heard(10), 500, 48000) == pytest.approx(8000, rel=0.1)


def test_later_it_is_gone(room: Room, made: list[object]) -> None:
    room.mix.keep = 2.0
    speaker, first = room.phone(), listener(room)
    room.talk({speaker: 500.0}, 10)
    leave(room, first)
    room.talk({speaker: 500.0}, 2 * SECOND + 2)
    listener(room)
    room.talk({speaker: 500.0}, 2)
    assert len(made) == 2


def test_without_a_time_it_is_gone_at_once(room: Room, made: list[object]) -> None:
    speaker, first = room.phone(), listener(room)
    room.talk({speaker: 500.0}, 10)
    leave(room, first)
    room.talk({speaker: 500.0}, 2)
    listener(room)
    room.talk({speaker: 500.0}, 2)
    assert len(made) == 2


def test_another_conference_gets_none_of_it(room: Room, made: list[object]) -> None:
    other = room.engine.create_mix(8000)
    other.keep = 60.0
    first = room.phone(speaker=False, codec=Opus(), payload_type=111, at=other)
    room.quiet(5)
    leave(room, first)
    room.quiet(2)
    other.close()
    again = room.engine.create_mix(8000)
    again.keep = 60.0
    assert again.row == other.row
    second = room.phone(speaker=False, codec=Opus(), payload_type=111, at=again)
    room.quiet(5)
    assert len(made) == 2
    leave(room, second)
    room.quiet(1)
    again.close()


def test_what_is_kept_gives_way_when_there_is_no_more_room(room: Room, made: list[object]) -> None:
    room.mix.keep = 3600.0
    speaker = room.phone()
    for gain in range(-4, 5):
        one = listener(room)
        one.leg.listen_gain = gain
        room.talk({speaker: 500.0}, 3)
        leave(room, one)
        room.talk({speaker: 500.0}, 2)
    last = listener(room)
    room.talk({speaker: 500.0}, 20)
    assert level(last.heard(10), 500, 48000) == pytest.approx(8000, rel=0.1)
    assert "fault" not in " ".join(room.engine.counters)
