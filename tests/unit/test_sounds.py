"""The sounds that are shipped: complete at both rates, at a telephone's level, without clicks or long silences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

SOUNDS = Path(__file__).parents[2] / "sounds"
RATES = (8000, 16000)
SENTENCES = yaml.safe_load((SOUNDS / "prompts.yaml").read_text())
REQUIRED = [
    *("welcome", "bye", "alone", "kicked", "muted", "unmuted", "deaf", "undeaf", "admin", "unadmin", "speaker"),
    *("unspeaker", "enter-pin", "bad-pin", "locked", "member", "members", "digits/hundred"),
]
PROMPTS = [(name, rate) for name in SENTENCES for rate in RATES]


def load(name: str, rate: int) -> np.ndarray:
    samples, actual = soundfile.read(SOUNDS / str(rate) / f"{name}.wav", dtype="float64")
    assert actual == rate
    assert samples.ndim == 1
    return samples


def decibel(x: float) -> float:
    return 20 * np.log10(max(x, 1e-9))


def levels(samples: np.ndarray, size: int) -> np.ndarray:
    whole = len(samples) // size * size
    return np.sqrt(np.mean(samples[:whole].reshape(-1, size) ** 2, axis=1))


def count_words(number: int) -> list[str]:
    """The files that say a number of 0..999."""
    words = []
    if number >= 100:
        words += [str(number // 100), "hundred"]
        number %= 100
    if number >= 20:
        words.append(str(number // 10 * 10))
        number %= 10
    if number or not words:
        words.append(str(number))
    return words


def test_there_is_a_sentence_for_every_prompt() -> None:
    assert set(REQUIRED) <= set(SENTENCES)
    assert all(isinstance(sentence, str) and sentence for sentence in SENTENCES.values())


def test_every_file_has_its_sentence_and_is_there_at_both_rates() -> None:
    for rate in RATES:
        folder = SOUNDS / str(rate)
        files = {str(path.relative_to(folder).with_suffix("")) for path in folder.rglob("*.wav")}
        assert files == {*SENTENCES, "moh"}


def test_every_count_up_to_999_can_be_said() -> None:
    needed = {f"digits/{word}" for number in range(1000) for word in count_words(number)}
    assert needed <= set(SENTENCES)


@pytest.mark.parametrize(("name", "rate"), PROMPTS)
def test_prompt_is_16_bit_mono(name: str, rate: int) -> None:
    info = soundfile.info(SOUNDS / str(rate) / f"{name}.wav")
    assert (info.subtype, info.channels, info.samplerate) == ("PCM_16", 1, rate)


@pytest.mark.parametrize(("name", "rate"), PROMPTS)
def test_prompt_speaks_at_a_telephones_level(name: str, rate: int) -> None:
    samples = load(name, rate)
    frames = levels(samples, rate // 50)
    speaking = frames[frames > frames.max() * 10 ** (-25 / 20)]
    assert decibel(np.sqrt(np.mean(speaking**2))) == pytest.approx(-20, abs=1.5)
    assert decibel(np.abs(samples).max()) < -3
    assert abs(samples.mean()) < 0.001


@pytest.mark.parametrize(("name", "rate"), PROMPTS)
def test_prompt_starts_and_ends_without_silence_or_click(name: str, rate: int) -> None:
    samples = load(name, rate)
    loud = np.flatnonzero(levels(samples, rate // 200) > 10 ** (-50 / 20)) * 0.005
    assert loud[0] <= 0.1
    assert len(samples) / rate - loud[-1] <= 0.1
    assert max(abs(samples[0]), abs(samples[-1])) < 0.001
    assert max(np.abs(samples[: rate // 1000]).max(), np.abs(samples[-rate // 1000 :]).max()) < 0.01


@pytest.mark.parametrize("name", SENTENCES)
def test_both_rates_say_the_same(name: str) -> None:
    narrow, wide = load(name, 8000), load(name, 16000)[::2]
    size = max(len(narrow), len(wide)) * 2
    product = np.fft.irfft(np.fft.rfft(narrow, size) * np.conj(np.fft.rfft(wide, size)), size)
    likeness = product.max() / np.sqrt(np.sum(narrow**2) * np.sum(wide**2))
    assert likeness > 0.8


@pytest.mark.parametrize("rate", RATES)
def test_hold_music_is_long_quiet_and_never_stops(rate: int) -> None:
    music = load("moh", rate)
    assert 60 <= len(music) / rate <= 90
    assert len(music) % (rate // 50) == 0
    assert decibel(np.sqrt(np.mean(music**2))) == pytest.approx(-27, abs=1)
    assert decibel(np.abs(music).max()) < -9
    assert decibel(levels(music, rate // 2).min()) > -40


@pytest.mark.parametrize("rate", RATES)
def test_hold_music_fits_the_telephones_band(rate: int) -> None:
    power = np.abs(np.fft.rfft(load("moh", rate))) ** 2
    frequencies = np.fft.rfftfreq(2 * (len(power) - 1), 1 / rate)
    outside = power[(frequencies < 80) | (frequencies > 0.48 * rate)].sum()
    assert 10 * np.log10(outside / power.sum()) < -40


def highs(samples: np.ndarray, rate: int) -> np.ndarray:
    """What a click has and music has not: the second difference, loudest in each 5 ms."""
    size = rate // 200
    bend = np.abs(np.diff(samples, 2))
    return bend[: len(bend) // size * size].reshape(-1, size).max(axis=1)


@pytest.mark.parametrize("rate", RATES)
def test_hold_music_loops_without_a_seam(rate: int) -> None:
    music = load("moh", rate)
    seam = np.concatenate([music[-rate:], music[:rate]])
    around_seam = highs(seam[rate - rate // 50 : rate + rate // 50], rate)
    assert around_seam.max() <= np.quantile(highs(music, rate), 0.9)
    bars = levels(np.roll(music, rate // 2), rate // 10).reshape(20, -1)  # a bar is 3 s; the border stands at 0.5 s
    rise = np.abs(20 * np.log10(bars[:, 6] / bars[:, 3]))
    assert rise[0] <= rise[1:].max()


@pytest.mark.parametrize("rate", RATES)
def test_the_seam_check_hears_a_bad_loop(rate: int) -> None:
    music = load("moh", rate)[: 7 * rate + rate // 7]
    seam = np.concatenate([music[-rate:], music[:rate]])
    around_seam = highs(seam[rate - rate // 50 : rate + rate // 50], rate)
    assert around_seam.max() > np.quantile(highs(music, rate), 0.9)
