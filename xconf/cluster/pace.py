"""When our ticks are due, and how far behind them the frames of another node come."""

from __future__ import annotations

import numpy as np

TICK = 0.02
KEPT = 128  # frames, some 2.5 s of sound
JUDGED = 50  # frames from which on their spread says something
OUTLIERS = 40  # of so many frames one may come later than the stream is laid out for
MARGIN = 0.004  # s by which the others are to be there before they are needed
STEADY = 0.002  # s off that which are left alone
FAR = 0.15  # s too early from which the stream skips
FOLLOW = 0.02  # share of a tick's lateness that counts
LOST = 0.5  # s from which on the time of ticks begins anew
MEMORY = 5.0  # s after which clocks may have drifted, and times of before say nothing


class Pace:
    """Times are s. transit of a frame: when it came by our clock, less its time on the sender's."""

    def __init__(self) -> None:
        self.spread = 0.0
        """s between the frames that come early and those that come late, as seen last."""
        self._transits = np.zeros(KEPT)
        self._count = 0
        self._last = -np.inf

    def add(self, transit: float, now: float) -> None:
        if now - self._last > MEMORY:
            self._count = 0
        self._last = now
        self._transits[self._count % KEPT] = transit
        self._count += 1

    @property
    def known(self) -> bool:
        """Something is known of the way that is not too old."""
        return self._count > 0

    def latest(self) -> float:
        """The transit of those that come late, but for outliers."""
        transits = self._transits[: min(self._count, KEPT)]
        outliers = len(transits) // OUTLIERS
        latest = float(np.partition(transits, len(transits) - 1 - outliers)[len(transits) - 1 - outliers])
        if len(transits) >= JUDGED:
            self.spread = latest - float(transits.min())
        return latest


class Metronome:
    """Our ticks: `tick`, the number of the last one, and `at`, when it was due (s); -1 and 0 before the first."""

    def __init__(self) -> None:
        self.tick = -1
        self.at = 0.0

    def beat(self, tick: int, now: float) -> None:
        """A tick happens, a little early or late. More than once with the same tick does no harm."""
        if tick == self.tick:
            return
        due = self.at + (tick - self.tick) * TICK
        off = now - due
        self.at = now if self.tick < 0 or abs(off) > LOST else due + off * FOLLOW
        self.tick = tick
