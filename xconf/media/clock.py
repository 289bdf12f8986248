"""The tick's clock: a timerfd on CLOCK_MONOTONIC, read by the reactor. Absolute time: it neither drifts nor skips silently."""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from zope.interface import implementer

log = logging.getLogger(__name__)

PERIOD = 0.02
_TFD_NONBLOCK, _TFD_CLOEXEC, _TFD_TIMER_ABSTIME = os.O_NONBLOCK, os.O_CLOEXEC, 1
LATE, FULL, JUDGED = 0.008, 0.8, 50  # s late, share of a tick that it takes, and of how many ticks this is the median
KEPT = 3000  # ticks whose lateness is kept: one minute
MADE_UP = 2  # ticks that are made up for: telephones wait that long for packets
LIGHT = 0.4  # share of its time that a tick takes at most, usually, where there is time to make up for some


class _TimeSpec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _TimerSpec(ctypes.Structure):
    _fields_ = [("interval", _TimeSpec), ("value", _TimeSpec)]


_libc = ctypes.CDLL(None, use_errno=True)


@implementer(IReadDescriptor)
class TickClock:
    """Calls `tick(missed)` every 20 ms; `missed` ticks were due before this one and did not happen.

    What is late by a tick or two is made up for, one tick right after the other, unless the machine has no time for that: a
    packet that is late is heard, one that is never sent is not.

    lateness: float32[KEPT], seconds by which the last ticks came late, a ring; one before which others were missed is as
    late as the first of those, 20 ms and more. missed: how many did not happen; made_up: how many did right after another.
    """

    def __init__(self, reactor: IReactorFDSet, tick: Callable[[int], None]) -> None:
        self.ticks = self.missed = self.made_up = 0
        self.lateness = np.zeros(KEPT, np.float32)
        self.busy = np.zeros(KEPT, np.float32)
        self._reactor = reactor
        self._tick = tick
        self._fd = -1
        self._due = 0.0

    @property
    def overloaded(self) -> bool:
        """For a second by now most ticks came late, or took nearly all their time. A stall of the machine is none."""
        if self.ticks < JUDGED:
            return False
        last = self._last()
        late, busy = np.median(self.lateness[last]), np.median(self.busy[last])
        return bool(late > LATE or busy > FULL * PERIOD)

    def start(self) -> None:
        self._fd = _libc.timerfd_create(time.CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        first = time.monotonic() + PERIOD
        self._due = first
        nanoseconds = round(PERIOD * 1e9)
        spec = _TimerSpec(_TimeSpec(0, nanoseconds), _TimeSpec(int(first), int(first % 1 * 1e9)))
        if _libc.timerfd_settime(self._fd, _TFD_TIMER_ABSTIME, ctypes.byref(spec), None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")
        self._reactor.addReader(self)

    def stop(self) -> None:
        if self._fd >= 0:
            self._reactor.removeReader(self)
            os.close(self._fd)
            self._fd = -1

    def fileno(self) -> int:
        return self._fd

    def logPrefix(self) -> str:
        return "tick"

    def connectionLost(self, reason: object) -> None:
        """The reactor gives the descriptor up, at its end."""

    def doRead(self) -> None:
        """The timer went off. A fault in a tick is logged; the next tick comes all the same."""
        try:
            expirations = int.from_bytes(os.read(self._fd, 8), "little")
        except OSError as error:
            if error.errno != errno.EAGAIN:
                log.exception("the tick's timer cannot be read")
            return
        made_up = min(expirations - 1, MADE_UP) if expirations > 1 and self._light() else 0
        missed = expirations - 1 - made_up
        self.missed += missed
        self.made_up += made_up
        self._run(missed)
        for _ in range(made_up):
            self._run(0)

    def _light(self) -> bool:
        """Ticks take so little of their time lately that several fit into one."""
        return self.ticks >= JUDGED and float(np.median(self.busy[self._last()])) < LIGHT * PERIOD

    def _last(self) -> npt.NDArray[np.int64]:
        """Where the last JUDGED ticks are noted."""
        return np.arange(self.ticks - JUDGED, self.ticks) % KEPT

    def _run(self, missed: int) -> None:
        """One tick."""
        began = time.monotonic()
        at = self.ticks % KEPT
        self.lateness[at] = began - self._due
        self._due += (1 + missed) * PERIOD
        self.ticks += 1
        try:
            self._tick(missed)
        except Exception:
            log.exception("a tick failed")
        self.busy[at] = time.monotonic() - began
