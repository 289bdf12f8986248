"""A way between nodes that gets longer while somebody speaks: the stream becomes later, and nobody hears how."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bed_audio import clicks, gaps, tone_levels
from cluster_world import SoundNode, Wire, tone

BEFORE, AFTER = 4.0, 2.5  # s that are listened to
LEVEL = 10 ** (-18 / 20) * np.sqrt(2) * 32768  # as telephones of the live tests have it


def hiss(tick: int) -> np.ndarray:
    """No two frames are alike."""
    return np.random.default_rng(tick).integers(-4000, 4000, 160).astype(np.int16)


def listener(
    say: Callable[[int], np.ndarray],
    weather: Callable[[Wire], float],
    *,
    rate: int = 8000,
    phase: float = 0.007,
    after: float = AFTER,
) -> SoundNode:
    """b, which hears a. weather: s that a datagram takes from now on, after a fair beginning; phase: s by which b ticks later."""
    wire = Wire()
    worse = wire.now + 2.0 + BEFORE
    wire.delay = lambda: 0.0005 + (weather(wire) if wire.now >= worse else 0.0)
    SoundNode(wire, "a", rate=rate, say=say)
    b = SoundNode(wire, "b", rate=rate, phase=phase)
    wire.run(2.0 + BEFORE + after)
    return b


def heard(b: SoundNode, seconds: float) -> np.ndarray:
    """The last of it, in -1..1."""
    return b.heard(seconds) / 32768


# A frame that was late was silent or faded, and then a piece was repeated wherever the wave was: a click in a held tone.
@pytest.mark.parametrize("phase", [0.0035, 0.0072, 0.0151, 0.0199])
@pytest.mark.parametrize("hertz", [433.0, 613.0])
@pytest.mark.parametrize("longer", [0.005, 0.01, 0.02, 0.03])
def test_a_way_that_gets_longer_at_once_does_not_click_in_a_held_tone(
    longer: float, hertz: float, phase: float
) -> None:
    b = listener(tone(8000, hertz, LEVEL), lambda wire: longer, phase=phase)
    sound = heard(b, BEFORE + AFTER)
    assert gaps(sound) == []
    assert clicks(sound, [hertz]) == []
    levels = tone_levels(sound, hertz, segment=0.05)
    assert levels.min() > -18.5
    assert b.stream.late < 3, "the delay has grown with the first of them"


@pytest.mark.parametrize("rate", [16000, 48000])
@pytest.mark.parametrize("longer", [0.01, 0.03])
def test_nor_at_higher_rates(longer: float, rate: int) -> None:
    b = listener(tone(rate, 433.0, LEVEL), lambda wire: longer, rate=rate, phase=0.0035)
    sound = heard(b, BEFORE + AFTER)
    assert gaps(sound, rate) == clicks(sound, [433.0], rate) == []


@pytest.mark.parametrize("longer", [0.01, 0.03])
def test_a_longer_way_makes_sound_later_by_what_it_is_longer_and_no_frame_is_left_out(longer: float) -> None:
    b = listener(hiss, lambda wire: longer)
    sound = b.heard(1.0).astype(np.float64)
    ticks = range(len(b.frames) - 60, len(b.frames))
    said = np.concatenate([hiss(tick) for tick in ticks]).astype(np.float64)
    found = np.correlate(said, sound, "valid")
    assert (len(said) - len(sound) - int(np.argmax(found))) / 8000 <= 0.025 + longer + 0.01
    assert b.stream.concealed <= 2


def test_a_way_that_gets_100_ms_longer_is_silent_until_the_sound_is_there() -> None:
    b = listener(tone(8000, 433.0, LEVEL), lambda wire: 0.1)
    sound = heard(b, BEFORE + AFTER)
    assert sum(spot.length for spot in gaps(sound)) <= 0.1 - 0.045, "what is made up fades out"
    assert len(gaps(sound)) == 1


WEATHERS: dict[str, Callable[[Wire], float]] = {
    "0 to 30 ms": lambda wire: 0.03 * wire.random.random(),
    "one in ten 20 ms late": lambda wire: 0.02 * (wire.random.random() < 0.1),
    "one in three 30 ms late": lambda wire: 0.03 * (wire.random.random() < 0.33),
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weather", WEATHERS)
def test_while_the_network_gets_worse_nothing_is_silent(weather: str, seed: int) -> None:
    def its(wire: Wire) -> float:
        if not hasattr(wire, "seeded"):
            wire.random.seed(seed)
            wire.seeded = True  # type: ignore[attr-defined]
        return WEATHERS[weather](wire)

    b = listener(hiss, its, phase=0.005 * seed)
    assert gaps(heard(b, BEFORE + AFTER)) == []
