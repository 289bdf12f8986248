"""Conferences without transcoding: who speaks alone is passed on octet for octet, two at once are mixed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import pytest
from media_world import Room, Wire, level

from xconf.media.codecs import LINEAR, PCMA, PCMU, Codec
from xconf.media.g722 import G722
from xconf.media.levels import HANG_OVER
from xconf.media.opus_parameters import encoded
from xconf.media.sources import Clip
from xconf.media.tones import tone

OPUS = encoded(16000, 1, "useinbandfec=1")
Make = Callable[[Codec], Room]


@pytest.fixture
def make() -> Iterator[Make]:
    rooms: list[Room] = []

    def room(codec: Codec) -> Room:
        rooms.append(Room(codec.rate))
        rooms[-1].mix.passing = True
        return rooms[-1]

    yield room
    for each in rooms:
        each.close()


def phone(room: Room, codec: Codec, *, speaker: bool = True, **options: int) -> Wire:
    """Of who is not loud nothing is heard."""
    made = room.phone(codec=codec, payload_type=107, speaker=speaker, **options)
    made.leg.vad_level = 300
    return made


def sent(wire: Wire) -> list[bytes]:
    """Has the phone note what it sends from now on: the payloads."""
    payloads: list[bytes] = []
    raw = wire.raw

    def noting(payload_type: int, timestamp: int, payload: bytes, marker: bool = False) -> None:
        payloads.append(payload)
        raw(payload_type, timestamp, payload, marker)

    wire.raw = noting  # type: ignore[method-assign]
    return payloads


def sequence(packet: bytes) -> int:
    return int.from_bytes(packet[2:4], "big")


@pytest.mark.parametrize("codec", [OPUS, G722(), PCMU, PCMA, LINEAR[16000, 1]], ids=lambda codec: codec.name)
def test_who_speaks_alone_is_passed_on_octet_for_octet(make: Make, codec: Codec) -> None:
    room = make(codec)
    speaker, silent = phone(room, codec), phone(room, codec)
    listeners = [phone(room, codec, speaker=False) for _ in range(3)]
    payloads = sent(speaker)
    room.talk({speaker: 703.7}, 60)
    for listener in (silent, *listeners):
        heard = [packet[12:] for packet in listener.packets[-40:]]
        at = payloads.index(heard[0])
        assert heard == payloads[at : at + 40]
        assert len(payloads) - (at + 40) <= 3  # without delay
        assert all(sequence(after) == (sequence(before) + 1) & 0xFFFF for before, after in pairwise(listener.packets))
    # He himself hears the silence of the others.
    assert level(speaker.heard(20), 703.7, codec.rate) < 100
    if codec in (OPUS, G722()):
        before = room.engine.counters.copy()
        room.talk({speaker: 703.7}, 10)
        assert room.engine.counters["passed"] - before["passed"] == 10
        assert room.engine.counters["encoded"] - before["encoded"] == 10  # his own


@pytest.mark.parametrize("codec", [OPUS, G722()], ids=lambda codec: codec.name)
def test_two_at_once_are_mixed_and_one_alone_is_passed_on_again(make: Make, codec: Codec) -> None:
    room = make(codec)
    a, b, listener = phone(room, codec), phone(room, codec), phone(room, codec, speaker=False)
    payloads = sent(a)
    room.talk({a: 700.0}, 40)
    room.talk({a: 700.0, b: 1100.0}, 60)
    listener.packets = listener.packets[:]
    both = listener.heard(30)
    assert level(both, 700, codec.rate) == pytest.approx(8000, rel=0.15)
    assert level(both, 1100, codec.rate) == pytest.approx(8000, rel=0.15)
    assert listener.packets[-1][12:] not in payloads
    room.talk({a: 700.0}, HANG_OVER + 60)
    assert [packet[12:] in payloads for packet in listener.packets[-40:]] == [True] * 40
    assert all(sequence(after) == (sequence(before) + 1) & 0xFFFF for before, after in pairwise(listener.packets))


@pytest.mark.parametrize("codec", [OPUS, G722()], ids=lambda codec: codec.name)
def test_changes_between_passed_on_and_encoded_do_not_click(make: Make, codec: Codec) -> None:
    """The listener's decoder knows the speaker's encoder then, not ours: ours learns what was heard before it goes on."""
    room = make(codec)
    speaker, listener = phone(room, codec), phone(room, codec, speaker=False)
    room.talk({speaker: 700.0}, 60)
    for _ in range(5):
        room.mix.passing = False
        room.talk({speaker: 700.0}, 13)
        room.mix.passing = True
        room.talk({speaker: 700.0}, 13)
    heard = listener.heard(120).astype(float)
    assert np.abs(heard).max() < 17000  # the wave leaps by the delay of a codec; without the care it was at full scale
    levels = [level(part, 700, codec.rate) for part in heard[: len(heard) // 640 * 640].reshape(-1, 640)]
    assert min(levels) > 1500


def test_a_lost_packet_is_the_listeners_to_make_up_for(make: Make) -> None:
    """Its number is missing to them too, so that a listener restores it from the next one, as he would have without us."""
    room = make(OPUS)
    speaker, listener = phone(room, OPUS), phone(room, OPUS, speaker=False)
    room.talk({speaker: 700.0}, 60)
    listener.packets.clear()
    time = np.arange(320) / 16000
    for tick in range(40):
        frame = (8000 * np.sin(2 * np.pi * 700 * (time + tick * 0.02))).astype(np.int16)
        speaker.lose(frame) if tick == 20 else speaker.speak(frame)
        room.tick()
    numbers = [sequence(packet) for packet in listener.packets]
    assert len(set(numbers)) >= len(numbers) - 2  # what is doubled is one packet sent again
    steps = [(after - before) & 0xFFFF for before, after in pairwise(dict.fromkeys(numbers))]
    assert sorted(set(steps)) == [1, 2]


def test_what_is_not_as_it_came_is_encoded(make: Make) -> None:
    """A listener's volume, a speaker's volume, other packet times, a sound that is played in."""
    room = make(OPUS)
    speaker = phone(room, OPUS)
    plain, louder = phone(room, OPUS, speaker=False), phone(room, OPUS, speaker=False)
    longer, other = phone(room, OPUS, speaker=False, ptime=40), phone(room, encoded(16000, 1, None), speaker=False)
    louder.leg.listen_gain = -2
    payloads = sent(speaker)
    room.talk({speaker: 700.0}, 80)
    assert plain.packets[-1][12:] in payloads
    assert other.packets[-1][12:] in payloads  # what it asks of an encoder is no hindrance
    assert louder.packets[-1][12:] not in payloads
    assert level(louder.heard(20), 700, 16000) == pytest.approx(4000, rel=0.15)
    assert level(longer.heard(10), 700, 16000) == pytest.approx(8000, rel=0.15)
    speaker.leg.talk_gain = -2
    room.talk({speaker: 700.0}, 30)
    assert plain.packets[-1][12:] not in payloads
    assert level(plain.heard(15), 700, 16000) == pytest.approx(4000, rel=0.2)
    speaker.leg.talk_gain = 0
    room.mix.play(Clip(tone([1500.0], 2.0, 16000), 16000))
    room.talk({speaker: 700.0}, 40)
    assert plain.packets[-1][12:] not in payloads
    assert level(plain.heard(20), 1500, 16000) > 5000


def test_packets_of_another_length_are_encoded(make: Make) -> None:
    room = make(OPUS)
    speaker, listener = phone(room, OPUS), phone(room, OPUS, speaker=False)
    payloads = sent(speaker)
    wave = (8000 * np.sin(2 * np.pi * 700 * np.arange(640 * 40) / 16000)).astype(np.int16).reshape(-1, 640)
    for stretch in wave:
        speaker.speak(stretch)
        room.quiet(2)
    assert listener.packets[-1][12:] not in payloads
    assert level(listener.heard(30), 700, 16000) == pytest.approx(8000, rel=0.15)
