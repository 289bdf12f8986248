"""A node's conferences as the census sees them, of which nothing is there but how many members they have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from xconf.conference.elsewhere import Alone, Elsewhere
from xconf.conference.interfaces import Clock


@dataclass(frozen=True, slots=True)
class Settings:
    speaker: bool
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """A member that does nothing."""

    settings: Settings


LISTENER, SPEAKER = Head(Settings(False)), Head(Settings(True))


class Heads:
    """So many of them, with the face of a dict."""

    def __init__(self) -> None:
        self._all: list[Head] = []

    def change(self, listeners: int, speakers: int) -> None:
        self._all = [SPEAKER] * speakers + [LISTENER] * listeners

    def values(self) -> list[Head]:
        return self._all

    def __len__(self) -> int:
        return len(self._all)


@dataclass(slots=True)
class Moderation:
    waits: bool = False


@dataclass(slots=True, eq=False)
class ModelledConference:
    name: str
    members: Heads = field(default_factory=Heads)
    moderation: Moderation = field(default_factory=Moderation)
    playing: bool = False
    flags: frozenset[str] = frozenset()
    listeners: int = 0
    speakers: int = 0
    told: int = 0  # how often it was told that there is something else elsewhere

    def change(self, listeners: int, speakers: int) -> None:
        self.listeners, self.speakers = listeners, speakers
        self.members.change(listeners, speakers)

    def set_flag(self, flag: str, on: bool) -> None:
        self.flags = self.flags | {flag} if on else self.flags - {flag}

    def elsewhere_changed(self) -> None:
        self.told += 1


@dataclass(frozen=True, slots=True)
class Changed:
    """What the census looks at of an event."""

    conference: str
    kind: str = "member-joined"


class Events:
    """What happens; nobody but the census listens."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[Any], None]] = []

    def subscribe(self, subscriber: Callable[[Any], None]) -> Callable[[], None]:
        self._subscribers.append(subscriber)
        return lambda: self._subscribers.remove(subscriber)

    def publish(self, kind: type, **details: Any) -> None:
        """What the census tells of nodes."""

    def happened(self, event: Changed) -> None:
        for subscriber in tuple(self._subscribers):
            subscriber(event)


class Hall:
    """All conferences of a node, in place of `xconf.conference.registry.Conferences`."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.events = Events()
        self.elsewhere: Elsewhere = Alone()
        self._conferences: dict[str, ModelledConference] = {}

    def __iter__(self) -> Iterator[ModelledConference]:
        return iter(tuple(self._conferences.values()))

    def get(self, name: str) -> ModelledConference | None:
        return self._conferences.get(name)

    def join(self, name: str, listeners: int = 0, speakers: int = 0) -> None:
        """So many more, or fewer where these are below 0."""
        conference = self._conferences.get(name)
        if conference is None:
            conference = self._conferences[name] = ModelledConference(name)
            self.elsewhere.begun(name)
        conference.change(conference.listeners + listeners, conference.speakers + speakers)
        self.events.happened(Changed(name))
