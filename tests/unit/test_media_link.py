"""What comes from other nodes is heard by all of a conference here; what goes to them is of here alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from media_world import Room, level

from xconf.media.sources import Clip
from xconf.media.tones import tone


class Other:
    """Another node that says a tone. sent: what it was sent at each tick."""

    def __init__(self, hertz: float = 0.0, frames: int = 10_000) -> None:
        self.sent: list[np.ndarray | None] = []
        self.closed = False
        self._hertz, self._left, self._at = hertz, frames, 0

    def send(self, tick: int, frame: np.ndarray | None) -> None:
        self.sent.append(None if frame is None else frame.copy())

    def receive(self, tick: int) -> np.ndarray | None:
        self._left -= 1
        if not self._hertz or self._left < 0:
            return None
        time = (self._at + np.arange(160)) / 8000
        self._at += 160
        return (4000 * np.sin(2 * np.pi * self._hertz * time)).astype(np.int16)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def test_others_are_heard_by_listeners_and_by_speakers_who_still_do_not_hear_themselves(room: Room) -> None:
    speaker, listener = room.phone(), room.phone(speaker=False)
    room.mix.link = Other(900)
    room.talk({speaker: 433}, 60)
    assert level(speaker.heard(30), 900) == pytest.approx(4000, rel=0.05)
    assert level(speaker.heard(30), 433) < 50
    assert level(listener.heard(30), 900) == pytest.approx(4000, rel=0.05)
    assert level(listener.heard(30), 433) == pytest.approx(8000, rel=0.05)


def test_what_is_sent_is_what_is_said_and_played_here_and_never_what_came(room: Room) -> None:
    speaker = room.phone()
    room.mix.link = other = Other(900)
    room.mix.play(Clip(tone([1700], 5.0, 8000), 8000))
    room.talk({speaker: 433}, 60)
    sent = np.concatenate([frame for frame in other.sent[-30:] if frame is not None])
    assert len(sent) == 30 * 160
    assert level(sent, 433) == pytest.approx(8000, rel=0.05)
    assert level(sent, 1700) > 1000
    assert level(sent, 900) < 20


def test_nothing_is_sent_when_nobody_speaks(room: Room) -> None:
    room.phone()
    room.mix.link = other = Other(900)
    room.quiet(20)
    assert other.sent == [None] * 20


def test_comfort_noise_gives_way_to_others_and_comes_back(room: Room) -> None:
    listener = room.phone(speaker=False)
    room.mix.comfort_noise = 40
    room.mix.link = Other(900, frames=30)
    room.talk({listener: 433}, 25)
    assert level(listener.heard(15), 900) == pytest.approx(4000, rel=0.05)
    room.quiet(30)
    assert level(listener.heard(15), 900) < 50
    assert 10 < np.abs(listener.heard(15).astype(int)).mean() < 100


def test_where_voices_are_passed_on_as_they_came_others_are_mixed_in_all_the_same(room: Room) -> None:
    room.mix.passing = True
    speaker, listener = room.phone(), room.phone(speaker=False)
    room.mix.link = Other(900)
    room.talk({speaker: 433}, 60)
    assert level(listener.heard(30), 900) == pytest.approx(4000, rel=0.05)
    assert level(listener.heard(30), 433) == pytest.approx(8000, rel=0.05)


def test_conferences_hear_only_their_own_others(room: Room) -> None:
    second = room.engine.create_mix(8000)
    here, there = room.phone(), room.phone(at=second)
    room.mix.link = Other(900)
    room.talk({here: 433, there: 611}, 60)
    assert level(here.heard(30), 900) > 3500
    assert level(there.heard(30), 900) < 20
    there.leg.close()
    room.tick_quietly()
    second.close()


def test_a_link_that_fails_is_cut_and_the_sound_here_goes_on(room: Room) -> None:
    class Failing(Other):
        def receive(self, tick: int) -> np.ndarray | None:
            raise OSError("the network is gone")

    speaker, listener = room.phone(), room.phone()
    room.mix.link = Failing()
    room.talk({speaker: 433}, 60)
    assert room.mix.link is None
    assert level(listener.heard(30), 433) == pytest.approx(8000, rel=0.05)


def test_a_link_is_closed_with_its_conference() -> None:
    room = Room()
    room.mix.link = other = Other()
    room.close()
    assert other.closed
