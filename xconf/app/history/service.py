"""The history as a part of the server: it is written from the first call to the last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import threads
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xconf.app.history.records import Recorder
from xconf.app.history.writer import Writer
from xconf.conference.events import Error
from xconf.conference.stream import Stream

LAST_WORDS = 3.0  # s that a stop waits for the disk

log = Logger()


class History(Service):
    """most: records that may wait to be written."""

    name = "history"

    def __init__(self, reactor: Any, stream: Stream, path: Path, keep_days: int, most: int) -> None:
        self.path = path
        self._reactor = reactor
        self._stream = stream
        self._writer = Writer(path, keep_days, most, self._report)

    def startService(self) -> None:
        super().startService()
        self._stream.subscribe(Recorder(self._writer.keep))
        self._writer.start()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return threads.deferToThread(self._writer.stop, LAST_WORDS).addCallback(self._stopped)

    def _stopped(self, unwritten: int) -> None:
        if unwritten:
            log.error("{count} records of the history could not be written, and are lost", count=unwritten)

    def counters(self) -> dict[str, int]:
        """waiting: records to be written; lost: those that there was no room for."""
        return {"waiting": len(self._writer), "lost": self._writer.lost}

    def _report(self, fault: str, lost: int) -> None:
        """Called by the thread."""
        self._reactor.callFromThread(self._told, fault, lost)

    def _told(self, fault: str, lost: int) -> None:
        if fault:
            self._stream.publish(Error, conference="", part="history", error=fault)
        else:
            log.info("the history is written again; {lost} records are lost", lost=lost)
