"""What happens in conferences, as typed events in one numbered stream.

To hear of them, `subscribe`; to catch up, `since` a number. A subscriber that fails is logged and goes on being told.
"""

from __future__ import annotations

import dataclasses
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

log = logging.getLogger(__name__)

KEPT = 1000  # events that can be caught up with


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """sequence: from 1, without gaps; time: of the node's clock (s); conference: its name."""

    sequence: int
    time: float
    conference: str

    @property
    def kind(self) -> str:
        """Its name, like `member-joined`."""
        return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in type(self).__name__)[1:]

    def as_dict(self) -> dict[str, Any]:
        """For programs: what JSON can say."""
        return {"event": self.kind, **dataclasses.asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConferenceStarted(Event):
    id: str
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConferenceEnded(Event):
    id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvent(Event):
    """member: its UUID; call_id: of its SIP dialog."""

    member: str
    caller: str
    call_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined(MemberEvent):
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeft(MemberEvent):
    """seconds: since it joined."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded(MemberEvent):
    """A call that was in the PIN menu, and never a member."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PinFailed(MemberEvent):
    """attempt: 1 for the first."""

    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DigitPressed(MemberEvent):
    """A key of the telephone; those of a PIN are not told."""

    digit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRun(MemberEvent):
    """What the digits meant; error: why it could not be done, or empty."""

    command: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberFlagChanged(MemberEvent):
    flag: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkStarted(MemberEvent):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkStopped(MemberEvent):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FlagChanged(Event):
    """A flag of the conference."""

    flag: str
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackStarted(Event):
    """member: its UUID, or empty when the whole conference hears it."""

    member: str
    sound: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybackEnded(Event):
    """error: why it could not be played, or empty; stopped: before its end."""

    member: str
    sound: str
    stopped: bool
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrunkChanged(Event):
    """Of the node, not of a conference. state: registered, waiting, refused, reachable …; error: why not, or empty."""

    trunk: str
    state: str
    reachable: bool | None
    error: str


Subscriber = Callable[[Event], None]


class Stream:
    """The events of a node. seconds: its clock."""

    def __init__(self, seconds: Callable[[], float], kept: int = KEPT) -> None:
        self._seconds = seconds
        self._recent: deque[Event] = deque(maxlen=kept)
        self._subscribers: list[Subscriber] = []
        self.last = 0

    def publish(self, kind: type[Event], **fields: Any) -> None:
        """Number an event, keep it, and tell every subscriber."""
        self.last += 1
        event = kind(sequence=self.last, time=self._seconds(), **fields)
        self._recent.append(event)
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(event)
            except Exception:
                log.exception("a subscriber of events failed at %s", event.kind)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Tell it of every event from now on; returns what ends that."""
        self._subscribers.append(subscriber)

        def end() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return end

    def since(self, sequence: int) -> list[Event]:
        """The events after that number which are still kept."""
        return [event for event in self._recent if event.sequence > sequence]
