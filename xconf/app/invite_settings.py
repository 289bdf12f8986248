"""What a configuration may say of calls that the server places: who may be called, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, field

from xconf.app.dialrules import MemberFlags
from xconf.app.moments import Date, InviteWords, TimeOfDay, Zone
from xconf.app.section import Name, Section
from xconf.app.values import CallerId, NumberPattern, Origin
from xconf.calls.outbound_list import Limits
from xconf.calls.outbound_rules import Allowed, Target
from xconf.calls.schedule import Planned, Times
from xconf.calls.trunk import TrunkError
from xconf.conference.errors import near
from xconf.conference.invitation import Result, Wishes

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Retried = Literal["busy", "no-answer", "unreachable", "rejected", "not-confirmed"]


class Appointment(Section, frozen=True):
    """People who are called into a conference at a set time."""

    conference: str
    call: InviteWords
    at: TimeOfDay
    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    date: Date | None = None
    timezone: Zone | None = None

    def __post_init__(self) -> None:
        if self.days and self.date:
            raise ValueError("has days and a date; leave one of them out")

    @property
    def planned(self) -> Planned:
        days = frozenset(DAYS.index(day) for day in self.days) if self.days else frozenset(range(7))
        date = self.date.date if self.date else None
        times = Times(self.at.time, days, date, self.timezone.zone if self.timezone else None)
        return Planned(self.conference, self.call.text, self.call.request, times)


class Invite(Section, frozen=True):
    """Calls that the server places. Nobody can be called who is not allowed here, or whom no trunk leads to."""

    allow: list[Origin] = []
    numbers: NumberPattern = NumberPattern.parse(r"\+?[0-9*#]{2,32}")
    lists: dict[str, list[str]] = {}
    rate: Annotated[float, Meta(ge=0.1, le=1000)] = 5.0
    at_once: Annotated[int, Meta(ge=1, le=10_000)] = 50
    pending: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    profile: str = "default"
    flags: MemberFlags = MemberFlags.parse("+speaker")
    caller_id: CallerId | None = None
    trunk: Name | None = None
    timeout: Annotated[int, Meta(ge=1, le=300)] = 45
    retries: Annotated[int, Meta(ge=0, le=20)] = 0
    pause: Annotated[int, Meta(ge=1, le=3600)] = 30
    retry_on: list[Retried] = field(default_factory=lambda: ["busy", "no-answer", "unreachable"])
    confirm: bool = False
    early: Literal["heard", "ignored"] = "ignored"
    late_offer: bool = False
    schedule: dict[str, Appointment] = {}

    def __post_init__(self) -> None:
        for name, appointment in self.schedule.items():
            for word in appointment.call.request.targets:
                if word.startswith("@") and word[1:] not in self.lists:
                    raise ValueError(
                        f"schedule.{name}: no list '{word[1:]}' in invite.lists{near(word[1:], self.lists)}"
                    )
        for name, targets in self.lists.items():
            for text in targets:
                try:
                    _ = Target.parse(text).uri
                except TrunkError as error:
                    raise ValueError(f"lists.{name}: {error}") from None

    @property
    def allowed(self) -> Allowed:
        networks = tuple(origin.network.network for origin in self.allow if origin.network)
        hosts = frozenset(origin.host.host.lower() for origin in self.allow if origin.host)
        return Allowed(networks, hosts, self.numbers.regex)

    @property
    def limits(self) -> Limits:
        return Limits(self.rate, self.at_once, self.pending)

    @property
    def usual(self) -> Wishes:
        return Wishes(
            profile=self.profile,
            flags=self.flags.flags,
            caller_id=self.caller_id.text if self.caller_id else "",
            trunk=self.trunk or "",
            timeout=self.timeout,
            retries=self.retries,
            pause=self.pause,
            retry_on=frozenset(map(Result, self.retry_on)),
            confirm=self.confirm,
            early=self.early == "heard",
            late_offer=self.late_offer,
        )
