"""The machine's own stalls, so that tests do not blame the server for them.

Virtual machines stand still now and then. A small process per core, real-time where that is allowed, sleeps 1 ms at a
time and notes whenever it woke late: nobody else's work can delay it but the machine's own absence (or, when real time
is refused, other load: `realtime` says which). Times are seconds of CLOCK_MONOTONIC, the same in all processes.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

LATE = 0.004  # seconds over the millisecond asked for that make a stall


@dataclass(frozen=True)
class Stall:
    start: float
    end: float
    core: int


class StallMonitor:
    """Use as a context manager; `stalls()` is what was seen so far."""

    def __init__(self) -> None:
        self.realtime = True
        self._watchers: list[subprocess.Popen[str]] = []
        self._stalls: list[Stall] = []

    def __enter__(self) -> StallMonitor:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, __file__, str(core)]
            watcher = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            self._watchers.append(watcher)
            assert watcher.stdout is not None
            self.realtime &= watcher.stdout.readline().strip() == "realtime"
        return self

    def __exit__(self, *_: object) -> None:
        self.stalls()
        for watcher in self._watchers:
            watcher.terminate()
        for watcher in self._watchers:
            watcher.wait()
            assert watcher.stdout is not None
            watcher.stdout.close()

    def stalls(self) -> list[Stall]:
        """All stalls so far, oldest first. What ended less than some milliseconds ago may still be missing."""
        for watcher in self._watchers:
            stdout = watcher.stdout
            assert stdout is not None
            while not stdout.closed and select.select([stdout], [], [], 0)[0]:
                line = stdout.readline()
                if not line:
                    break
                start, end, core = line.split()
                self._stalls.append(Stall(float(start), float(end), int(core)))
        return sorted(self._stalls, key=lambda stall: stall.start)

    def sure(self) -> list[Stall]:
        """Those that are the machine's for sure: none where real time is refused, for other load is seen there too."""
        return self.stalls() if self.realtime else []

    def describe(self) -> str:
        """For the message beside a figure."""
        stalls = self.stalls()
        lost = sum(stall.end - stall.start for stall in stalls)
        longest = max((stall.end - stall.start for stall in stalls), default=0)
        kind = "real-time" if self.realtime else "NOT real-time (refused here), so other load counts too"
        return f"{len(stalls)} machine stalls, {lost * 1000:.0f} ms in all, longest {longest * 1000:.0f} ms; {kind}"


def without_stalls(times: Iterable[float], stalls: Iterable[Stall], margin: float = 0.1) -> list[float]:
    """The times (CLOCK_MONOTONIC) that have no stall within `margin` seconds; buffers make its effect come late."""
    known = list(stalls)
    return [t for t in times if not any(stall.start - margin <= t <= stall.end + margin for stall in known)]


def watch(core: int) -> None:
    """Print `start end core` for each stall of a core until terminated."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        print("realtime", flush=True)
    except PermissionError:
        with contextlib.suppress(PermissionError):
            os.nice(-20)
        print("ordinary", flush=True)
    before = time.monotonic()
    while os.getppid() != 1:
        time.sleep(0.001)
        now = time.monotonic()
        if now - before > 0.001 + LATE:
            print(f"{before:.6f} {now:.6f} {core}", flush=True)
            now = time.monotonic()
        before = now


if __name__ == "__main__":
    watch(int(sys.argv[1]))
