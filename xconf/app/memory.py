"""The garbage collector, kept from stopping the tick.

A full collection looks at every object of every call: a tenth of a second and more with thousands of calls, in which
nobody hears anything. Calls that end are freed without it, since nothing of them refers to itself (a test sees to that). So
full collections wait until no call is up.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall

LOOK_EVERY = 60.0  # s
YOUNG, MIDDLE = 2000, 20  # thresholds of the two younger generations, which cost a millisecond or two
NEVER = 1 << 30


class Collector:
    """Full collections only while `idle()`."""

    def __init__(self, reactor: Any, idle: Callable[[], bool]) -> None:
        self._idle = idle
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
        if self._idle():
            gc.collect()
