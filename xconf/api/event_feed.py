"""The command `events`: what happens, told from a number on for as long as somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xconf.conference import events
from xconf.conference.commands import Argument, Command, Reply
from xconf.conference.errors import CommandError, near
from xconf.conference.events import Event, EventsLost
from xconf.conference.stream import Stream

AT_ONCE = 100  # events in one turn


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events: of one conference or (empty) all, of some kinds or (empty) all; after a number, or from now on."""

    conference: str = ""
    kinds: frozenset[str] = frozenset()
    after: int | None = None

    def __contains__(self, event: Event) -> bool:
        return (not self.conference or event.conference == self.conference) and (
            not self.kinds or event.kind in self.kinds
        )


def parse_wanted(text: str) -> Wanted:
    """`3000 only member-joined,member-left since 17`, each part of which may be missing. Raises ValueError."""
    words = text.split()
    conference, kinds, after = "", frozenset[str](), None
    while words:
        word = words.pop(0)
        if word in ("since", "only") and not words:
            raise ValueError(f"{word} what? {USAGE}")
        if word == "since":
            after = _number(words.pop(0))
        elif word == "only":
            kinds = _kinds(words.pop(0))
        elif not conference:
            conference = word
        else:
            raise ValueError(f"'{word}' is one word too many: {USAGE}")
    return Wanted(conference, kinds, after)


def _number(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) < 19):
        raise ValueError(f"'{word}' is not the number of an event, like 17")
    return int(word)


def _kinds(word: str) -> frozenset[str]:
    known = events.kinds()
    for kind in word.split(","):
        if kind not in known:
            raise ValueError(f"no event '{kind}'{near(kind, known)}")
    return frozenset(word.split(","))


USAGE = "[CONFERENCE] [only KIND,…] [since N]"
WANTED = Argument(USAGE, parse_wanted, optional=True)


class EventFeed:
    """A place in the stream. What is not read in time is lost, and that is told: nothing is kept for one reader."""

    def __init__(self, stream: Stream, wanted: Wanted) -> None:
        self._stream = stream
        self._wanted = wanted
        self._told = stream.last if wanted.after is None else wanted.after
        self._end: Callable[[], None] | None = None

    def listen(self, news: Callable[[], None]) -> None:
        self._end = self._stream.subscribe(lambda event: news())

    def read(self) -> list[dict[str, Any]]:
        told: list[Event] = []
        while not told and self._told < self._stream.last:
            told = self._some()
        return [event.as_dict() for event in told]

    def _some(self) -> list[Event]:
        """The next ones, less those that are not wanted."""
        found = self._stream.after(self._told, AT_ONCE)
        lost = found[0].sequence - 1 - self._told
        self._told = found[-1].sequence
        told = [event for event in found if event in self._wanted]
        if lost:
            last = found[0].sequence - 1
            told.insert(0, EventsLost(sequence=last, time=found[0].time, conference="", count=lost))
        return told

    def close(self) -> None:
        if self._end is not None:
            self._end()
            self._end = None


def event_command(stream: Stream) -> Command:
    """The entry for the table of commands."""

    def follow(_: object, wanted: Wanted) -> Reply:
        """Tells what happens from now on, or after an event's number; of all conferences or one, until interrupted."""
        if wanted.after is not None and wanted.after > stream.last:
            raise CommandError(
                f"since {wanted.after}: the last event is {stream.last}; after a restart of the server they are "
                "counted from 1 again"
            )
        feed = EventFeed(stream, wanted)
        return Reply(f"following; the last event was {stream.last}", {"first": stream.first, "last": stream.last}, feed)

    return Command("events", "node", WANTED, follow)
