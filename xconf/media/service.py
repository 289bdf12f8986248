"""The media of a node as a service: the engine, driven by the tick's clock in the reactor."""

from __future__ import annotations

import time
from typing import Any

from twisted.application.service import Service

from xconf.media.clock import TickClock
from xconf.media.engine import Engine


class MediaService(Service):
    """Starts and stops the tick of an engine; `lateness` and `missed` of its clock tell how it fares."""

    name = "media"

    def __init__(self, reactor: Any, engine: Engine) -> None:
        self.engine = engine
        self.clock = TickClock(reactor, self._tick)

    def startService(self) -> None:
        super().startService()
        self.clock.start()

    def stopService(self) -> None:
        super().stopService()
        self.clock.stop()
        self.engine.close()

    def _tick(self, missed: int) -> None:
        self.engine.tick(missed, time.time())
        self.engine.deliver()
