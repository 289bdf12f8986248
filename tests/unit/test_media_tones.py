"""What descriptions of tones sound like."""

from __future__ import annotations

import numpy as np
import pytest
from media_world import level

from xconf.media.sources import SoundError
from xconf.media.tones import tone_stream

RATE = 8000


def heard(script: str, rate: int = RATE) -> np.ndarray:
    return tone_stream(f"tone_stream://{script}", rate).samples


def decibels(wave: np.ndarray, frequency: float) -> float:
    """Of a tone, relative to full scale."""
    return 20 * float(np.log10(max(level(wave, frequency), 1e-3) / 32767))


def test_a_tone_is_as_long_as_it_says_and_then_silent() -> None:
    samples = heard("%(200,100,500,1000)")
    assert len(samples) == 2400
    assert np.abs(samples[1600:]).max() == 0
    assert decibels(samples[:1600], 500) == pytest.approx(-18, abs=0.3)
    assert decibels(samples[:1600], 1000) == pytest.approx(-18, abs=0.3)


@pytest.mark.parametrize(
    "script", ["%(100,0,350);%(200,0,450)", "%(100,0,350)%(200,0,450)", " %( 100 , 0 , 350 ) ; %(200,0.0,450.0) ;"]
)
def test_several_tones_follow_one_another(script: str) -> None:
    samples = heard(script)
    assert len(samples) == 2400
    assert decibels(samples[:800], 350) == pytest.approx(-12, abs=0.5)
    assert decibels(samples[800:], 450) == pytest.approx(-12, abs=0.5)
    assert decibels(samples[800:], 350) < -40


def test_a_volume_is_for_what_follows_it() -> None:
    samples = heard("v=-6;%(200,0,400);v=-26;%(200,0,400)")
    assert decibels(samples[:1600], 400) == pytest.approx(-6, abs=0.2)
    assert decibels(samples[1600:], 400) == pytest.approx(-26, abs=0.2)


@pytest.mark.parametrize(("script", "first", "last"), [(">=2;+=.1;", -7, -27), ("<=2;+=.05;", -7, 0)])
def test_a_tone_grows_softer_or_louder_by_steps(script: str, first: float, last: float) -> None:
    samples = heard(f"v=-7;{script}%(400,0,500)")
    assert np.abs(samples[80:240]).max() / 32767 == pytest.approx(10 ** (first / 20), rel=0.25)
    assert np.abs(samples[-240:-80]).max() / 32767 == pytest.approx(10 ** (last / 20), rel=0.25)


@pytest.mark.parametrize("script", ["L=3;%(100,20,350)", "%(100,20,350);loops=3", "L=3;%(100,20,350);"])
def test_all_of_it_is_heard_so_often(script: str) -> None:
    clip = tone_stream(f"tone_stream://{script}", RATE).clip(RATE)
    frames = []
    while (frame := clip.read()) is not None:
        frames.append(frame)
    loud = np.array([np.abs(frame).max() > 1000 for frame in frames])
    assert loud.tolist() == [True, True, True, True, True, False] * 3


def test_without_end_it_goes_on() -> None:
    clip = tone_stream("tone_stream://%(100,0,350);loops=-1", RATE).clip(RATE)
    assert all(clip.read() is not None for _ in range(10_000))


def test_a_part_is_heard_so_often() -> None:
    samples = heard("l=2;%(100,100,350);l=1;%(100,0,900)")
    assert len(samples) == 4000
    assert decibels(samples[1600:2400], 350) == pytest.approx(-12, abs=0.5)
    assert decibels(samples[3200:], 900) == pytest.approx(-12, abs=0.5)


def test_keys_of_the_telephone_are_their_two_tones() -> None:
    samples = heard("d=100;w=50;1#(200,0)")
    assert len(samples) == 800 + 400 + 1600
    assert [round(decibels(samples[:800], f)) for f in (697, 1209)] == [-18, -18]
    assert [round(decibels(samples[1200:], f)) for f in (941, 1477)] == [-18, -18]


def test_a_frequency_of_nothing_is_silence() -> None:
    assert np.abs(heard("%(100,0,0)")).max() == 0


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("", "holds no tone"),
        ("v=-6", "holds no tone"),
        ("beep", "cannot read 'eep'"),
        ("%(1,2)", "cannot read '%\\(1,2\\)'"),
        ("%(100,0,400);x=3", "cannot read 'x=3'"),
        ("%(99999,0,400)", "longer than 60 s"),
        ("l=1000;%(100,0,400)", "longer than 60 s"),
        ("%(100,0,4000)", "below 4000 Hz"),
        ("v=3;%(100,0,400)", "-63..0"),
        ("L=0;%(100,0,400)", "1..100000, or -1"),
        ("L=1.5;%(100,0,400)", "1..100000, or -1"),
        ("r=48000;%(100,0,400)", "has its rate"),
        ("%(0,0,400)", "holds no tone"),
    ],
)
def test_what_cannot_be_read_says_so(script: str, reason: str) -> None:
    with pytest.raises(SoundError, match=reason) as caught:
        heard(script)
    assert f"tone_stream://{script}" in str(caught.value)
