"""The media of a node as a service: the engine, driven by the tick's clock in the reactor."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service

from xconf.media.clock import TickClock
from xconf.media.engine import Engine
from xconf.rtp.ports import RECEIVE_BUFFER, granted_receive_buffer

log = logging.getLogger(__name__)

NICE = -10


class MediaService(Service):
    """Starts and stops the tick of an engine; `lateness` and `missed` of its clock tell how it fares.

    before: is called before each tick, for what is to be there when it happens.
    """

    name = "media"

    def __init__(self, reactor: Any, engine: Engine) -> None:
        self.engine = engine
        self.before: Callable[[], None] = lambda: None
        self.clock = TickClock(reactor, self._tick)

    def startService(self) -> None:
        with contextlib.suppress(PermissionError):  # the tick comes before other work of the machine, where it may
            os.setpriority(os.PRIO_PROCESS, 0, NICE)
        super().startService()
        granted = granted_receive_buffer(self.engine.ports.address)
        if granted < RECEIVE_BUFFER:
            log.warning(
                "media ports have %d KB to hold packets while the server is busy, of the %d KB they ask for: "
                "many calls may lose some; sysctl -w net.core.rmem_max=%d gives them all",
                granted >> 10,
                RECEIVE_BUFFER >> 10,
                RECEIVE_BUFFER,
            )
        self.clock.start()

    def stopService(self) -> None:
        super().stopService()
        self.clock.stop()
        self.engine.close()

    def _tick(self, missed: int) -> None:
        try:
            self.before()
        except Exception:
            log.exception("what was to be there for the tick is not")
        try:
            self.engine.tick(missed, time.time())
        finally:
            self.engine.deliver()
