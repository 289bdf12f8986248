"""twistd with a server that writes down, at its end, when each tick came and how late, to the file named by XCONF_TICKS.

`xconf ctl status` tells how late the ticks of the last minute were, but not when: so it cannot tell the server's own
lateness from the machine's stalls.
"""

from __future__ import annotations

import array
import atexit
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from twisted.scripts.twistd import run

from bench.stalls import Stall
from xconf.media.clock import KEPT, PERIOD, TickClock

FILE = "XCONF_TICKS"
MARGIN = 0.1  # s after a stall in which what came late may be its doing


class Witness(TickClock):
    """Three numbers for each tick: when it came (s of CLOCK_MONOTONIC), s late, how many were missed before it."""

    def start(self) -> None:
        self._seen = array.array("d")
        atexit.register(lambda: Path(os.environ[FILE]).write_bytes(self._seen.tobytes()))
        super().start()

    def doRead(self) -> None:
        now, ticks, missed = time.monotonic(), self.ticks, self.missed
        super().doRead()
        if self.ticks > ticks:
            self._seen.extend((now, self.lateness[ticks % KEPT], self.missed - missed))


@dataclass(slots=True, frozen=True)
class Punctuality:
    """Of the ticks of some time, those near stalls of the machine left out. Times in ms.

    stalled: how many ticks were missed near stalls; `missed` are the others.
    """

    ticks: int
    high: float
    worst: float
    missed: int
    stalled: int


def punctuality(file: Path, start: float, end: float, stalls: Iterable[Stall]) -> Punctuality:
    """What the file says of the time from start to end (s of CLOCK_MONOTONIC)."""
    seen = np.frombuffer(file.read_bytes(), np.float64).reshape(-1, 3)
    seen = seen[(seen[:, 0] >= start) & (seen[:, 0] <= end)]
    near = near_stalls(seen, stalls)
    late = np.sort(seen[~near, 1]) * 1000
    if not len(late):
        raise SystemExit("no tick without a stall of the machine")
    return Punctuality(
        ticks=len(late),
        high=float(late[int(0.99 * len(late))]),
        worst=float(late[-1]),
        missed=int(seen[~near, 2].sum()),
        stalled=int(seen[near, 2].sum()),
    )


def near_stalls(seen: npt.NDArray[np.float64], stalls: Iterable[Stall]) -> npt.NDArray[np.bool_]:
    """bool[n]: which ticks came in a stall or so soon after it, or were due in one."""
    near = np.zeros(len(seen), bool)
    came, due = seen[:, 0], seen[:, 0] - seen[:, 1] - seen[:, 2] * PERIOD
    for stall in stalls:
        near |= (came >= stall.start) & (due <= stall.end + MARGIN)
    return near


if __name__ == "__main__":
    import xconf.media.service

    xconf.media.service.TickClock = Witness  # type: ignore[attr-defined]
    sys.exit(run())
