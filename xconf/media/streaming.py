"""Sounds that are decoded while they are heard: a short stretch ahead of the tick, in another thread.

So a file of two hours takes no more memory than one of two seconds, and a disk that is slow costs nobody's sound: what
is not there in time is heard as silence, and counted.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable

import numpy as np

from xconf.media.reader import Reader
from xconf.media.sources import TICK, Samples, SoundError

log = logging.getLogger(__name__)

BLOCK = 25  # frames that are decoded together: half a second
BLOCKS = 4  # that are ahead at most
FAILED = "failed; the log says why"

Work = Callable[[], None]
Ahead = Callable[[Work], None]
"""Does some work elsewhere, soon. Raises SoundError when there is too much of it."""


class Stream:
    """A sound that a reader gives. Made anywhere; then `read`, `seek`, `position` and `close` are for one thread (the
    tick's), and what waits for the disk is done by `ahead`.

    open: gives the reader. counters: `underruns` are frames that were not there in time.
    """

    def __init__(self, open: Callable[[], Reader], rate: int, ahead: Ahead, counters: Counter[str]) -> None:
        self.error = ""
        self.seconds: float | None = None
        self._open = open
        self._frame = rate // 50
        self._ahead = ahead
        self._counters = counters
        self._silence = np.zeros(self._frame, np.int16)
        # Of the reading thread. What was decoded before the last `seek` has another number, and is not heard.
        self._wanted: tuple[int, float] = (0, 0.0)
        self._block = self._silence[:0]
        self._at = 0
        self._over = False
        self._frames = 0  # read since the last seek
        # Of both: appended to at one end, taken from the other.
        self._blocks: deque[tuple[int, Samples | None]] = deque()
        self._asked = False
        self._closed = False
        # Of who decodes.
        self._decoding = threading.Lock()
        self._reader: Reader | None = None
        self._decoded = 0  # the number of the stretch that the reader is in
        self._ended = -1  # the number of the stretch whose end was decoded

    def prime(self) -> None:
        """Decode the beginning, here and now: it waits for the disk. Raises SoundError."""
        self._work()
        if self.error:
            raise SoundError(self.error)

    @property
    def position(self) -> float:
        return self._wanted[1] + self._frames * TICK

    def seek(self, seconds: float) -> None:
        if self.seconds is None:
            raise SoundError("one file can be wound, a folder cannot")
        self._wanted = self._wanted[0] + 1, min(max(0.0, seconds), self.seconds)
        self._block, self._at, self._frames, self._over = self._silence[:0], 0, 0, False
        self._blocks.clear()
        self._ask()

    def read(self) -> Samples | None:
        while self._at >= len(self._block) and not self._over and self._blocks:
            self._next_block()
        if self._over:
            return None
        frame = self._block[self._at : self._at + self._frame]
        if not len(frame):
            self._ask()
            self._counters["underruns"] += 1
            return self._silence
        self._at += self._frame
        self._frames += 1
        if len(frame) < self._frame:
            return np.concatenate([frame, self._silence[len(frame) :]])
        return frame

    def _next_block(self) -> None:
        number, block = self._blocks.popleft()
        if number != self._wanted[0]:
            return
        if block is None:
            self._over = True
        else:
            self._block, self._at = block, 0
            self._ask()

    def close(self) -> None:
        self._closed = self._over = True
        self._blocks.clear()
        self._block = self._silence[:0]
        self._ask()

    def _ask(self) -> None:
        """Have more decoded, unless that is under way or done."""
        if self._asked or (self._ended == self._wanted[0] and not self._closed):
            return
        self._asked = True
        try:
            self._ahead(self._work)
        except SoundError:
            self._asked = False

    # Elsewhere

    def _work(self) -> None:
        with self._decoding:
            try:
                self._fill()
            except SoundError as error:
                self._fail(str(error))
            except Exception:
                log.exception("a sound could not be decoded")
                self._fail(FAILED)
            finally:
                self._asked = False
            # Only now: whoever closed it before has seen that somebody is at work.
            if self._closed and self._reader is not None:
                reader, self._reader = self._reader, None
                reader.close()

    def _fill(self) -> None:
        while not self._closed and len(self._blocks) < BLOCKS:
            number, position = self._wanted
            if number == self._ended:
                return
            if self._reader is None:
                self._reader = self._open()
                self.seconds = self._reader.seconds
            if number != self._decoded:
                self._reader.seek(position)
                self._decoded = number
            block = self._reader.read(BLOCK * self._frame)
            if len(block):
                self._blocks.append((number, block))
            if len(block) < BLOCK * self._frame:
                self._blocks.append((number, None))
                self._ended = number

    def _fail(self, error: str) -> None:
        self.error = self.error or error
        self._ended = self._wanted[0]
        self._blocks.append((self._ended, None))
