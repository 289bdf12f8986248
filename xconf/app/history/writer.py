"""The thread that writes the history. Whoever has a record for it waits for nothing, whatever becomes of the disk."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from xconf.app.history.database import Database, why
from xconf.app.history.records import Record

PAUSE = 0.5  # s between two writes: those of a rush are written together
BACK_OFF = (1.0, 5.0, 30.0)  # s until it is tried again, the last for good
AT_ONCE = 500  # records in a transaction
DAY = 86_400.0
# Faults of what was to be written, which no other try would mend. All others are faults of the file.
OF_A_RECORD = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError, sqlite3.IntegrityError)


class Writer:
    """report: called, in the thread, with what is wrong when it begins and, empty, when it is over."""

    def __init__(self, path: Path, keep_days: int, most: int, report: Callable[[str, int], None]) -> None:
        self.path = path
        self.lost = 0  # records that there was no room for
        self._keep_days = keep_days
        self._most = most
        self._report = report
        self._waiting: deque[Record] = deque()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._database: Database | None = None
        self._failures = 0
        self._forgotten = 0.0
        self._begun = False

    def __len__(self) -> int:
        """Records that wait to be written."""
        return len(self._waiting)

    def keep(self, record: Record) -> None:
        """Write it, soon. When too many wait, the oldest is lost."""
        if len(self._waiting) >= self._most:
            with contextlib.suppress(IndexError):  # the thread was faster
                self._waiting.popleft()
                self.lost += 1
        self._waiting.append(record)

    def start(self) -> None:
        self._thread.start()

    def stop(self, patience: float) -> int:
        """Write what waits, and end; blocks for so many seconds at most. Returns how many records were not written."""
        self._ending.set()
        self._thread.join(patience)
        return len(self._waiting)

    def _run(self) -> None:
        while not self._ending.wait(BACK_OFF[min(self._failures, len(BACK_OFF)) - 1] if self._failures else PAUSE):
            self._try()
        self._try()
        self._close()

    def _try(self) -> None:
        try:
            self._work()
        except (sqlite3.Error, OSError) as error:
            self._close()
            self._failures += 1
            if self._failures == 1:
                self._report(why(error, self.path), self.lost)
        else:
            if self._failures:
                self._failures = 0
                self._report("", self.lost)

    def _work(self) -> None:
        if self._database is None:
            self._database = Database(self.path)
        if not self._begun:
            self._database.bury()
            self._begun = True
        while self._waiting:
            self._write(self._database)
        now = time.time()
        if now - self._forgotten > DAY:
            self._database.forget(now - self._keep_days * DAY)
            self._forgotten = now

    def _write(self, database: Database) -> None:
        """Some records. They are taken from the queue once they are written; until then they may be lost to newer ones."""
        some: list[Record] = []
        while self._waiting and len(some) < AT_ONCE:
            some.append(self._waiting.popleft())
        try:
            database.write(some)
        except (sqlite3.Error, OSError) as error:
            if not isinstance(error, OF_A_RECORD):
                self._waiting.extendleft(reversed(some))
            raise

    def _close(self) -> None:
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None
