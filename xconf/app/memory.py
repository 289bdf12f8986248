"""The garbage collector, kept from stopping the tick.

A full collection looks at every object of every call: a tenth of a second and more with thousands of calls, in which
nobody hears anything. Calls that end are freed without it, since nothing of them refers to itself (a test sees to that). So
full collections wait until no call is up, and little is left of those that were: who calls next is not to wait for it either.

Younger generations are looked at by the clock. By itself the collector starts when so many more objects were made than freed:
while thousands of calls end, others' objects are freed as fast as those of their BYEs are made, and it then had as much to look
at as in a full collection.
"""

from __future__ import annotations

import gc
from collections.abc import Sized
from typing import Any

from twisted.internet.task import LoopingCall

LOOK_EVERY = 60.0  # s
YOUNG_EVERY = 0.1  # s: with 600 new calls a second a millisecond
MIDDLE_EVERY = 4  # looks at the youngest generation
FEW = 100  # transactions, of probes and registrations: a collection takes no longer for them


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
