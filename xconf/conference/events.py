"""What happens in conferences, as typed events. `stream.py` numbers them and tells them.

To add one: a class here, an example of it in docs/integrator.md (a test compares), and `publish` where it happens.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Struct

_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


def _kind(name: str) -> str:
    """MemberJoined -> member-joined"""
    return _CAPITAL.sub("-", name).lower()


class Event(Struct, frozen=True, kw_only=True, gc=False, tag_field="event", tag=_kind):
    """sequence: from 1, without gaps; time: Unix time (s); conference: its name, or empty when the node as a whole is
    meant.
    """

    sequence: int
    time: float
    conference: str

    @property
    def kind(self) -> str:
        """Its name, like `member-joined`."""
        return str(self.__struct_config__.tag)

    def as_dict(self) -> dict[str, Any]:
        """For programs: what JSON can say."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        return told


class ConferenceStarted(Event, frozen=True, kw_only=True):
    id: str
    profile: str


class ConferenceEnded(Event, frozen=True, kw_only=True):
    id: str
    reason: str


class MemberEvent(Event, frozen=True, kw_only=True):
    """member: its UUID; caller: name and number, as its telephone gives them; call_id: of its SIP dialog."""

    member: str
    caller: str
    call_id: str


class MemberJoined(MemberEvent, frozen=True, kw_only=True):
    role: str


class MemberLeft(MemberEvent, frozen=True, kw_only=True):
    """seconds: since it joined; role: what it was at last."""

    reason: str
    seconds: float
    role: str


class CallEnded(MemberEvent, frozen=True, kw_only=True):
    """A call that was in the PIN menu, and never a member."""

    reason: str


class PinFailed(MemberEvent, frozen=True, kw_only=True):
    """attempt: 1 for the first."""

    attempt: int


class DigitPressed(MemberEvent, frozen=True, kw_only=True):
    """A key of the telephone; those of a PIN are not told."""

    digit: str


class CommandRun(MemberEvent, frozen=True, kw_only=True):
    """What the digits meant; error: why it could not be done, or empty."""

    command: str
    error: str


class WebhookCalled(MemberEvent, frozen=True, kw_only=True):
    """It pressed the keys of `webhook`; text: as they say."""

    text: str


class MemberFlagChanged(MemberEvent, frozen=True, kw_only=True):
    flag: str
    on: bool


class TalkStarted(MemberEvent, frozen=True, kw_only=True):
    pass


class TalkStopped(MemberEvent, frozen=True, kw_only=True):
    pass


class KeyChanged(Event, frozen=True, kw_only=True):
    """A key of the conference's profile; value: as people write it."""

    key: str
    value: str


class FlagChanged(Event, frozen=True, kw_only=True):
    """A flag of the conference."""

    flag: str
    on: bool


class PlaybackStarted(Event, frozen=True, kw_only=True):
    """member: its UUID, or empty when the whole conference hears it."""

    member: str
    sound: str


class PlaybackEnded(Event, frozen=True, kw_only=True):
    """error: why it could not be played, or empty; stopped: before its end."""

    member: str
    sound: str
    stopped: bool
    error: str


class RecordingStarted(Event, frozen=True, kw_only=True):
    """by: the UUID of the member who wanted it, or empty."""

    file: str
    by: str


class RecordingPaused(Event, frozen=True, kw_only=True):
    """on: false when it goes on."""

    file: str
    on: bool


class RecordingEnded(Event, frozen=True, kw_only=True):
    """seconds: how long it is; lost: frames of 20 ms that the disk was too slow for; error: what ended it, or empty."""

    file: str
    seconds: float
    lost: int
    error: str


class InvitationEvent(Event, frozen=True, kw_only=True):
    """Somebody is called into the conference. invitation: its number; target: who is called; by: the UUID of the member
    who wanted it, `schedule NAME`, or empty.
    """

    invitation: int
    target: str
    by: str


class InvitationCalling(InvitationEvent, frozen=True, kw_only=True):
    """attempt: 1 for the first call."""

    attempt: int


class InvitationRinging(InvitationEvent, frozen=True, kw_only=True):
    pass


class InvitationEnded(InvitationEvent, frozen=True, kw_only=True):
    """result: answered, busy, no-answer, rejected, unreachable, not-confirmed, cancelled or refused; status: of the last
    answer, 0 without one; member: its UUID, when answered.
    """

    result: str
    status: int
    reason: str
    attempts: int
    seconds: float
    member: str
    call_id: str


class TrunkChanged(Event, frozen=True, kw_only=True):
    """Of the node, not of a conference. state: registered, waiting, refused, reachable …; error: why not, or empty."""

    trunk: str
    state: str
    reachable: bool | None
    error: str


class NodeChanged(Event, frozen=True, kw_only=True):
    """Of another node. state: joined or returned; left (it was stopped), silent (since 3 s) or restarted."""

    node: str
    state: str


class Error(Event, frozen=True, kw_only=True):
    """Something of the server does not work, while calls go on. part: what, like `history` or `sound`."""

    part: str
    error: str


class EventsLost(Event, frozen=True, kw_only=True):
    """In place of events that one reader was too slow for, or asked for too late. sequence: of the last of them."""

    count: int


def kinds(base: type[Event] = Event) -> dict[str, type[Event]]:
    """All kinds of events, by name."""
    found: dict[str, type[Event]] = {}
    for kind in base.__subclasses__():
        found |= kinds(kind) or {str(kind.__struct_config__.tag): kind}
    return found
