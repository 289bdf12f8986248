"""What a user agent gives back: packets to send, and what has happened to its sessions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from xconf.sip.flow import Flow, Place

if TYPE_CHECKING:
    from xconf.sip.message import Request, Response
    from xconf.sip.session import Session
    from xconf.sip.uri import URI


class Cause(Enum):
    """What ended a session."""

    BYE = "bye"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    NO_ACK = "no_ack"
    TRANSPORT = "transport"
    SESSION_TIMER = "session_timer"
    TIMEOUT = "timeout"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Transmit:
    """Send data on the flow. reconnect: where to connect when the flow's connection is gone, or None to give up then."""

    flow: Flow
    data: bytes
    reconnect: Place | None = None


class Outbox:
    """What waits to be drained. `wanted` is called when there is something, after there was nothing."""

    __slots__ = ("_items", "wanted")

    def __init__(self) -> None:
        self._items: list[Transmit | Event] = []
        self.wanted: Callable[[], None] | None = None

    def append(self, item: Transmit | Event) -> None:
        self._items.append(item)
        if len(self._items) == 1 and self.wanted is not None:
            self.wanted()

    def drain(self) -> list[Transmit | Event]:
        drained, self._items = self._items, []
        return drained


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened to a session."""

    session: Session


@dataclass(frozen=True, slots=True)
class Invited(Event):
    """A new call, whose request is sound: ring, accept, refuse or challenge it."""

    request: Request


@dataclass(frozen=True, slots=True)
class Offered(Event):
    """The peer wants to change the session; accept or refuse. offer_sdp None: it asks for our offer.

    request is a re-INVITE, UPDATE or PRACK, or the 2xx Response with the offer to an INVITE that had none.
    """

    offer_sdp: bytes | None
    request: Request | Response


@dataclass(frozen=True, slots=True)
class AnswerArrived(Event):
    """The answer to our offer."""

    sdp: bytes


@dataclass(frozen=True, slots=True)
class ChangeRefused(Event):
    """Our re-INVITE or UPDATE was refused; the session is as it was before."""

    status: int
    reason: str


@dataclass(frozen=True, slots=True)
class Progress(Event):
    """A provisional answer to our call, with the early media's description if there is one."""

    status: int
    sdp: bytes | None


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """Our call was answered. An answer to our offer came as AnswerArrived before it."""

    response: Response


@dataclass(frozen=True, slots=True)
class Confirmed(Event):
    """The caller has acknowledged our answer. An answer to our offer came as AnswerArrived before it."""


@dataclass(frozen=True, slots=True)
class InfoReceived(Event):
    """An INFO in the dialog; it has been answered."""

    request: Request


@dataclass(frozen=True, slots=True)
class Referred(Event):
    """The peer asks us to call somebody (RFC 3515); accept or refuse by `session.referrals`."""

    request: Request
    target: URI


@dataclass(frozen=True, slots=True)
class ReferralNews(Event):
    """What becomes of a REFER of ours: its refusal, or the status of the call that the peer makes. over: the last news."""

    status: int
    reason: str
    over: bool


@dataclass(frozen=True, slots=True)
class Ended(Event):
    """The session is over and nothing of it is left. by: "local" or "remote".

    response: the refusal of our call; request: the peer's BYE.
    """

    cause: Cause
    by: str
    response: Response | None = None
    request: Request | None = None
