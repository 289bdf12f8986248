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
BUSY = 0.012  # the same, of a machine that is busy with something else
NICE = -10  # as the server's


@dataclass(frozen=True)
class Stall:
    start: float
    end: float
    core: int


class StallMonitor:
    """Use as a context manager; `stalls()` is what was seen so far.

    ordinary: its processes have no more right to a core than the server has: so moments are seen, too, in which programs that
    have nothing to do with a test or a benchmark keep it waiting.
    """

    def __init__(self, *, ordinary: bool = False) -> None:
        self.realtime = not ordinary
        self._kind = "ordinary" if ordinary else "realtime"
        self._watchers: list[subprocess.Popen[str]] = []
        self._stalls: list[Stall] = []

    def __enter__(self) -> StallMonitor:
        for core in sorted(os.sched_getaffinity(0)):
            command = [sys.executable, __file__, str(core), self._kind]
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
        if self._kind == "ordinary":
            return f"{len(stalls)} moments, {lost * 1000:.0f} ms in all, longest {longest * 1000:.0f} ms"
        kind = "real-time" if self.realtime else "NOT real-time (refused here), so other load counts too"
        return f"{len(stalls)} machine stalls, {lost * 1000:.0f} ms in all, longest {longest * 1000:.0f} ms; {kind}"


def without_stalls(times: Iterable[float], stalls: Iterable[Stall], margin: float = 0.1) -> list[float]:
    """The times (CLOCK_MONOTONIC) that have no stall within `margin` seconds; buffers make its effect come late."""
    known = list(stalls)
    return [t for t in times if not any(stall.start - margin <= t <= stall.end + margin for stall in known)]


def watch(core: int, kind: str) -> None:
    """Print `start end core` for each stall of a core until terminated."""
    os.sched_setaffinity(0, {core})
    late = BUSY if kind == "ordinary" else LATE
    print(_favoured(kind), flush=True)
    before = time.monotonic()
    while os.getppid() != 1:
        time.sleep(0.001)
        now = time.monotonic()
        if now - before > 0.001 + late:
            print(f"{before:.6f} {now:.6f} {core}", flush=True)
            now = time.monotonic()
        before = now


def _favoured(kind: str) -> str:
    """Give this process the priority of that kind, where that is allowed; the kind that it has now."""
    if kind == "realtime":
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
            return kind
        except PermissionError:
            pass
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE if kind == "ordinary" else -20)
    return "ordinary"


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
