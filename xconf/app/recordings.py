"""The folder of recordings, and the threads that write them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet import defer

from xconf.app.workers import Workers
from xconf.conference.recording import safe
from xconf.conference.registry import MOST
from xconf.media.tape import Format, Tape, TapeError

PATIENCE = 5.0  # s that the server's stop waits for the disk


class RecordingFiles(Service):
    """Makes the files of recordings, in threads: at most 4 disks that hang hold up one another, and nothing else."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self.folder = folder
        self._reactor = reactor
        self._workers = Workers(reactor, "recording", 4, 2 * MOST)
        self._pending = 0
        self._named: tuple[str, set[str]] = "", set()  # the last second, and the names given in it
        self._stopped: defer.Deferred[None] | None = None

    def tape(self, name: str, rate: int, channels: int, form: Format) -> tuple[Tape, str]:
        """Files of that name, not made yet, and where the first will be."""
        tape = Tape(self.folder, name, rate, channels, form)
        return tape, str(tape.path)

    def name(self, conference: str) -> str:
        """`3000-20261121-143005`, in local time; `…_2` for the next one of the same second."""
        second = time.strftime("%Y%m%d-%H%M%S")
        if second != self._named[0]:
            self._named = second, set()
        base = name = f"{safe(conference)}-{second}"
        count = 1
        while name in self._named[1]:
            count += 1
            name = f"{base}_{count}"
        self._named[1].add(name)
        return name

    def run(self, work: Callable[[], None], done: Callable[[Any], None]) -> None:
        """Have it done in a thread; `done` gets None or the exception, in the reactor's."""

        def told(result: Any) -> None:
            self._pending -= 1
            done(result)
            if not self._pending and self._stopped is not None:
                self._finish()

        self._pending += 1
        self._workers.call(lambda: _checked(work), told)

    def stopService(self) -> defer.Deferred[None] | None:
        """Files are finished first, unless the disk hangs."""
        super().stopService()
        if not self._pending:
            self._workers.stopService()
            return None
        self._stopped = defer.Deferred()
        self._late = self._reactor.callLater(PATIENCE, self._finish)
        return self._stopped

    def _finish(self) -> None:
        stopped, self._stopped = self._stopped, None
        if self._late.active():
            self._late.cancel()
        self._workers.stopService()
        if stopped is not None:
            stopped.callback(None)


def _checked(work: Callable[[], None]) -> None:
    """Raises TapeError, with what to do."""
    try:
        work()
    except TapeError as error:
        raise TapeError(f"{error}; see to the disk and to recording.folder, then start it again") from error
