"""Golden sound: what comes out of each codec is what went in, in level and purity, without gaps, clicks and wraps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from golden_ears import click, purity, steadiness, turns
from media_world import Room, Wire, level

from xconf.media.codecs import LINEAR, PCMA, PCMU, Codec
from xconf.media.g722 import G722
from xconf.media.opus_parameters import encoded
from xconf.media.sources import Clip
from xconf.media.tones import tone

TONE = 1000.0
LOUD = 8000.0


def opus(rate: int) -> Codec:
    return encoded(rate, 1, None)


# The codec, its payload type, the conference's rate, and how pure a tone comes through at least, in dB.
CHAINS = [
    (PCMU, 0, 8000, 32.0),
    (PCMA, 8, 8000, 32.0),
    (LINEAR[8000, 1], 97, 8000, 75.0),
    (LINEAR[16000, 1], 97, 16000, 75.0),
    (LINEAR[16000, 1], 97, 48000, 60.0),
    (LINEAR[8000, 1], 97, 48000, 60.0),
    (G722(), 9, 16000, 25.0),
    (G722(), 9, 48000, 25.0),
    (opus(16000), 107, 16000, 12.0),
    (opus(48000), 107, 48000, 12.0),
]
NAMES = [f"{codec.name}-{codec.rate}-at-{rate}" for codec, _, rate, _ in CHAINS]


def in_room(rate: int, check: Callable[[Room], None]) -> None:
    room = Room(rate)
    try:
        check(room)
    finally:
        room.close()


def pair(room: Room, codec: Codec, payload_type: int) -> tuple[Wire, Wire]:
    talker = room.phone(codec=codec, payload_type=payload_type)
    return talker, room.phone(speaker=False, codec=codec, payload_type=payload_type)


@pytest.mark.parametrize(("codec", "payload_type", "rate", "pure"), CHAINS, ids=NAMES)
def test_a_steady_tone_is_as_loud_pure_and_whole(codec: Codec, payload_type: int, rate: int, pure: float) -> None:
    def check(room: Room) -> None:
        talker, listener = pair(room, codec, payload_type)
        room.talk({talker: TONE}, 250)
        wave = listener.heard(200)
        assert level(wave, TONE, codec.rate) == pytest.approx(LOUD, rel=0.05)
        assert purity(wave, TONE, codec.rate) > pure
        assert steadiness(wave, codec.rate) > 0.8, "silence was inserted"
        assert click(wave, TONE / codec.rate) < 1.5

    in_room(rate, check)


@pytest.mark.parametrize(
    ("codec", "payload_type"), [(PCMU, 0), (PCMA, 8), (LINEAR[8000, 1], 97)], ids=["PCMU", "PCMA", "L16"]
)
def test_voices_that_are_too_loud_together_are_cut_off_and_do_not_wrap(codec: Codec, payload_type: int) -> None:
    def check(room: Room) -> None:
        talkers = [room.phone(codec=codec, payload_type=payload_type) for _ in range(3)]
        listener = room.phone(speaker=False, codec=codec, payload_type=payload_type)
        room.mix.play(Clip(tone([TONE / 5], 5.0, 8000), 8000))
        room.talk(dict.fromkeys(talkers, TONE / 5), 100, amplitude=30000.0)
        for talker in talkers:
            talker.leg.talk_gain = 4
        listener.leg.listen_gain = 4
        room.talk(dict.fromkeys(talkers, TONE / 5), 60, amplitude=30000.0)
        wave = listener.heard(40).astype(int)
        assert np.abs(wave).max() >= 32000
        assert turns(wave) == pytest.approx(2 * TONE / 5 * 40 * 0.02, abs=3), "it wraps"
        assert steadiness(wave, 8000) > 0.8

    in_room(8000, check)


@pytest.mark.parametrize(("codec", "payload_type", "rate", "pure"), CHAINS, ids=NAMES)
def test_who_speaks_does_not_hear_himself_but_the_other(
    codec: Codec, payload_type: int, rate: int, pure: float
) -> None:
    def check(room: Room) -> None:
        one, two = pair(room, codec, payload_type)
        two.leg.speaker = True
        room.talk({one: TONE, two: 600.0}, 150)
        heard = one.heard(100)
        assert level(heard, 600.0, codec.rate) == pytest.approx(LOUD, rel=0.06)
        assert level(heard, TONE, codec.rate) < LOUD / 30

    in_room(rate, check)


@pytest.mark.parametrize(("rate", "wide"), [(16000, 8000), (48000, 8000), (48000, 16000)])
def test_no_mirror_image_is_heard_where_rates_differ(rate: int, wide: int) -> None:
    """A tone of 3 kHz at 8000 Hz has its image at 5 kHz."""

    def check(room: Room) -> None:
        talker = room.phone(codec=LINEAR[wide, 1], payload_type=97)
        listener = room.phone(speaker=False, codec=LINEAR[16000, 1], payload_type=98)
        frequency = wide * 3 / 8
        room.talk({talker: frequency}, 150)
        wave = listener.heard(100)
        assert level(wave, frequency, 16000) == pytest.approx(LOUD, rel=0.05)
        assert purity(wave, frequency, 16000) > 55
        if wide == 8000:
            assert level(wave, wide - frequency, 16000) < LOUD / 300

    in_room(rate, check)
