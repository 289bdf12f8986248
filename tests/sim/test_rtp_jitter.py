"""The jitter buffer in virtual time: what a speaker's sound is like after a network of a given kind."""

from __future__ import annotations

import numpy as np
import pytest

from xconf.rtp.jitter import GUARD, JitterBuffers

VOICE = np.array([3])
SAMPLES = 160


class Network:
    """Packets of 20 ms, numbered in their samples, sent every 20 ms and delivered after `delay(n)` seconds, or never."""

    def __init__(self, seed: int = 1, first: int = 0xFFFFF000) -> None:
        self.rng = np.random.default_rng(seed)
        self.buffers = JitterBuffers(8, 8000)
        self.first = first
        self.heard: list[int | None] = []  # number of the packet played at each tick
        self.waits: list[float] = []

    def run(self, arrivals: list[tuple[float, int]], ticks: int) -> None:
        """arrivals: (time, packet number); ticks at 0.02, 0.04 …"""
        arrivals = sorted(arrivals)
        at = 0
        when = {number: time for time, number in reversed(arrivals)}
        for tick in range(1, ticks + 1):
            now = tick * 0.02
            while at < len(arrivals) and arrivals[at][0] <= now:
                time, number = arrivals[at]
                samples = np.full((1, SAMPLES), number % 30000 + 1, np.int16)
                timestamp = np.array([(self.first + number * SAMPLES) & 0xFFFFFFFF])
                self.buffers.insert(VOICE, timestamp, samples, np.array([now - time]))
                at += 1
            frames, there = self.buffers.take(VOICE)
            number = int(frames[0, 0]) - 1 if there[0] else None
            self.heard.append(number)
            if number is not None:
                self.waits.append(now - when[number])
            roomy = self.buffers.roomy(VOICE, tick)
            roomy = roomy[self.buffers.following(roomy)[1]]
            self.buffers.shrink(roomy, self.buffers.room(roomy))

    @property
    def played(self) -> list[int]:
        return [number for number in self.heard if number is not None]


def on_time(
    count: int, phase: float, jitter: float = 0.0, rng: np.random.Generator | None = None
) -> list[tuple[float, int]]:
    noise = rng.uniform(0, jitter, count) if rng is not None else np.zeros(count)
    return [(0.02 * n + phase + noise[n], n) for n in range(count)]


@pytest.mark.parametrize("phase", [0.0005, 0.004, 0.0101, 0.0155, 0.0199])
def test_a_steady_sender_is_heard_whole_with_at_most_one_tick_and_the_guard(phase: float) -> None:
    network = Network()
    network.run(on_time(500, phase), 500)
    assert network.played == list(range(len(network.played)))
    assert len(network.played) >= 498
    assert max(network.waits) < 0.02 + GUARD + 1e-6


def test_jitter_below_the_delay_loses_nothing_after_a_short_while() -> None:
    network = Network()
    network.run(on_time(1000, 0.001, 0.030, network.rng), 1000)
    assert network.played == sorted(network.played)
    assert None not in network.heard[50:]
    assert len(set(range(1000)) - set(network.played)) <= 4
    assert np.median(network.waits) < 0.06


def test_reordering_and_doubles_within_the_delay_are_not_heard() -> None:
    network = Network()
    arrivals = on_time(400, 0.002, 0.030, network.rng)
    doubled = arrivals + [(time + 0.011, number) for time, number in arrivals[::3]]
    network.run(doubled, 400)
    assert None not in network.heard[60:]
    assert network.played == sorted(set(network.played))


def test_a_lost_packet_is_one_missing_frame_and_no_more_delay() -> None:
    network = Network()
    arrivals = [(t, n) for t, n in on_time(300, 0.01) if n not in (100, 150, 151, 200, 201, 202)]
    network.run(arrivals, 300)
    assert network.heard[5:].count(None) == 6
    assert network.waits[-1] == pytest.approx(network.waits[0])


def test_a_burst_after_a_stall_loses_no_word_and_the_delay_comes_back() -> None:
    network = Network()
    stalled = [(max(t, 4.1) if 4.0 <= t < 4.1 else t, n) for t, n in on_time(1500, 0.01)]
    network.run(stalled, 1500)
    missing = set(range(1490)) - set(network.played)
    assert max(network.waits[203:208]) > 0.06
    assert network.waits[-1] < 0.05
    assert len(missing) <= 5  # the frames that were shortened away
    assert all(number > 200 for number in missing)


@pytest.mark.parametrize("drift", [-300e-6, 300e-6])
def test_a_clock_that_is_off_neither_starves_nor_grows(drift: float) -> None:
    network = Network()
    count = 15000
    arrivals = [(0.02 * n * (1 + drift) + 0.008, n) for n in range(count)]
    network.run(arrivals, count)
    assert network.heard[10:].count(None) <= 6
    assert max(network.waits) < 0.06
    assert len(network.played) > count - 12


def test_the_delay_is_bounded_whatever_comes() -> None:
    network = Network()
    arrivals = (
        on_time(200, 0.01) + [(4.0, n) for n in range(200, 400)] + [(0.02 * n + 0.01, n + 200) for n in range(200, 600)]
    )
    network.run(arrivals, 600)
    assert max(network.waits) < 0.7


def test_a_pause_of_the_speaker_adds_no_delay() -> None:
    network = Network()
    arrivals = [(t, n) for t, n in on_time(1000, 0.013) if n // 50 % 2 == 0]
    network.run(arrivals, 1000)
    assert set(network.played) == {n for _, n in arrivals} - {999}
    assert max(network.waits) < 0.026


def test_a_time_stamp_that_jumps_starts_anew() -> None:
    network = Network()
    arrivals = on_time(100, 0.01) + [(0.02 * n + 0.01, n + 20000) for n in range(100, 200)]
    network.run(arrivals, 200)
    assert network.played[-1] > 20000
    assert network.heard[102:].count(None) <= 2


def test_missed_ticks_leave_the_delay_as_it_was() -> None:
    network = Network()
    network.run(on_time(100, 0.01), 100)
    before = network.waits[-1]
    network.buffers.skip(5)
    tail = [(t - 2.0, n) for t, n in on_time(300, 0.01) if n >= 105]
    network.waits.clear()
    network.run([(max(t - 0.1, 0.0001), n) for t, n in tail], 150)
    assert network.waits[-1] == pytest.approx(before, abs=0.021)
