"""What this room is handed: a clock, and calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from xconf.conference.member import Member
    from xconf.media.leg import Leg
    from xconf.media.link import Link
    from xconf.media.mix import Mix


class Timer(Protocol):
    """A call that will be made (Twisted's IDelayedCall)."""

    def cancel(self) -> None: ...
    def active(self) -> bool: ...


class Clock(Protocol):
    """The time (Twisted's IReactorTime)."""

    def seconds(self) -> float: ...
    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any) -> Timer: ...


class Call(Protocol):
    """What a member needs of the SIP side. caller: display name and number, like `Ann <1001>`; member: what it is now, set
    when it becomes another one elsewhere.
    """

    member: Member | None

    @property
    def call_id(self) -> str: ...
    @property
    def caller(self) -> str: ...
    @property
    def leg(self) -> Leg: ...

    def hangup(self, reason: str) -> None:
        """End the call; also when it has ended already, which does nothing. May call `Member.leave`."""

    def refer(self, target: str, told: Callable[[str], None]) -> None:
        """Have the telephone call a SIP URI instead. told, once: why that failed, or empty when it is there."""


class Media(Protocol):
    """What makes the sound of conferences (media's Engine)."""

    def create_mix(self, rate: int, channels: int) -> Mix: ...


class Linker(Protocol):
    """Joins the sound of conferences with that of other nodes."""

    def __call__(self, name: str, rate: int, channels: int) -> Link: ...
