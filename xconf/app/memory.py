"""The garbage collector, kept from stopping the tick.

A full collection looks at every object of every call: a tenth of a second and more with thousands of calls, in which
nobody hears anything. Calls that end are freed without it, since nothing of them refers to itself (a test sees to that). So
full collections wait until no call is up, and little is left of those that were: who calls next is not to wait for it either.
"""

from __future__ import annotations

import gc
from collections.abc import Sized
from typing import Any

from twisted.internet.task import LoopingCall

LOOK_EVERY = 60.0  # s
YOUNG, MIDDLE = 2000, 20  # thresholds of the two younger generations, which cost a millisecond or two
NEVER = 1 << 30
FEW = 100  # transactions, of probes and registrations: a collection takes no longer for them


class Collector:
    """Full collections only while there are no calls, and those that were are forgotten: RFC 3261 keeps transactions for 32 s."""

    def __init__(self, reactor: Any, calls: Sized, transactions: Sized) -> None:
        self._calls = calls
        self._transactions = transactions
        self._thresholds = gc.get_threshold()
        self._look = LoopingCall(self._collect)
        self._look.clock = reactor

    def start(self) -> None:
        """What is there now stays for good, and is not looked at again."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, MIDDLE, NEVER)
        self._look.start(LOOK_EVERY, now=False)

    def stop(self) -> None:
        if self._look.running:
            self._look.stop()
            gc.set_threshold(*self._thresholds)
            gc.unfreeze()

    def _collect(self) -> None:
        if not len(self._calls) and len(self._transactions) < FEW:
            gc.collect()
