"""A client of the management socket that goes on being told: a line for each event, as fast as it reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xconf.api.answers import octets
from xconf.conference.commands import Feed
from xconf.conference.wording import event_line


class Following:
    """Writes what a feed has to say, in turns of its own: what happens does not wait for whoever is told of it."""

    def __init__(self, reactor: IReactorTime, feed: Feed, write: Callable[[bytes], Any], as_json: bool) -> None:
        self._reactor = reactor
        self._feed = feed
        self._write = write
        self._line = octets if as_json else lambda event: event_line(event).encode()
        self._turn: IDelayedCall | None = None
        self._paused = False
        feed.listen(self._news)
        self._news()

    def pause(self) -> None:
        """The client has enough to read for now."""
        self._paused = True

    def resume(self) -> None:
        self._paused = False
        self._news()

    def close(self) -> None:
        self._paused = True
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        self._feed.close()

    def _news(self) -> None:
        if self._turn is None and not self._paused:
            self._turn = self._reactor.callLater(0, self._tell)

    def _tell(self) -> None:
        self._turn = None
        events = [] if self._paused else self._feed.read()
        if events:
            self._write(b"".join(self._line(event) + b"\n" for event in events))
            self._news()
