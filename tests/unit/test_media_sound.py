"""Tones, clips, files, levels, concealment, resampling: what each sounds like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from xconf.media.conceal import FADE_FRAMES, conceal, splice
from xconf.media.levels import AGC_BOUNDS, HANG_OVER, automatic_gain, gate, mean_level, scale, step_gain
from xconf.media.resample import Resamplers
from xconf.media.rows import OutOfRows, Rows
from xconf.media.sounds import Sounds, decode_file
from xconf.media.sources import Clip, SoundError
from xconf.media.tones import tone

RATE = 8000


def frames_of(clip: Clip, count: int) -> list[np.ndarray | None]:
    return [clip.read() for _ in range(count)]


def test_a_clip_ends_with_a_frame_padded_with_silence() -> None:
    first, second, third = frames_of(Clip(np.ones(200, np.int16), RATE), 3)
    assert first is not None and first.tolist() == [1] * 160
    assert second is not None and second.tolist() == [1] * 40 + [0] * 120
    assert third is None


@pytest.mark.parametrize("length", [1, 100, 160, 250, 1000])
def test_a_looped_clip_goes_round_without_a_gap(length: int) -> None:
    samples = np.arange(1, length + 1).astype(np.int16)
    heard = np.concatenate([f for f in frames_of(Clip(samples, RATE, loops=-1), 20) if f is not None])
    if length >= 160:
        assert heard.tolist() == np.resize(samples, len(heard)).tolist()
    assert len(heard) == 3200
    assert (heard > 0).all()


def test_an_empty_clip_is_over_at_once_also_when_it_loops() -> None:
    assert Clip(np.zeros(0, np.int16), RATE, loops=-1).read() is None


def test_tones_do_not_click_at_their_edges() -> None:
    samples = tone([440], 0.1, RATE, -6).astype(int)
    steepest = 2 * np.pi * 440 / RATE * 16400
    assert np.abs(np.diff(np.concatenate([[0], samples, [0]]))).max() <= steepest * 1.05


def test_files_of_any_rate_and_channels_are_heard_at_their_level(tmp_path: Path) -> None:
    for rate in (8000, 11025, 44100):
        wave = np.sin(2 * np.pi * 700 * np.arange(rate) / rate) * 0.5
        soundfile.write(tmp_path / f"{rate}.wav", np.stack([wave, wave], axis=1), rate)
        samples = decode_file(tmp_path / f"{rate}.wav", RATE)
        assert len(samples) == pytest.approx(RATE, abs=2)
        middle = samples[2000:6000].astype(float)
        assert np.sqrt((middle**2).mean()) == pytest.approx(16384 / np.sqrt(2), rel=0.02)


def test_sounds_are_looked_for_by_rate_and_shared(tmp_path: Path) -> None:
    (tmp_path / "16000").mkdir()
    soundfile.write(tmp_path / "16000" / "a.wav", np.ones(1600) * 0.5, 16000)
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    sounds = Sounds(tmp_path)
    sounds.prepare("a.wav", 16000)
    sounds.prepare("a.wav", 8000)
    wide, narrow = sounds.open("a.wav", 16000).read(), sounds.open("a.wav", 8000).read()
    assert wide is not None and wide.max() > 16000
    assert narrow is not None and narrow.max() == 0
    with pytest.raises(SoundError, match="b.wav"):
        sounds.prepare("b.wav", 8000)
    (tmp_path / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    with pytest.raises(SoundError, match="broken.wav"):
        sounds.prepare("broken.wav", 8000)


def test_the_gate_opens_at_the_threshold_and_hangs_over() -> None:
    hang = np.zeros(1, np.int64)
    levels = [299.0, 300.0] + [0.0] * (HANG_OVER + 1)
    states = [bool(gate(np.array([level], np.float32), np.array([300]), hang)[0]) for level in levels]
    assert states == [False] + [True] * HANG_OVER + [False] * 2


def test_gain_saturates_and_steps_are_three_decibels() -> None:
    frames = np.array([[20000, -20000, 100]], np.int16)
    assert scale(frames, np.array([2.0], np.float32)).tolist() == [[32767, -32768, 200]]
    assert step_gain(2) == pytest.approx(10 ** (6 / 20))
    assert mean_level(np.array([[-32768, 32767]], np.int16))[0] == pytest.approx(32767.5)


def test_automatic_gain_moves_towards_its_target_and_stays_there() -> None:
    def settle(mean: float, target: int = 600, low: int = 50) -> float:
        gain = np.ones(1, np.float32)
        for _ in range(200):
            gain = automatic_gain(gain, np.array([mean], np.float32), *(np.array([v]) for v in (target, low, 3, 20)))
        return float(gain[0] * mean)

    assert settle(300) == pytest.approx(600, abs=25)
    assert settle(1200) == pytest.approx(600, abs=25)
    assert settle(40) == 40  # below the low level: noise
    assert settle(60) == pytest.approx(60 * AGC_BOUNDS[1])
    assert settle(300, target=0) == 300


def test_a_concealed_tone_goes_on_in_phase_and_fades() -> None:
    wave = (8000 * np.sin(2 * np.pi * 400 * np.arange(1600) / RATE)).astype(np.int16)
    made = [conceal(wave[:320], RATE, 160, n * 160) for n in range(FADE_FRAMES + 1)]
    assert np.abs(np.diff(np.concatenate([wave[300:320], made[0]]).astype(int))).max() < 2700
    error = made[0].astype(float) - wave[320:480]
    assert np.abs(error[:20]).max() < 1000
    peaks = [np.abs(frame).max() for frame in made]
    assert peaks == sorted(peaks, reverse=True)
    assert peaks[-1] == 0


@pytest.mark.parametrize("frequency", [203, 433, 1013, 1409.5])
def test_40_ms_of_a_tone_that_did_not_come_are_made_up_in_tune(frequency: float) -> None:
    """Its period was once taken to be a whole number of samples: after some repetitions the tone was out of phase."""
    wave = 8000 * np.sin(2 * np.pi * frequency * np.arange(640) / RATE + 1)
    made = conceal(wave[:320].astype(np.int16), RATE, 320)
    assert np.abs(made - wave[320:]).max() < 0.06 * 8000


@pytest.mark.parametrize("frequency", [150, 203, 440, 1000, 1234.5, 3100])
def test_a_frame_left_out_of_a_tone_is_not_heard(frequency: float) -> None:
    """Frames were once blended 20 ms apart whatever their phase: a tone clicked when its delay shrank."""
    wave = (8000 * np.sin(2 * np.pi * frequency * np.arange(600) / RATE + 1)).astype(np.int16)
    frame, left_out, likeness = splice(wave[:160], wave[160:320], 160)
    assert 80 <= left_out <= 160
    assert likeness > 0.97
    after = wave[160 + left_out : 320 + left_out]
    heard = np.concatenate([frame, after]).astype(float)
    # A sine is its two neighbours' sum over 2 cos w: what is left of that is what is not the tone.
    rest = heard[2:] + heard[:-2] - 2 * np.cos(2 * np.pi * frequency / RATE) * heard[1:-1]
    assert np.abs(rest).max() < 250


def test_silence_is_spliced_anywhere() -> None:
    noise = np.random.default_rng(1).integers(-50, 50, 320).astype(np.int16)
    assert splice(noise[:160], noise[160:], 160)[1:] == (160, 1.0)


@pytest.mark.parametrize("most", [80, 100, 159])
def test_no_more_is_left_out_than_may_be(most: int) -> None:
    wave = (8000 * np.sin(2 * np.pi * 440 * np.arange(320) / RATE)).astype(np.int16)
    assert splice(wave[:160], wave[160:], most)[1] <= most
    frame, left_out, _ = splice(wave[:160] // 1000, wave[160:] // 1000, most)
    assert left_out == most
    assert frame[-8:] == pytest.approx((wave // 1000)[most + 152 : most + 160], abs=1)  # then comes what comes after it


@pytest.mark.parametrize(("low", "high"), [(8000, 16000), (16000, 48000), (8000, 48000)])
def test_resampling_keeps_the_tone_and_adds_none(low: int, high: int) -> None:
    for from_rate, to_rate in ((low, high), (high, low)):
        resamplers = Resamplers(from_rate, to_rate, 4)
        wave = (10000 * np.sin(2 * np.pi * 1000 * np.arange(from_rate) / from_rate)).astype(np.int16)
        frames = wave.reshape(50, -1)
        out = np.concatenate([resamplers.run(np.array([2]), frame[None])[0] for frame in frames])[to_rate // 5 :]
        spectrum = np.abs(np.fft.rfft(out * np.hanning(len(out)))) * 4 / len(out)
        peak = int(np.argmax(spectrum))
        assert peak * to_rate / len(out) == pytest.approx(1000, abs=3)
        assert spectrum[peak] == pytest.approx(10000, rel=0.02)
        spectrum[max(0, peak - 4) : peak + 5] = 0
        assert spectrum.max() < 10


def test_sound_above_the_lower_rate_is_taken_out_and_not_folded() -> None:
    resamplers = Resamplers(16000, 8000, 1)
    wave = (10000 * np.sin(2 * np.pi * 6000 * np.arange(16000) / 16000)).astype(np.int16)
    out = [resamplers.run(np.array([0]), frame[None])[0] for frame in wave.reshape(50, -1)]
    assert np.abs(np.concatenate(out[5:])).max() < 30


def test_rows_are_bounded_and_given_back() -> None:
    rows = Rows(3, "calls", first=1)
    assert [rows.take(), rows.take()] == [1, 2]
    with pytest.raises(OutOfRows, match="calls"):
        rows.take()
    rows.give(1)
    assert rows.take() == 1
    assert rows.used == 2
