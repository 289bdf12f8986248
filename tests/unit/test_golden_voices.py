"""Golden sound: gain, voice detection, automatic gain, comfort noise, and what is heard when packets are late or lost."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from golden_ears import click, envelope, purity, spectrum, steadiness, turns
from media_world import Room, Wire, level

from xconf.media.codecs import LINEAR
from xconf.media.leg import Agc
from xconf.media.levels import AGC_PERIOD, HANG_OVER

L16 = LINEAR[8000, 1]
TONE = 500.0
MEAN = 2 / np.pi  # of a sine of height 1
AGC = Agc(level=2000, low_level=50, factor=20, margin=300)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def phone(room: Room, *, speaker: bool = True) -> Wire:
    return room.phone(speaker=speaker, codec=L16, payload_type=97)


def loudness(wire: Wire, last: int = 20) -> float:
    """Mean absolute sample of what was heard last."""
    return float(np.abs(wire.heard(last).astype(float)).mean())


# Gain


@pytest.mark.parametrize("step", range(-4, 5))
def test_a_step_is_three_decibels_of_talking_and_of_listening(room: Room, step: int) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    wanted = 2000 * 10 ** (step * 3 / 20)
    talker.leg.talk_gain = step
    room.talk({talker: TONE}, 40, amplitude=2000.0)
    assert level(listener.heard(20), TONE) == pytest.approx(wanted, rel=0.02)
    talker.leg.talk_gain, listener.leg.listen_gain = 0, step
    room.talk({talker: TONE}, 40, amplitude=2000.0)
    assert level(listener.heard(20), TONE) == pytest.approx(wanted, rel=0.02)
    assert purity(listener.heard(20), TONE, 8000) > 50


# Voice detection


@pytest.mark.parametrize(("mean", "heard"), [(280, False), (320, True)])
def test_who_is_softer_than_the_threshold_is_left_out(room: Room, mean: int, heard: bool) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.vad_level = 300
    room.talk({talker: TONE}, 60, amplitude=mean / MEAN)
    assert talker.leg.speaking is heard
    assert loudness(listener) == pytest.approx(mean if heard else 0, rel=0.05)


def test_the_gate_stays_open_for_sixty_frames_and_the_end_of_a_word_is_heard(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.vad_level = 300
    room.talk({talker: TONE}, 60)
    listener.packets.clear()
    room.talk({talker: TONE}, 120, amplitude=200.0)
    soft = envelope(listener.heard(), 8000, 20)
    open_for = int(((soft > 100) & (soft < 200)).sum())  # an effective value of 141
    assert open_for == pytest.approx(HANG_OVER - 1, abs=2)
    assert not soft[-40:].any()


def test_a_pause_between_words_is_not_cut_out(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.vad_level = 300
    room.talk({talker: TONE}, 30)
    for _ in range(4):
        listener.packets.clear()
        room.talk({talker: TONE}, 50, amplitude=100.0)
        assert talker.leg.speaking
        room.talk({talker: TONE}, 10)
    assert envelope(listener.heard(), 8000, 20).min() > 50


# Automatic gain


@pytest.mark.parametrize("height", [700.0, 3000.0, 12000.0])
def test_soft_and_loud_speakers_come_out_at_the_wanted_level(room: Room, height: float) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.agc = AGC
    room.talk({talker: TONE}, 14 * AGC_PERIOD, amplitude=height)
    assert loudness(listener) == pytest.approx(AGC.level, abs=AGC.margin + 10)
    wave = listener.heard(AGC_PERIOD // 2)
    assert purity(wave, TONE, 8000) > 45
    assert steadiness(wave, 8000) > 0.8


def test_nothing_is_changed_within_the_margin(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.agc = AGC
    room.talk({talker: TONE}, 4 * AGC_PERIOD, amplitude=1800 / MEAN)
    assert loudness(listener) == pytest.approx(1800, rel=0.02)


def test_a_step_is_factor_per_cent_after_two_seconds(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.agc = Agc(level=4000, low_level=0, factor=3, margin=20)
    room.talk({talker: TONE}, 5 * AGC_PERIOD, amplitude=1000 / MEAN)
    heard = envelope(listener.heard(4 * AGC_PERIOD), 8000, 20)
    steps = heard[1:] / heard[:-1]
    assert steps.max() == pytest.approx(1.03, abs=0.003)
    assert int((steps > 1.02).sum()) == 4


@pytest.mark.parametrize("noise", [0.0, 40.0])
def test_silence_and_the_noise_of_a_room_are_not_pumped_up(room: Room, noise: float) -> None:
    """Beneath the low level the gain stays as it was, so that the first word after a pause is as loud as the last before."""
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.agc = AGC
    room.talk({talker: TONE}, 12 * AGC_PERIOD, amplitude=1500.0)
    before = loudness(listener)
    gain = before / (1500 * MEAN)
    room.talk({talker: TONE}, 10 * AGC_PERIOD, amplitude=noise / MEAN)
    assert loudness(listener) == pytest.approx(noise * gain, abs=2, rel=0.05)
    room.talk({talker: TONE}, 30, amplitude=1500.0)
    assert loudness(listener) == pytest.approx(before, rel=0.05)


def test_a_shout_after_soft_words_is_cut_off_and_does_not_wrap(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    talker.leg.agc = AGC
    room.talk({talker: TONE}, 12 * AGC_PERIOD, amplitude=500.0)
    listener.packets.clear()
    room.talk({talker: TONE}, 40, amplitude=30000.0)
    wave = listener.heard(20)
    assert np.abs(wave.astype(int)).max() >= 32767
    assert turns(wave) == pytest.approx(2 * TONE * 0.4, abs=3)


# Comfort noise


def test_comfort_noise_is_as_loud_as_said_white_and_without_seams(room: Room) -> None:
    listener = phone(room, speaker=False)
    room.mix.comfort_noise = 120
    room.quiet(300)
    wave = listener.heard(200)
    assert loudness(listener, 200) == pytest.approx(120, rel=0.05)
    power = spectrum(wave, 8)
    assert power.max() - power.min() < 2.0
    assert np.abs(wave).max() < 6 * 120 * np.sqrt(np.pi / 2)
    assert steadiness(wave, 8000) > 0.5


# Late and lost packets


def test_packets_that_come_unevenly_leave_no_gap_once_the_buffer_has_grown(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    rng = np.random.default_rng(3)
    room.talk({talker: TONE}, 30)
    late = 0
    for tick in range(600):
        time = (room.ticks * 160 + np.arange(160)) / 8000
        wave = (8000 * np.sin(2 * np.pi * TONE * time)).astype(np.int16)
        held = [wave]
        if rng.random() < 0.2 and tick % 7:
            room.tick()  # the network holds it for a tick, and then two come at once
            later = (room.ticks * 160 + np.arange(160)) / 8000
            held.append((8000 * np.sin(2 * np.pi * TONE * later)).astype(np.int16))
            late += 1
        for part in held:
            talker.speak(part)
        room.tick()
    assert late > 50
    assert steadiness(listener.heard(400), 8000) > 0.5


@pytest.mark.parametrize("share", [0.02, 0.1])
def test_lost_packets_of_a_tone_are_not_noticed(room: Room, share: float) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    rng = np.random.default_rng(5)
    room.talk({talker: TONE}, 50)
    listener.packets.clear()
    lost = burst = 0
    for _ in range(400):
        time = (room.ticks * 160 + np.arange(160)) / 8000
        wave = (8000 * np.sin(2 * np.pi * TONE * time)).astype(np.int16)
        if rng.random() < share and burst < 2:  # of more in a row the third is silent
            talker.lose(wave)
            lost, burst = lost + 1, burst + 1
        else:
            talker.speak(wave)
            burst = 0
        room.tick()
    heard = listener.heard()
    assert lost > 4
    assert talker.leg.statistics.lost == pytest.approx(lost, abs=2)
    assert steadiness(heard, 8000) > 0.25, "a gap"
    assert click(heard, TONE / 8000) < 1.6
    assert level(heard, TONE) == pytest.approx(8000, rel=0.15)


def test_a_long_loss_fades_within_60_ms_and_ends_without_a_click(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    room.talk({talker: TONE}, 50)
    listener.packets.clear()
    for _ in range(15):
        talker.skip(160)
    room.quiet(15)
    room.talk({talker: TONE}, 40)
    heard = listener.heard()
    parts = envelope(heard, 8000, 20)
    silent = parts < 50
    assert 8 <= int(silent.sum()) <= 13
    assert int((np.diff(silent.astype(int)) == 1).sum()) == 1  # one gap
    assert click(heard, TONE / 8000) < 1.6


def test_ten_seconds_after_a_phone_stalled_its_delay_is_the_least_again_without_a_click(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    frame = 0

    def say(frames: int) -> None:
        nonlocal frame
        for _ in range(frames):
            time = (frame * 160 + np.arange(160)) / 8000
            talker.speak((8000 * np.sin(2 * np.pi * TONE * time)).astype(np.int16))
            frame += 1

    def say_on(ticks: int) -> None:
        for _ in range(ticks):
            say(1)
            room.tick()

    say_on(50)
    least = talker.leg.statistics.delay_ms
    for stall in (2, 4, 6):
        room.quiet(stall)
        say(stall)
        say_on(30)
    assert talker.leg.statistics.delay_ms >= least + 80
    say_on(500)
    assert talker.leg.statistics.delay_ms <= least + 10  # half a frame may stay
    heard = listener.heard(520)
    assert click(heard, TONE / 8000) < 1.1
    assert steadiness(heard, 8000) > 0.8


# Pauses that telephones tell (RFC 3389)


def pause(wire: Wire, room: Room, told: int, ticks: int) -> None:
    wire.raw(13, wire.timestamp, bytes([told]))
    wire.timestamp += ticks * 160
    room.quiet(ticks)


def test_a_pause_that_a_telephone_tells_is_noise_and_no_word_is_drawn_out(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    room.talk({talker: TONE}, 50)
    pause(talker, room, 50, 20)
    wave = listener.heard(15).astype(float)
    assert 20 * np.log10(np.sqrt((wave**2).mean()) / 32768) == pytest.approx(-50, abs=1)
    assert level(wave, TONE) < 60
    assert talker.leg.statistics.lost == talker.leg.statistics.concealed == 0
    room.talk({talker: TONE}, 40)
    assert level(listener.heard(30), TONE) == pytest.approx(8000, rel=0.02)
    assert talker.leg.statistics.concealed == 0


@pytest.mark.parametrize(("told", "least", "most"), [(127, 0, 0), (0, 50, 1600)])
def test_silence_is_silent_and_noise_as_loud_as_a_voice_is_not_believed(
    room: Room, told: int, least: int, most: int
) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    room.talk({talker: TONE}, 50)
    pause(talker, room, told, 20)
    assert least <= np.abs(listener.heard(12)).max() <= most


def test_a_packet_that_is_lost_after_a_pause_is_concealed(room: Room) -> None:
    talker, listener = phone(room), phone(room, speaker=False)
    room.talk({talker: TONE}, 30)
    pause(talker, room, 60, 20)
    room.talk({talker: TONE}, 30)
    talker.lose(np.zeros(160, np.int16))
    room.quiet(1)
    room.talk({talker: TONE}, 20)
    assert np.abs(listener.heard(25)).reshape(-1, 160).max(axis=1).min() > 3000


def test_a_packet_of_comfort_noise_without_a_level_is_counted(room: Room) -> None:
    talker = phone(room)
    room.talk({talker: TONE}, 10)
    talker.raw(13, talker.timestamp, b"")
    room.quiet(1)
    assert room.engine.receiver.counters["other_payload_type"] == 1
