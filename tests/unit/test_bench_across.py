"""The benchmark's ears: by how much later a sound leaves one node than another is measured to the millisecond."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from bench.across import FRAME, RATE, Ear, lags
from xconf.media.codecs import PCMU

NOISE = np.random.default_rng(5).normal(0, 3000, 4 * RATE)


def heard(delay: float, phase: float, first: int = 0, *, ticks_late: float = 0.0) -> Ear:
    """Of a node that says the noise from 1 s on, so much later. phase: s by which its packets leave after whole 20 ms."""
    ear, rng = Ear(), np.random.default_rng(6)
    said = np.concatenate([np.zeros(RATE), NOISE, np.zeros(RATE)])
    for number in range(5 * 50):
        at = number * FRAME / RATE + phase
        # A packet that leaves at `at` says what is due from then on.
        place = round((at - delay) * RATE)
        frame = said[max(0, place) : max(0, place) + FRAME] if place >= 0 else np.zeros(FRAME)
        payload = PCMU.encode(frame[None].astype(np.int16))[0].tobytes()
        timestamp = (first + number * FRAME) & 0xFFFFFFFF
        late = ticks_late * rng.random() ** 8
        ear.take(100 + at + late, struct.pack("!BBHII", 0x80, 0, number, timestamp, 1) + payload)
    return ear


@pytest.mark.parametrize("delay", [0.0, 0.0035, 0.024, 0.0415, 0.1])
def test_a_delay_is_measured_whatever_the_phase_of_ticks_and_however_late_some_come(delay: float) -> None:
    here = heard(0.0, 0.003, 0xFFFFF000, ticks_late=0.01).heard()
    for phase in (0.0, 0.007, 0.019):
        found = [lag for _, lag in lags(here, heard(delay, phase, 77, ticks_late=0.01).heard())]
        assert len(found) > 4
        assert found == pytest.approx([delay] * len(found), abs=0.001)


def test_packets_that_are_lost_and_come_in_another_order_are_no_matter() -> None:
    there = heard(0.024, 0.011)
    del there.arrivals[60], there.timestamps[60], there.frames[60]
    for column in (there.arrivals, there.timestamps, there.frames):
        column[80], column[81] = column[81], column[80]
    found = [lag for _, lag in lags(heard(0.0, 0.0).heard(), there.heard())]
    assert found == pytest.approx([0.024] * len(found), abs=0.001)
