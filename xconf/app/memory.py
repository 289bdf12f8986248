"""What memory might do to the tick, and is kept from doing.

A full collection looks at every object of every call: a tenth of a second and more with thousands of calls, in which
nobody hears anything. Calls that end are freed without it, since nothing of them refers to itself (a test sees to that). So
full collections wait until no call is up, and little is left of those that were: who calls next is not to wait for it either.

Younger generations are looked at by the clock. By itself the collector starts when so many more objects were made than freed:
while thousands of calls end, others' objects are freed as fast as those of their BYEs are made, and it then had as much to look
at as in a full collection.

What the system has taken out of memory, code above all, is read from the disk again when it is needed, for tens of milliseconds.
So it is to stay (mlockall(2)), where we may ask for that.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
from collections.abc import Sized
from pathlib import Path
from typing import Any

from twisted.internet.task import LoopingCall

log = logging.getLogger(__name__)

LOOK_EVERY = 60.0  # s
YOUNG_EVERY = 0.1  # s: with 600 new calls a second a millisecond
MIDDLE_EVERY = 4  # looks at the youngest generation
FEW = 100  # transactions, of probes and registrations: a collection takes no longer for them

_CURRENT, _FUTURE, _ON_FAULT = 1, 2, 4  # of mlockall: what is used now, later, and no more than is used
_IPC_LOCK = 14  # number of the capability


class Collector:
    """Full collections only while there are no calls, and those that were are forgotten: RFC 3261 keeps transactions for 32 s."""

    def __init__(self, reactor: Any, calls: Sized, transactions: Sized) -> None:
        self._calls = calls
        self._transactions = transactions
        self._looks = 0
        self._look = LoopingCall(self._collect)
        self._young = LoopingCall(self._collect_young)
        self._look.clock = self._young.clock = reactor

    def start(self) -> None:
        """What is there now stays for good, and is not looked at again."""
        gc.collect()
        gc.freeze()
        gc.disable()
        self._look.start(LOOK_EVERY, now=False)
        self._young.start(YOUNG_EVERY, now=False)

    def stop(self) -> None:
        if self._look.running:
            self._look.stop()
            self._young.stop()
            gc.enable()
            gc.unfreeze()

    def _collect_young(self) -> None:
        self._looks += 1
        gc.collect(0 if self._looks % MIDDLE_EVERY else 1)

    def _collect(self) -> None:
        if not len(self._calls) and len(self._transactions) < FEW:
            gc.collect()


def stay() -> bool:
    """Have all memory that this process uses, now and later, stay in memory, where it may; whether it does."""
    if not _may_stay():
        return False
    if ctypes.CDLL(None, use_errno=True).mlockall(_CURRENT | _FUTURE | _ON_FAULT):
        log.info("memory may be taken away for a while: mlockall: %s", os.strerror(ctypes.get_errno()))
        return False
    return True


def _may_stay() -> bool:
    """Without limits: with some, the memory that is asked for later would be refused."""
    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    return soft == resource.RLIM_INFINITY or bool(_capabilities() >> _IPC_LOCK & 1)


def _capabilities() -> int:
    """That this process has in effect."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1], 16) for line in lines if line.startswith("CapEff:")), 0)
