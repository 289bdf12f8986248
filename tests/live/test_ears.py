"""The instruments of the live tests, before they judge anything: what they must hear, and what they must not."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from bed_audio import RATE, clicks, find_sound, gaps, hears, tone, tone_level, tone_levels
from bed_crew import Phones
from bed_phones import Baresip, Linphone, Recording
from bed_sipp import mulaw

from bench.stalls import Stall, StallMonitor, without_stalls

TONES = [433.0, 1013.0]


def through_g711(samples: np.ndarray) -> np.ndarray:
    """As a phone hears it: companded and expanded again (G.711 mu-law)."""
    code = ~np.frombuffer(mulaw(samples), np.uint8)
    magnitude = (((code & 15).astype(int) << 3) + 132 << ((code >> 4) & 7)) - 132
    return np.where(code & 128, -magnitude, magnitude) / 32768


@pytest.fixture
def two_tones() -> np.ndarray:
    return through_g711(tone(TONES[0], 10) + tone(TONES[1], 10))[RATE : 9 * RATE]


def test_levels_are_those_that_were_sent(two_tones: np.ndarray) -> None:
    for frequency in TONES:
        assert tone_levels(two_tones, frequency) == pytest.approx(-18, abs=0.2)
    assert tone_level(two_tones, 1709) < -70


def test_a_clean_sound_has_neither_gaps_nor_clicks(two_tones: np.ndarray) -> None:
    assert gaps(two_tones) == []
    assert clicks(two_tones, TONES) == []


@pytest.mark.parametrize("milliseconds", [10, 20, 60])
def test_a_gap_is_found_where_it_is_and_as_long_as_it_is(two_tones: np.ndarray, milliseconds: int) -> None:
    start = 3 * RATE
    two_tones[start : start + milliseconds * RATE // 1000] = 0
    (gap,) = gaps(two_tones)
    assert gap.start == pytest.approx(3, abs=0.005)
    assert gap.length == pytest.approx(milliseconds / 1000, abs=0.005)


@pytest.mark.parametrize("fault", ["lost frame", "repeated frame", "step", "silence"])
def test_a_click_is_found(two_tones: np.ndarray, fault: str) -> None:
    start, end = 3 * RATE, 3 * RATE + RATE // 50
    heard = two_tones.copy()
    if fault == "lost frame":
        heard = np.concatenate([heard[:start], heard[end:]])
    elif fault == "repeated frame":
        heard = np.concatenate([heard[:end], heard[start:]])
    elif fault == "step":
        heard[start:] += 0.1
        heard[end:] -= 0.1
    else:
        heard[start:end] = 0
    found = clicks(heard, TONES)
    assert found
    assert all(2.85 < spot.start < 3.15 for spot in found)


def test_a_prompt_is_found_and_not_taken_for_another(prompt: Callable[..., np.ndarray]) -> None:
    recording = np.concatenate([np.zeros(4000), through_g711(prompt("bad-pin")), np.zeros(4000)])
    assert hears(recording, prompt("bad-pin")) == pytest.approx(0.5, abs=0.01)
    for other in ("enter-pin", "welcome", "bye", "muted", "unmuted"):
        assert hears(recording, prompt(other)) is None
        assert find_sound(recording, prompt(other))[1] < 0.7


def test_what_lies_near_a_stall_is_left_out() -> None:
    stalls = [Stall(10.0, 10.1, 0)]
    assert without_stalls([9.0, 9.95, 10.05, 10.15, 11.0], stalls) == [9.0, 11.0]


def hears_well(recording: Recording, frequency: float) -> None:
    middle = recording.between(1, recording.seconds - 1)
    assert np.median(tone_levels(middle, frequency, recording.rate)) == pytest.approx(-18, abs=0.5)


def test_phones_hear_each_other_without_a_server(phones: Phones, stalls: StallMonitor) -> None:
    """Two real phones beside SIPp: what the other live tests rely on."""
    bob: Baresip = phones.baresip("bob", tone=1013)
    ann: Baresip = phones.baresip("ann", tone=433)
    lin: Linphone = phones.linphone("lin", tone=700)
    ann.dial(bob.uri)
    time.sleep(3)
    ann.digits("12#")
    bob.wait_event("CALL_DTMF_START")
    time.sleep(1)
    ann.hangup()
    bob.wait_hungup()
    lin.dial(bob.uri)
    time.sleep(4)
    lin.hangup()
    for phone in (ann, lin, bob):
        phone.stop()
    hears_well(ann.recording(), 1013)
    hears_well(lin.recording(), 1013)
    hears_well(bob.recording(0), 433)
    hears_well(bob.recording(1), 700)
    assert [event["param"] for event in bob.events if event.get("type") == "CALL_DTMF_START"] == ["1", "2", "#"]
