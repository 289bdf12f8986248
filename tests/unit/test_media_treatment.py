"""Noise that is suppressed, echoes that are kept out, and speech that is told from other sounds: by what others hear."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from media_world import Room, Wire, level

from xconf.media.codecs import LINEAR, PCMU, Codec
from xconf.media.treatment import ECHO_FRAMES, MOST_CLEANED, Treatment


def rms(sound: np.ndarray) -> float:
    return float(np.sqrt(np.mean(sound.astype(float) ** 2)))


class Hall(Room):
    """Ann speaks, Bob listens, and may speak too."""

    def __init__(self, treatment: Treatment, rate: int = 8000, codec: Codec = PCMU) -> None:
        super().__init__(rate)
        self.mix.treatment = treatment
        self.rate = rate
        self.rng = np.random.default_rng(3)
        self.ann = self.phone(codec=codec)
        self.bob = self.phone(codec=codec)

    def frame(self, frequency: float, amplitude: float, noise: float) -> np.ndarray:
        samples = self.rate // 50
        time = (self.ticks * samples + np.arange(samples)) / self.rate
        tone = amplitude * np.sin(2 * np.pi * frequency * time)
        return (tone + self.rng.normal(0, noise, samples)).astype(np.int16)

    def run(self, ticks: int, frequency: float = 500.0, amplitude: float = 0.0, noise: float = 0.0) -> None:
        """Ann sends so; Bob sends silence."""
        for _ in range(ticks):
            self.ann.speak(self.frame(frequency, amplitude, noise))
            self.bob.speak(np.zeros(self.rate // 50, np.int16))
            self.tick()

    def heard_by(self, phone: Wire, ticks: int) -> np.ndarray:
        return phone.heard(ticks)


@pytest.fixture
def halls() -> Iterator[list[Hall]]:
    made: list[Hall] = []
    yield made
    for hall in made:
        hall.close()


@pytest.mark.parametrize("rate", [8000, 16000])
def test_noise_is_softer_and_a_voice_is_as_loud_as_it_was(halls: list[Hall], rate: int) -> None:
    pytest.importorskip("speexdsp_ns")
    codec = PCMU if rate == 8000 else LINEAR[rate, 1]
    plain, clean = Hall(Treatment(), rate, codec), Hall(Treatment(noise=True), rate, codec)
    halls += [plain, clean]
    for hall in halls:
        hall.run(100, noise=400.0)
    assert rms(clean.bob.heard(40)) < 0.6 * rms(plain.bob.heard(40))
    for hall in halls:
        hall.run(50, 500.0, 5000.0, 400.0)
    assert level(clean.bob.heard(30), 500.0, rate) == pytest.approx(level(plain.bob.heard(30), 500.0, rate), rel=0.15)


def test_only_so_many_voices_are_cleaned_and_the_others_are_heard_all_the_same(
    halls: list[Hall], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("speexdsp_ns")
    monkeypatch.setitem(MOST_CLEANED, 8000, 0)
    hall = Hall(Treatment(noise=True))
    halls.append(hall)
    hall.run(50, 500.0, 5000.0, 0.0)
    assert level(hall.bob.heard(30), 500.0) == pytest.approx(5000, rel=0.1)


def echoes(hall: Hall, delay: int, loss: float) -> None:
    """Bob's phone sends what it was sent `delay` ticks before, softer."""
    late = hall.bob.heard(delay)[:160] if len(hall.bob.packets) >= delay else np.zeros(160, np.int16)
    hall.bob.speak((late * loss).astype(np.int16))


@pytest.mark.parametrize("delay", [5, 20])
def test_who_speaks_does_not_hear_himself_come_back(halls: list[Hall], delay: int) -> None:
    heard = []
    for treatment in (Treatment(), Treatment(echo=True)):
        hall = Hall(treatment)
        halls.append(hall)
        for _ in range(150):
            hall.ann.speak(hall.frame(500.0, 8000.0, 0.0))
            echoes(hall, delay, 0.3)
            hall.tick()
        heard.append(level(hall.ann.heard(60), 500.0))
    assert heard[0] > 1500, "there is no echo without the guard"
    assert heard[1] < 0.15 * heard[0]


def test_two_who_speak_at_once_are_both_heard_and_the_guard_opens_when_the_echo_may_be_over(halls: list[Hall]) -> None:
    hall = Hall(Treatment(echo=True))
    halls.append(hall)
    for _ in range(100):
        hall.ann.speak(hall.frame(500.0, 8000.0, 0.0))
        hall.bob.speak(hall.frame(1300.0, 8000.0, 0.0))
        hall.tick()
    assert level(hall.ann.heard(50), 1300.0) > 7000
    assert level(hall.bob.heard(50), 500.0) > 7000
    for _ in range(60 + ECHO_FRAMES + 10):
        hall.ann.speak(np.zeros(160, np.int16))
        hall.bob.speak(np.zeros(160, np.int16))
        hall.tick()
    for _ in range(50):
        hall.ann.speak(np.zeros(160, np.int16))
        hall.bob.speak(hall.frame(1300.0, 2000.0, 0.0))
        hall.tick()
    assert level(hall.ann.heard(30), 1300.0) == pytest.approx(2000, rel=0.1)


def test_a_guard_that_opens_and_closes_makes_no_click(halls: list[Hall]) -> None:
    hall = Hall(Treatment(echo=True))
    halls.append(hall)
    for at in range(200):
        hall.ann.speak(hall.frame(500.0, 8000.0 if at % 50 < 25 else 0.0, 0.0))
        hall.bob.speak(hall.frame(300.0, 2000.0, 0.0))
        hall.tick()
    sound = hall.ann.heard(150).astype(float)
    step = 2 * np.pi * 300 / 8000 * 2000
    assert np.abs(np.diff(sound)).max() < 2 * step


def test_speech_is_told_from_a_hum_that_is_as_loud(halls: list[Hall]) -> None:
    pytest.importorskip("webrtcvad")
    hall = Hall(Treatment(vad=3))
    halls.append(hall)
    hall.ann.leg.vad_level = 300
    hall.run(150, noise=400.0)
    assert not hall.ann.leg.speaking
    assert np.abs(hall.bob.heard(40)).max() < 10
    for _ in range(30):
        time = (hall.ticks * 160 + np.arange(160)) / 8000
        voice = sum(np.sin(2 * np.pi * 140 * n * time) / n for n in range(1, 20))
        hall.ann.speak((2500 * voice * (1 + 0.5 * np.sin(2 * np.pi * 4 * time))).astype(np.int16))
        hall.bob.speak(np.zeros(160, np.int16))
        hall.tick()
    assert hall.ann.leg.speaking
    assert rms(hall.bob.heard(10)) > 500


def test_a_voice_that_comes_after_another_begins_anew(halls: list[Hall]) -> None:
    pytest.importorskip("speexdsp_ns")
    hall = Hall(Treatment(vad=2, noise=True, echo=True))
    halls.append(hall)
    hall.run(60, 500.0, 5000.0)
    for phone in (hall.ann, hall.bob):
        phone.leg.speaker = False
    treatments = hall.mix.plane.voices.treatments
    assert not treatments._cleaners and not treatments._detectors  # type: ignore[attr-defined]
