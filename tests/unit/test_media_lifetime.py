"""Rows that end, change hands and fail: nobody hears what is not meant for him, and one fault is one fault."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from media_world import Room, Wire, level

from xconf.media.codecs import PCMA, PCMU
from xconf.media.sources import Clip, Samples
from xconf.media.tones import tone
from xconf.rtp.ports import MediaPorts


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def playing(frequency: float, seconds: float = 5.0) -> Clip:
    return Clip(tone([frequency], seconds, 8000), 8000)


class Broken:
    """A sound that fails at its third frame: with an error, or with a frame that is none."""

    def __init__(self, frame: Samples | None = None) -> None:
        self._left = 2
        self._frame = frame

    def read(self) -> Samples:
        self._left -= 1
        if self._left >= 0:
            return np.zeros(160, np.int16)
        if self._frame is None:
            raise OSError("the sound's file is gone")
        return self._frame


def test_who_hears_a_broadcast_that_is_stopped_does_not_hear_who_takes_its_place(room: Room) -> None:
    """The row of hold music was taken by the next prompt, which was to be heard by another call alone."""
    waiting, other = room.phone(), room.phone()
    music = room.mix.broadcast(playing(600))
    waiting.leg.tune(music)
    room.quiet(10)
    music.stop()
    other.leg.play(playing(1500))
    room.quiet(20)
    assert level(other.heard(15), 1500) > 7000
    assert np.abs(waiting.heard(15).astype(int)).max() < 20
    other.leg.stop()


def test_a_broadcast_that_ends_gives_way_to_the_mix(room: Room) -> None:
    waiting, other, speaker = (room.phone() for _ in range(3))
    waiting.leg.tune(room.mix.broadcast(playing(600, 0.1)))
    room.quiet(6)
    other.leg.play(playing(1500))
    room.talk({speaker: 900.0}, 20)
    assert level(waiting.heard(15), 1500) < 80
    assert level(waiting.heard(15), 900) == pytest.approx(8000, rel=0.05)


def test_a_prompt_gives_way_to_the_mix_without_a_frame_of_silence(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    room.talk({a: 400.0}, 10)
    b.leg.play(playing(1000, 0.2))
    room.talk({a: 400.0}, 20)
    frames = np.abs(b.heard(20).astype(int)).reshape(-1, 160).max(axis=1)
    assert frames.min() > 4000


def test_a_sound_that_fails_is_over_and_the_others_go_on(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    """Its fault ended every tick from then on, for all conferences."""
    a, b, c = (room.phone() for _ in range(3))
    over: list[str] = []
    a.leg.play(Broken(), lambda: over.append("failed"))
    b.leg.play(Broken(np.zeros(80, np.int16)), lambda: over.append("too short"))
    room.mix.play(Broken(np.zeros((2, 160), np.int16)), lambda: over.append("of two channels"))
    room.talk({c: 700.0}, 40)
    assert sorted(over) == ["failed", "of two channels", "too short"]
    assert level(a.heard(20), 700) == pytest.approx(8000, rel=0.05)
    assert "the sound's file is gone" in caplog.text


def test_a_part_of_the_tick_that_fails_leaves_the_others_and_the_log_readable(
    room: Room, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = room.phone(), room.phone()

    def fail(*_: object) -> None:
        raise RuntimeError("a batch that nobody foresaw")

    room.talk({a: 500.0}, 10)
    before = len(b.packets)
    monkeypatch.setattr(room.engine.receiver, "run", fail)
    room.talk({a: 500.0}, 20)
    assert len(b.packets) == before + 20
    monkeypatch.undo()
    room.talk({a: 500.0}, 30)
    assert level(b.heard(15), 500) == pytest.approx(8000, rel=0.05)
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
    assert room.engine.counters["fault_batch"] == 20


def test_a_leg_that_is_closed_is_not_disturbed_by_what_comes_after(room: Room) -> None:
    """Setting a flag of a leg that was gone took its row from the call that had it next."""
    old = room.phone()
    room.quiet(3)
    old.leg.close()
    room.quiet(3)
    new, speaker = room.phone(), room.phone()
    room.talk({speaker: 500.0}, 3)
    old.leg.deaf = True
    old.leg.listen_gain = 2
    old.leg.play(playing(2000))
    old.leg.tune(room.mix.broadcast(playing(2000, 0.1)))
    old.leg.speaker = True
    old.leg.set_media(new.media(), host="127.0.0.1", addressed=True)
    room.talk({speaker: 500.0}, 30)
    assert level(new.heard(20), 500) == pytest.approx(8000, rel=0.05)
    assert len(new.packets) == 33


def test_done_is_not_called_for_what_was_stopped_while_its_end_was_being_told(room: Room) -> None:
    a, b = room.phone(), room.phone()
    over: list[str] = []

    def end(name: str, other: Wire) -> Callable[[], None]:
        def ended() -> None:
            over.append(name)
            other.leg.stop()

        return ended

    a.leg.play(playing(1000, 0.1), end("a", b))
    b.leg.play(playing(1000, 0.1), end("b", a))
    room.quiet(12)
    assert len(over) == 1


def test_a_codec_that_changes_while_speaking_and_while_hearing_a_prompt(room: Room) -> None:
    a, b = room.phone(), room.phone()
    talk: list[bool] = []
    a.leg.on_talk = talk.append
    room.talk({a: 500.0, b: 900.0}, 20)
    a.codec, a.payload_type = PCMA, 8
    a.leg.set_media(a.media(), host="127.0.0.1", addressed=True)
    room.talk({a: 500.0, b: 900.0}, 20)
    assert level(b.heard(12), 500) == pytest.approx(8000, rel=0.05)
    assert level(a.heard(12), 900) == pytest.approx(8000, rel=0.05)
    assert level(a.heard(12), 500) < 100
    a.leg.play(playing(1500))
    room.quiet(5)
    a.codec, a.payload_type = PCMU, 0
    a.leg.set_media(a.media(), host="127.0.0.1", addressed=True)
    room.talk({b: 900.0}, 15)
    assert level(a.heard(12), 1500) > 7000
    assert all(x != y for x, y in pairwise(talk)), "told twice that it speaks"


def test_a_change_of_direction_keeps_the_sound_that_waits(room: Room) -> None:
    """A re-INVITE that changed nothing of what the phone sends cut a gap into it."""
    a, b = room.phone(), room.phone()
    room.talk({a: 500.0}, 20)
    a.leg.set_media(a.media(sends=False), host="127.0.0.1", addressed=True)
    room.talk({a: 500.0}, 20)
    frames = np.abs(b.heard(30).astype(int)).reshape(-1, 80).max(axis=1)
    assert frames.min() > 5000


def test_speaker_taken_and_given_while_talking(room: Room) -> None:
    a, b = room.phone(), room.phone()
    talk: list[bool] = []
    a.leg.on_talk = talk.append
    for _ in range(4):
        room.talk({a: 500.0, b: 900.0}, 8)
        a.leg.speaker = not a.leg.speaker
    room.talk({a: 500.0, b: 900.0}, 20)
    assert talk == [True, False, True, False, True]
    assert level(b.heard(12), 500) == pytest.approx(8000, rel=0.05)
    assert level(a.heard(12), 500) < 80
    assert level(a.heard(12), 900) == pytest.approx(8000, rel=0.05)


def test_into_another_conference_also_of_another_rate_and_back(room: Room) -> None:
    a, b = room.phone(), room.phone()
    wide = room.engine.create_mix(16000)
    there = room.phone(at=wide)
    tones = {a: 500.0, b: 900.0, there: 1700.0}
    for mix, heard, not_heard in ((wide, 1700, 900), (room.mix, 900, 1700), (wide, 1700, 900)):
        room.talk(tones, 10)
        a.leg.attach(mix)
        room.talk(tones, 30)
        assert level(a.heard(20), heard) == pytest.approx(8000, rel=0.05)
        assert level(a.heard(20), not_heard) < 80
        assert level(a.heard(20), 500) < 80
        assert level((there if mix is wide else b).heard(20), 500) == pytest.approx(8000, rel=0.05)
        assert level((b if mix is wide else there).heard(20), 500) < 80
    a.leg.attach(room.mix)
    there.leg.close()
    room.quiet(2)
    wide.close()
    wide.close()


def test_a_leg_closed_in_the_callback_of_a_digit(room: Room) -> None:
    a, b, c = (room.phone() for _ in range(3))

    def leave(_: str) -> None:
        a.leg.close()
        b.leg.play(playing(1500))

    a.leg.on_digit = leave
    room.talk({a: 500.0, c: 900.0}, 10)
    a.press("1")
    room.talk({a: 500.0, c: 900.0}, 20)
    assert level(b.heard(15), 1500) > 7000
    assert level(c.heard(15), 500) < 80
    assert level(c.heard(15), 1500) < 80
    b.leg.stop()


def test_all_rows_in_use_and_every_leg_changes_what_it_hears() -> None:
    """With as many outputs as there is room for, a change took the row it needed before it gave the one it had."""
    room = Room(capacity=4)
    phones = [room.phone() for _ in range(4)]
    over: list[int] = []
    for number, phone in enumerate(phones):
        phone.leg.play(playing(500 + 200 * number, 0.2), lambda number=number: over.append(number))  # type: ignore[misc]
    room.quiet(3)
    for phone in phones:
        phone.leg.listen_gain = 1
    room.talk(dict.fromkeys(phones, 700.0), 30)
    for step in (2, 3, -1):
        for phone in phones:
            phone.leg.listen_gain = step
        room.talk(dict.fromkeys(phones, 700.0), 3)
    assert sorted(over) == [0, 1, 2, 3]
    assert not [name for name in room.engine.counters if name.startswith("fault")]
    assert {len(phone.packets) for phone in phones} == {42}
    room.close()


def test_an_address_is_not_written_while_packets_are_being_sent(room: Room) -> None:
    a = room.phone()
    room.quiet(3)
    names = room.engine._addresses._names[False]
    before = names.copy()
    moved = Wire(a.leg)
    room.phones.append(moved)
    a.leg.set_media(moved.media(), host="127.0.0.1", addressed=True)
    assert (names == before).all()
    room.quiet(3)
    assert len(moved.packets) == 3


def test_ports_that_are_closed_take_what_is_said_to_them_after() -> None:
    ports = MediaPorts("127.0.0.1", 22000, 22099)
    ports.open()
    ports.close()
    ports.send_rtcp(0, np.zeros((1, 8), np.uint8), np.zeros((1, 16), np.uint8))
    assert ports.unsent == 1
