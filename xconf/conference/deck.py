"""What is played back to one audience, a member or all of a conference: one sound at a time, then those that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xconf.conference import events
from xconf.conference.errors import CommandError
from xconf.media.levels import STEPS
from xconf.media.sources import Fader, Recorded, Sound, SoundError

MOST_QUEUED = 100

Fetch = Callable[[str, Callable[[Recorded | SoundError], None]], None]
Start = Callable[[Sound, Callable[[], None]], None]
Publish = Callable[..., None]


@dataclass(slots=True, eq=False)
class Item:
    """started: called when it is heard; ended: with why it could not be played or empty, and whether it was stopped."""

    spec: str
    started: Callable[[], None]
    ended: Callable[[str, bool], None]
    fader: Fader | None = None
    paused: bool = False


def _nothing(*args: Any) -> None:
    pass


class Deck:
    """fetch: makes a sound ready; start and stop: have it heard (from where it is); publish: an event; member: its UUID,
    empty: all of a conference; changed: called when something begins to be heard, or ceases.
    """

    def __init__(
        self,
        fetch: Fetch,
        start: Start,
        stop: Callable[[], object],
        publish: Publish,
        member: str = "",
        changed: Callable[[], None] = _nothing,
    ) -> None:
        self.volume = 0  # steps of -4..4
        self._fetch = fetch
        self._start = start
        self._stop = stop
        self._publish = publish
        self._member = member
        self._changed = changed
        self._current: Item | None = None
        self._coming: Item | None = None  # is being made ready
        self._queue: deque[Item] = deque()

    @property
    def playing(self) -> str:
        """What is heard, or paused; empty: nothing."""
        return self._current.spec if self._current else ""

    @property
    def paused(self) -> bool:
        return self._current is not None and self._current.paused

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return len(self._queue)

    @property
    def position(self) -> float:
        """s from the beginning of what is heard."""
        return self._current.fader.sound.position if self._current and self._current.fader else 0.0

    def play(
        self, spec: str, started: Callable[[], None] = _nothing, ended: Callable[[str, bool], None] = _nothing
    ) -> None:
        """Play it as soon as it is ready, in place of what is played and what waits. Raises CommandError."""
        before = tuple(self._queue)
        self._prepare(Item(spec, started, ended))
        for item in before:
            self._queue.remove(item)
            self._end(item, stopped=True)

    def queue(
        self, spec: str, started: Callable[[], None] = _nothing, ended: Callable[[str, bool], None] = _nothing
    ) -> int:
        """Play it after what is played and what waits; returns how many that are. Raises CommandError."""
        if self._current is None and self._coming is None:
            self._prepare(Item(spec, started, ended))
            return 0
        if len(self._queue) >= MOST_QUEUED:
            raise CommandError(f"{MOST_QUEUED} sounds wait already")
        self._queue.append(Item(spec, started, ended))
        return len(self._queue)

    def stop(self) -> bool:
        """No more is heard, now or later; whether there was something."""
        items = [item for item in (self._current, self._coming, *self._queue) if item is not None]
        heard = self._current is not None and not self._current.paused
        self._current = self._coming = None
        self._queue.clear()
        if heard:
            self._stop()
        for item in items:
            self._end(item, stopped=True)
        if items:
            self._changed()
        return bool(items)

    def pause(self) -> None:
        """Keep it, where it is. Raises CommandError."""
        item, _ = self._require()
        if item.paused:
            raise CommandError(f"{item.spec} is paused already")
        item.paused = True
        self._stop()
        self._changed()

    def resume(self) -> None:
        """Go on with what was paused. Raises CommandError."""
        item, fader = self._require()
        if not item.paused:
            raise CommandError(f"{item.spec} is not paused")
        item.paused = False
        self._start(fader, lambda: self._over(item))
        self._changed()

    def seek(self, seconds: float, *, relative: bool = False) -> float:
        """Go on from there, s; returns where that is. Raises CommandError."""
        _, fader = self._require()
        try:
            fader.sound.seek(max(0.0, seconds + (fader.sound.position if relative else 0.0)))
        except SoundError as error:
            raise CommandError(str(error)) from None
        return fader.sound.position

    def fade(self, step: int) -> int:
        """Louder or softer from now on, also what comes later; 0: as it was. Returns the volume."""
        self.volume = max(-STEPS, min(STEPS, self.volume + step)) if step else 0
        if self._current is not None and self._current.fader is not None:
            self._current.fader.step = self.volume
        return self.volume

    def _require(self) -> tuple[Item, Fader]:
        if self._current is None or self._current.fader is None:
            raise CommandError("nothing is played")
        return self._current, self._current.fader

    def _prepare(self, item: Item) -> None:
        """Make it ready; what is played goes on until it is. Raises CommandError."""
        before, self._coming = self._coming, item
        try:
            self._fetch(item.spec, lambda sound: self._ready(item, sound))
        except SoundError as error:
            self._coming = before
            raise CommandError(str(error)) from None
        if before is not None:
            self._end(before, stopped=True)

    def _ready(self, item: Item, sound: Recorded | SoundError) -> None:
        if item is not self._coming:  # it was stopped, or something else was wanted, meanwhile
            if not isinstance(sound, SoundError):
                sound.close()
            return
        self._coming = None
        if isinstance(sound, SoundError):
            self._end(item, error=str(sound))
            if self._current is None:
                self._next()
            return
        self._replace()
        item.fader = Fader(sound, self.volume)
        self._current = item
        self._publish(events.PlaybackStarted, member=self._member, sound=item.spec)
        self._start(item.fader, lambda: self._over(item))
        item.started()
        self._changed()

    def _replace(self) -> None:
        item, self._current = self._current, None
        if item is not None:
            if not item.paused:
                self._stop()
            self._end(item, stopped=True)

    def _over(self, item: Item) -> None:
        if item is self._current:
            self._current = None
            self._end(item, error=item.fader.sound.error if item.fader else "")
            self._next()
            self._changed()

    def _next(self) -> None:
        while self._queue and self._current is None and self._coming is None:
            item = self._queue.popleft()
            try:
                self._prepare(item)
            except CommandError as error:
                self._end(item, error=str(error))

    def _end(self, item: Item, *, stopped: bool = False, error: str = "") -> None:
        if item.fader is not None:
            item.fader.sound.close()
        if item.fader is not None or error:  # what only waited has no end, as it had no beginning
            self._told(item, stopped, error)
        item.ended(error, stopped)

    def _told(self, item: Item, stopped: bool, error: str) -> None:
        self._publish(events.PlaybackEnded, member=self._member, sound=item.spec, stopped=stopped, error=error)
