"""Threads for work that waits: for the disk, for programs, for the network."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.logger import Logger

from xconf.media.sounds import MOST_STREAMS, Sounds
from xconf.media.sources import SoundError

log = Logger()

Work = Callable[[], Any]
Done = Callable[[Any], None]


class Workers(Service):
    """At most so many threads, made when there is work; and so much work that waits for them.

    They do not keep the server from ending: a disk that hangs holds up nobody but who waits for it.
    """

    def __init__(self, reactor: Any, name: str, threads: int, most: int) -> None:
        self.setName(name)
        self._reactor = reactor
        self._threads = threads
        self._most = most
        self._idle = threading.Semaphore(0)
        self._started = 0
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()

    def run(self, work: Work) -> None:
        """Have it done, soon. From the reactor's thread. Raises SoundError when too much waits."""
        if self._work.qsize() >= self._most:
            raise SoundError("too many sounds are being made ready; try again later")
        self._work.put(work)
        if not self._idle.acquire(blocking=False) and self._started < self._threads:
            self._started += 1
            threading.Thread(target=self._serve, name=f"{self.name} {self._started}", daemon=True).start()

    def call(self, work: Work, done: Done) -> None:
        """Have it done; `done` gets its result, or its exception, in the reactor's thread. Raises SoundError."""

        def run() -> None:
            try:
                result = work()
            except Exception as error:
                result = error
            self._reactor.callFromThread(done, result)

        self.run(run)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                log.failure("work of {name} failed", name=self.name)
            self._idle.release()

    def stopService(self) -> None:
        super().stopService()
        for _ in range(self._started):
            self._work.put(None)


class SoundThreads(MultiService):
    """Threads for sounds: some that decode what is heard, which is urgent, and some that make other sounds ready."""

    def __init__(self, reactor: Any, sounds: Sounds) -> None:
        super().__init__()
        decoding = Workers(reactor, "decoding", 4, 2 * MOST_STREAMS)
        self.preparing = Workers(reactor, "preparing", 4, 200)
        for part in (decoding, self.preparing):
            part.setServiceParent(self)
        sounds.ahead = decoding.run
