"""From events to the records of the history: one for each call, and one for each conference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from xconf.conference import events
from xconf.conference.events import Event


@dataclass(frozen=True, slots=True)
class CallRecord:
    """A call that is over. joined: Unix time, None for one that never became a member."""

    conference: str
    member: str
    caller: str
    call_id: str
    role: str
    joined: float | None
    left: float
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class ConferenceRecord:
    """A conference; what has an `ended` replaces what had none. members: all that ever joined; most: at once."""

    id: str
    conference: str
    profile: str
    started: float
    ended: float | None = None
    reason: str = ""
    members: int = 0
    most: int = 0


Record = CallRecord | ConferenceRecord


@dataclass(slots=True)
class _Running:
    record: ConferenceRecord
    now: int = 0
    members: int = 0
    most: int = 0


class Recorder:
    """Takes events (it is a subscriber of their stream) and hands on the records that come of them."""

    def __init__(self, keep: Callable[[Record], None]) -> None:
        self._keep = keep
        self._running: dict[str, _Running] = {}  # by name: of one name, one takes new members
        self._ending: dict[str, _Running] = {}  # by id
        self._on: dict[type[Event], Callable[[Any], None]] = {
            events.ConferenceStarted: self._started,
            events.ConferenceEnded: self._ended,
            events.MemberJoined: self._joined,
            events.MemberLeft: self._left,
            events.CallEnded: self._call_ended,
        }

    def __call__(self, event: Event) -> None:
        handle = self._on.get(type(event))
        if handle is not None:
            handle(event)

    def _started(self, event: events.ConferenceStarted) -> None:
        older = self._running.get(event.conference)
        if older is not None:
            self._ending[older.record.id] = older
        record = ConferenceRecord(event.id, event.conference, event.profile, event.time)
        self._running[event.conference] = _Running(record)
        self._keep(record)

    def _ended(self, event: events.ConferenceEnded) -> None:
        found = self._ending.pop(event.id, None) or self._running.pop(event.conference, None)
        if found is not None:
            known = found.record
            self._keep(
                ConferenceRecord(
                    known.id,
                    known.conference,
                    known.profile,
                    known.started,
                    event.time,
                    event.reason,
                    found.members,
                    found.most,
                )
            )

    def _joined(self, event: events.MemberJoined) -> None:
        running = self._running.get(event.conference)
        if running is not None:
            running.members += 1
            running.now += 1
            running.most = max(running.most, running.now)

    def _left(self, event: events.MemberLeft) -> None:
        running = self._running.get(event.conference)
        if running is not None:
            running.now -= 1
        joined = event.time - event.seconds
        self._keep(_call(event, event.role, joined, event.seconds, event.reason))

    def _call_ended(self, event: events.CallEnded) -> None:
        self._keep(_call(event, "", None, 0.0, event.reason))


def _call(event: events.MemberEvent, role: str, joined: float | None, seconds: float, reason: str) -> CallRecord:
    call_id = event.call_id.encode("utf-8", "backslashreplace").decode()  # as a stranger chose it
    who = (event.conference, event.member, event.caller, call_id)
    return CallRecord(*who, role, joined, event.time, seconds, reason)
