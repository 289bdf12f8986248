"""A play for a cluster: telephones on four nodes talk while the network and the nodes suffer; then what each heard is looked at."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest
from bed_audio import gaps, tone_levels, write_wav
from bed_cluster import Cluster, Phone
from bed_phones import Recording, wait_for

from bench.stalls import Stall, StallMonitor, without_stalls

TONES = {"a": 433.0, "b": 613.0, "c": 1013.0, "d": 1409.0}
NOISE = "a"  # where somebody in a conference of his own makes a noise: it tells when what is heard was said
OTHERS = [name for name in TONES if name != NOISE]  # where it is heard through the tunnel
LATEST = 0.1  # s by which something may be heard later there
SETTLED = 3.0  # s after another weather begins, from when on is judged how late sound is
ADAPTED = 1.0  # s for which the network counts as having just got worse
MATTERS = 0.02  # s that a standstill takes after which streams are played later for a while
HELD = 3.5  # s for which they are
FEWEST = 3  # moments that tell how late sound is
STREAMS = 15  # each node hears three of the tones, and three of them the noise
COUNTS = ("concealed", "late", "slips", "splices", "jumps")


@dataclass
class Act:
    """start, end: CLOCK_MONOTONIC; counts: what the nodes counted meanwhile, all together."""

    start: float
    end: float = 0.0
    counts: dict[str, int] = field(default_factory=dict)


class Play:
    """Speakers and listeners on each node, from the first act to the last. Ask what was heard after `over`.

    stalls, busy: when the machine stood still, and when it had no time for who has the server's priority.
    """

    def __init__(self, nodes: Cluster, seconds: float, stalls: StallMonitor, busy: StallMonitor) -> None:
        self.nodes, self._stalls, self._busy = nodes, stalls, busy
        self.acts: dict[str, Act] = {}
        self._heard: dict[str, Recording] = {}
        noise = np.random.default_rng(1).normal(0, 0.1, 8000 * 60)
        self._noise = write_wav(nodes.folder / "noise.wav", noise)
        for name in TONES:
            self.callers(name, seconds)
        nodes.call("noise", NOISE, "3001", seconds=seconds, play=self._noise)
        for name in TONES:
            self.all_there(name)
        time.sleep(2 * SETTLED)  # the machine has just started them all

    def callers(self, name: str, seconds: float, again: str = "") -> None:
        """On a node: who says its tone, who listens to all, and who listens to the noise."""
        self.nodes.call(f"{name} speaks{again}", name, "3000", seconds=seconds, tone=TONES[name])
        self.nodes.call(f"{name} listens{again}", name, "4000", seconds=seconds)
        self.nodes.call(f"{name} listens to noise{again}", name, "4001", seconds=seconds)

    def all_there(self, name: str) -> None:
        node = self.nodes.nodes[name]
        wait_for(lambda: len(node.members("3000")) == 2, 20, f"who calls {name} is there")
        wait_for(lambda: len(node.members("3001")) == 1 + (name == NOISE), 20, f"who calls {name} is there")

    def act(self, name: str, seconds: float) -> None:
        """It goes on for so long as it is now."""
        self.acts[name] = act = Act(time.monotonic())
        before = self._counted()
        time.sleep(seconds)
        act.end = time.monotonic()
        after = self._counted()
        act.counts = {count: after[count] - before[count] for count in COUNTS}

    def _counted(self) -> dict[str, int]:
        each = [node.data("counters") for node in self.nodes.nodes.values() if node.process.poll() is None]
        return {count: sum(its.get(f"tunnel.sound_{count}", 0) for its in each) for count in COUNTS}

    def over(self, lost: str = "") -> None:
        """All hang up by themselves; those whose node was killed may say that they could not."""
        for name, phone in self.nodes.phones.items():
            if lost and name.startswith(lost) and "again" not in name:
                phone.process.communicate(timeout=60)
            else:
                phone.wait(60)
            self._heard[name] = recording(phone)

    # What was heard. Moments in which the machine stood still are left out.

    def level(self, phone: str, tone: str, start: float, end: float) -> float:
        """dBFS, the median of pieces so short that a pitch which is off by 0.2 %, while a stream slips, is no matter."""
        pieces = np.arange(start, end - 0.1, 0.1)
        levels = tone_levels(self._heard[phone].during(start, end), TONES[tone], segment=0.1)[: len(pieces)]
        kept = {*without_stalls(pieces, self._stalls.sure(), 0.3)}
        return float(np.median([level for at, level in zip(pieces, levels, strict=False) if at in kept]))

    def gaps(self, name: str, start: float, end: float) -> list[float]:
        """s, each: where the noise is not heard on another node, though it was where it is made."""
        unsaid = self.silent(NOISE, start - LATEST, end)
        stalls = [(one.start, one.end + 0.3) for one in self._near()]
        return [
            to - at
            for at, to in self.silent(name, start, end)
            if not any(since - LATEST < to and at < until + LATEST for since, until in (*unsaid, *stalls))
        ]

    def silent(self, name: str, start: float, end: float) -> list[tuple[float, float]]:
        """From when to when the noise is not heard on a node, for whatever reason."""
        heard = self._heard[f"{name} listens to noise"].during(start, end)
        return [(start + spot.start, start + spot.start + spot.length) for spot in gaps(heard)]

    def later(self, start: float, end: float) -> float:
        """s by which the noise is heard later on another node than where it is made, the median; skips the test where the machine
        had no time for nodes again and again.
        """
        lags = [*self._lags(start, end)]
        if len(lags) < FEWEST * len(OTHERS):
            pytest.skip("the machine was busy with something else")
        return float(np.median(lags))

    def _lags(self, start: float, end: float) -> Iterator[float]:
        here = self._heard[f"{NOISE} listens to noise"]
        held = [(one.start - 1.5, one.end + HELD) for one in self._near() if one.end - one.start > MATTERS]
        for at in np.arange(start, end - 1.5, 0.5):
            if any(since < at < until for since, until in held):
                continue
            for name in OTHERS:
                said = here.during(at, at + 1.0)
                heard = self._heard[f"{name} listens to noise"].during(at - 0.1, at + 1.4)
                size = len(said) + len(heard)
                product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)), size)
                yield int(np.argmax(product[: len(heard) - len(said)])) / 8000 - 0.1

    def _near(self) -> list[Stall]:
        return self._stalls.sure() + self._busy.stalls()

    def longest_silent(self, name: str, start: float, end: float) -> tuple[float, float]:
        """From when to when the noise was not heard on a node for longest."""
        return max(self.silent(name, start, end), key=lambda spot: spot[1] - spot[0], default=(start, start))

    def last_heard(self, phone: str, tone: str, start: float, end: float) -> float:
        """When its tone was heard last, to 50 ms; start: not at all."""
        levels = tone_levels(self._heard[phone].during(start, end), TONES[tone], segment=0.05)
        there = np.flatnonzero(levels > -40)
        return start + 0.05 * float(there[-1] + 1) if len(there) else start

    # The table

    def row(self, name: str) -> str:
        """Of docs/cluster.md."""
        act = self.acts[name]
        frames = (act.end - act.start) * 50 * STREAMS
        first, then = (
            max([0.0, *(gap for node in OTHERS for gap in self.gaps(node, start, end))])
            for start, end in ((act.start, act.start + ADAPTED), (act.start + ADAPTED, act.end))
        )
        made, slips = (f"{100 * act.counts[count] / frames:.1f} %" for count in ("concealed", "slips"))
        lags = [*self._lags(act.start + SETTLED, act.end)]
        later = 1000 * float(np.median(lags)) if lags else np.nan
        cuts = 60 * 50 * (act.counts["splices"] + act.counts["jumps"]) / frames
        silent = " | ".join(f"{1000 * longest:.0f} ms" if longest else "none" for longest in (first, then))
        return f"| {name} | {later:.0f} ms | {silent} | {made} | {slips} | {cuts:.1f} |"


def recording(phone: Phone) -> Recording:
    """What it heard, and when: by the median of how its packets came."""
    samples = phone.heard()
    return Recording(samples, 8000, phone.started(), phone.record)
