"""The phone's ears and mouth: what was lost is a gap in the recording, and levels are what they say."""

from __future__ import annotations

import random
import wave
from pathlib import Path

import numpy as np
import pytest

from xconf.media.codecs import PCMU
from xconf.media.sources import SoundError
from xconf.phone.audio import LevelMeter, Recorder, Tone, file, frame_or_silence, silence

RATE = 8000


def frames(count: int) -> list[np.ndarray]:
    tone = Tone((440.0,), -18.0, RATE)
    return [tone.read() for _ in range(count)]


def record(packets: list[tuple[int, np.ndarray]], start: int = 0, ssrc: int = 1) -> Recorder:
    """Packets by running number, each arriving when it is due."""
    recorder = Recorder(RATE, 100.0)
    for number, samples in packets:
        recorder.place(ssrc, (start + number * 160) & 0xFFFFFFFF, samples, 100.0 + number * 0.02)
    return recorder


def test_a_tone_is_as_loud_as_asked_and_has_no_seams() -> None:
    sound = np.concatenate(frames(50))
    assert 20 * np.log10(np.sqrt(np.mean(np.square(sound / 32768)))) == pytest.approx(-18, abs=0.05)
    whole = 32768 * 10 ** (-18 / 20) * np.sqrt(2) * np.sin(2 * np.pi * 440 / RATE * np.arange(RATE))
    assert np.abs(sound - whole).max() <= 1


def test_several_tones_saturate_and_do_not_wrap() -> None:
    sound = Tone((440.0, 441.0), -3.0, RATE).read().astype(int)
    assert sound.max() == 32767 and np.abs(np.diff(sound)).max() < 32768


@pytest.mark.parametrize("start", [0, 0xFFFFFFFF - 500])
def test_a_recording_is_what_was_sent(start: int) -> None:
    sent = frames(100)
    assert (record(list(enumerate(sent)), start).samples == np.concatenate(sent)).all()


def test_a_lost_packet_is_a_gap_and_a_late_one_finds_its_place() -> None:
    sent = frames(10)
    order = [0, 1, 3, 2, 5, 6, 7, 9, 8]
    expected = np.concatenate(sent)
    expected[4 * 160 : 5 * 160] = 0
    assert (record([(number, sent[number]) for number in order]).samples == expected).all()


def test_a_recording_begins_with_the_answer() -> None:
    recorder = Recorder(RATE, 100.0)
    recorder.place(1, 5, np.full(160, 7, np.int16), 100.5)
    assert np.flatnonzero(recorder.samples)[0] == 4000


def test_a_new_source_and_a_leap_of_timestamps_go_on_where_the_clock_is() -> None:
    recorder = Recorder(RATE, 0.0)
    ones = np.ones(160, np.int16)
    for number, (ssrc, timestamp) in enumerate([(1, 0), (1, 160), (2, 99_999), (2, 100_159), (2, 7), (2, 167)]):
        recorder.place(ssrc, timestamp, ones, number * 0.02)
    assert len(recorder.samples) == 6 * 160 and recorder.samples.all()


def test_hostile_timestamps_take_no_memory() -> None:
    recorder = Recorder(RATE, 0.0)
    rng = random.Random(1)
    for number in range(2000):
        recorder.place(rng.getrandbits(1), rng.getrandbits(32), np.ones(160, np.int16), number * 0.02)
    assert len(recorder.samples) < 60 * RATE


def test_a_recording_stops_growing_after_an_hour() -> None:
    recorder = Recorder(RATE, 0.0)
    recorder.place(1, 0, np.ones(160, np.int16), 3599.0)
    recorder.place(1, 8160, np.ones(160, np.int16), 3600.02)
    assert len(recorder.samples) == 3599 * RATE + 160


def test_a_saved_recording_is_a_plain_wav(tmp_path: Path) -> None:
    recorder = record(list(enumerate(frames(5))))
    recorder.save(tmp_path / "heard.wav")
    with wave.open(str(tmp_path / "heard.wav")) as saved:
        assert (saved.getnchannels(), saved.getsampwidth(), saved.getframerate()) == (1, 2, RATE)
        assert (np.frombuffer(saved.readframes(9999), np.int16) == recorder.samples).all()


def test_a_recording_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be written"):
        record([]).save(tmp_path / "missing" / "heard.wav")


def test_the_level_is_that_of_the_sound_and_not_of_the_silence_around_it() -> None:
    meter = LevelMeter()
    for samples in [np.zeros(160, np.int16)] * 50 + frames(50):
        meter.frame(PCMU.decode(PCMU.encode(samples)))
    assert meter.level == pytest.approx(-18, abs=0.2)
    assert meter.peak_level == pytest.approx(-15, abs=0.3)
    assert (meter.frames, meter.sounding) == (100, 50)


def test_a_meter_that_heard_nothing() -> None:
    meter = LevelMeter()
    assert not meter.frame(np.zeros(0, np.int16)) and not meter.frame(np.zeros(160, np.int16))
    assert meter.level == meter.peak_level == -100


def test_a_file_is_resampled_and_then_silence(tmp_path: Path) -> None:
    recorder = record(list(enumerate(frames(50))))
    recorder.save(tmp_path / "tone.wav")
    make = file(tmp_path / "tone.wav", {8000, 16000}, loop=False)
    sound = make(16000)
    played = [frame_or_silence(sound, 16000) for _ in range(52)]
    assert all(len(frame) == 320 for frame in played)
    assert np.abs(played[25]).max() > 4000 and not played[51].any()
    again = file(tmp_path / "tone.wav", {8000}, loop=True)(8000)
    assert all(np.abs(frame_or_silence(again, 8000)).max() > 4000 for _ in range(120))


def test_a_file_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(SoundError, match=r"nothing\.wav"):
        file(tmp_path / "nothing.wav", {8000}, loop=False)


def test_silence_is_silent() -> None:
    assert not frame_or_silence(silence(8000), 8000).any()
