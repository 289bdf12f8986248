"""A node whose clock is slow: what is heard on another, for ten minutes.

`make test-long ARGS='-k live_clocks -s'` prints the figures of docs/cluster.md. XCONF_CLOCKS=60 has it take a minute.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
from bed_audio import gaps, pitch, tone_levels, write_wav
from bed_cluster import Phone, cluster
from bed_phones import wait_for

from bench.stalls import StallMonitor, without_stalls

PPM = 200.0  # by which a second of a takes longer
SECONDS = float(os.environ.get("XCONF_CLOCKS", "600"))
HERTZ = 433.0
CENTS = 3.0  # off the pitch; trained ears hear some 5
LATER = 0.04  # s
RECOVERY = 0.4  # s after a stall of the machine in which a stream may be mended still
BUSY = 0.02  # s of silence that are left to a machine on which all of this runs, each 100 s


class Heard:
    """What a telephone heard; when is asked of the packets around: in ten minutes such clocks come to be 0.1 s apart."""

    def __init__(self, phone: Phone) -> None:
        packets = np.array(phone.packets())
        self.samples, self._came, self._off = phone.heard(), packets[:, 0], packets[:, 0] - packets[:, 1] / 8000

    def during(self, start: float, end: float) -> np.ndarray:
        """CLOCK_MONOTONIC, by the packets of the two seconds around the start."""
        off = float(np.median(self._off[abs(self._came - start) < 1.0]))
        return self.samples[round((start - off) * 8000) : round((end - off) * 8000)]


def later(there: Heard, here: Heard, start: float, end: float) -> float:
    """s by which a noise is heard later there than here, the median."""
    lags = []
    for at in np.arange(start, end - 1.5, 0.5):
        said, heard = here.during(at, at + 1.0), there.during(at - 0.1, at + 1.2)
        lags.append(int(np.argmax(np.correlate(heard, said, "valid"))) / 8000 - 0.1)
    return float(np.median(lags))


@pytest.mark.long
def test_clocks_200_ppm_apart_for_ten_minutes_are_not_heard(stalls: StallMonitor, tmp_path: Path) -> None:
    """Its ticks take that much longer: all that the other one knows of its clock."""
    noise = write_wav(tmp_path / "noise.wav", np.random.default_rng(1).normal(0, 0.1, 8000 * 60))
    with cluster(tmp_path, "ab", ppm={"a": PPM}) as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        calls = SECONDS + 14.0
        nodes.call("ann", "a", "3000", seconds=calls, tone=HERTZ)
        ear = nodes.call("ear", "b", "4000", seconds=calls)
        nodes.call("noise", "a", "3001", seconds=calls, play=noise)
        here, there = (nodes.call(f"ear of {name}", name, "4001", seconds=calls) for name in "ab")
        wait_for(lambda: len(b.members("3000")) == len(b.members("3001")) == 1, 15, "all are there")
        wait_for(lambda: len(a.members("3000")) == 1 and len(a.members("3001")) == 2, 15, "all are there")
        time.sleep(5.0)
        before, began = b.data("counters"), time.monotonic()
        time.sleep(SECONDS)
        after, ended = b.data("counters"), time.monotonic()
        for phone in nodes.phones.values():
            phone.wait(60)
    names = ("late", "concealed", "slips", "splices", "jumps")
    counts = {name: after[f"tunnel.sound_{name}"] - before[f"tunnel.sound_{name}"] for name in names}
    heard = Heard(ear).during(began, ended)
    missing = {began + spot.start: spot.length for spot in gaps(heard)}
    kept = without_stalls(missing, stalls.sure(), RECOVERY)
    seconds = np.split(heard[: len(heard) // 8000 * 8000], len(heard) // 8000)
    pitches = np.array([1200 * np.log2(pitch(second, HERTZ) / HERTZ) for second in seconds])
    levels = tone_levels(heard, HERTZ, segment=0.1)
    ears = Heard(there), Heard(here)
    lags = [later(*ears, at, at + 10.0) for at in (began, ended - 10.0)]
    print(f"\n{SECONDS:.0f} s, {PPM:g} ppm: {counts}; {stalls.describe()}")
    print(f"gaps {[round(1000 * missing[at]) for at in kept]} ms of {len(missing)} with stalls")
    print(
        f"later {1000 * lags[0]:.1f} ms in the first 10 s, {1000 * lags[1]:.1f} in the last; level {levels.mean():.2f} dBFS"
    )
    print(f"pitch off by {np.median(pitches):.2f} cents (median), {abs(pitches).max():.2f} (worst second)")
    # Two streams, the tone and the noise.
    assert counts["slips"] > 0.8 * 2 * SECONDS * 8000 * PPM / 1e6
    assert sum(missing[at] for at in kept) <= BUSY * SECONDS / 100
    assert float(np.median(abs(levels + 18))) < 0.2
    assert float(np.percentile(abs(pitches), 99)) < CENTS
    assert max(lags) < LATER
    assert abs(lags[1] - lags[0]) < 0.01, "clocks are 120 ms apart by now"
