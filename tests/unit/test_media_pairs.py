"""Every codec with every other, in conferences of every rate, mono and stereo: what is said is heard as loud as it was said."""

from __future__ import annotations

import numpy as np
import pytest
from media_world import Room, Wire, level

from xconf.media.catalogue import NAMES, codec_of, formats, packet_time
from xconf.media.codecs import PCMU, Codec

DECIBEL = 10 ** (1 / 20)
TONE = 1000.0


def phones(room: Room, rate: int, channels: int) -> dict[str, Wire]:
    """A phone for each codec."""
    made = {}
    for number, name in enumerate(NAMES):
        (format,) = formats((name,), rate, channels)
        codec = codec_of(format, rate, channels)
        made[name] = room.phone(codec=codec, payload_type=96 + number, ptime=packet_time(codec, 20))
    return made


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8000, 16000, 32000, 48000])
def test_a_tone_is_as_loud_as_it_was_said(rate: int, channels: int) -> None:
    room = Room(rate, channels=channels)
    everybody = phones(room, rate, channels)
    for said, speaker in everybody.items():
        room.talk({speaker: TONE}, 40)
        for heard, listener in everybody.items():
            if listener is not speaker:
                codec = listener.codec
                frames = 12 * 20 // (10 if codec.room(20) > 1400 and codec.name != "opus" else 20)
                wave = listener.heard(frames)
                for channel in range(codec.heard[2]):
                    got = level(wave[channel :: codec.heard[2]], TONE, codec.rate)
                    assert 8000 / DECIBEL < got < 8000 * DECIBEL, (said, heard, channel, got)
        assert level(speaker.heard(12), TONE, speaker.codec.rate * speaker.codec.channels) < 200, said
    room.close()


def test_a_speaker_in_mono_is_in_the_middle_and_one_in_stereo_where_he_is() -> None:
    room = Room(16000, channels=2)
    stereo = codec("l16/16000/2")
    mono_speaker, wide_speaker = room.phone(codec=codec("pcmu")), room.phone(codec=stereo, payload_type=97)
    ears, one_ear = (
        room.phone(codec=stereo, payload_type=97, speaker=False),
        room.phone(codec=PCMU, speaker=False),
    )
    time = np.arange(320) / 16000
    for tick in range(40):
        left = 8000 * np.sin(2 * np.pi * 600 * (time + tick * 0.02))
        right = 4000 * np.sin(2 * np.pi * 1800 * (time + tick * 0.02))
        wide_speaker.speak(np.stack([left, right], axis=1).astype(np.int16).reshape(-1))
        room.talk({mono_speaker: 1000.0}, 1)
    heard = ears.heard(20).reshape(-1, 2)
    for channel, expected in ((0, (8000, 0)), (1, (0, 4000))):
        wave = heard[:, channel]
        assert level(wave, 1000, 16000) == pytest.approx(8000, rel=0.05)
        assert (level(wave, 600, 16000), level(wave, 1800, 16000)) == pytest.approx(expected, rel=0.05, abs=100)
    mixed = one_ear.heard(20)
    assert level(mixed, 1000) == pytest.approx(8000, rel=0.05)  # in both channels, whose mean he is
    assert (level(mixed, 600), level(mixed, 1800)) == pytest.approx((4000, 2000), rel=0.05)
    room.close()


def test_a_lost_packet_of_stereo_keeps_both_channels_apart() -> None:
    room = Room(16000, channels=2)
    stereo = codec("l16/16000/2")
    a, b = (room.phone(codec=stereo, payload_type=97) for _ in range(2))
    time = np.arange(320) / 16000
    for tick in range(60):
        wave = np.stack([8000 * np.sin(2 * np.pi * 450 * (time + tick * 0.02)), np.zeros(320)], axis=1)
        samples = wave.astype(np.int16).reshape(-1)
        a.lose(samples) if tick == 40 else a.speak(samples)
        room.tick()
    heard = b.heard(30).reshape(-1, 2)
    assert np.abs(heard[:, 1]).max() < 50
    assert min(level(part, 450, 16000) for part in heard[:, 0].reshape(-1, 320)) > 4000
    room.close()


def codec(name: str) -> Codec:
    (format,) = formats((name,), 16000, 2)
    return codec_of(format, 16000, 2)
