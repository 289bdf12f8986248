"""Values of a configuration that say when: times of day, dates, time zones; and who is called then."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass

from xconf.conference.invitation import Request

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class TimeOfDay:
    """09:00 or 18:30."""

    time: datetime.time

    @classmethod
    def parse(cls, text: str) -> TimeOfDay:
        match = _TIME.fullmatch(text)
        if not match:
            raise ValueError(f"'{text}' is not a time of day like '09:00' or '18:30', in quotes")
        return cls(datetime.time(int(match[1]), int(match[2])))


@dataclass(frozen=True, slots=True)
class Date:
    """2026-12-24."""

    date: datetime.date

    @classmethod
    def parse(cls, text: str) -> Date:
        try:
            return cls(datetime.date.fromisoformat(text))
        except ValueError:
            raise ValueError(f"'{text}' is not a date like '2026-12-24', in quotes") from None


@dataclass(frozen=True, slots=True)
class Zone:
    """Europe/Berlin, or UTC."""

    zone: datetime.tzinfo

    @classmethod
    def parse(cls, text: str) -> Zone:
        try:
            return cls(zoneinfo.ZoneInfo(text))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"no time zone '{text}'; they are like Europe/Berlin (package tzdata has them)") from None


@dataclass(frozen=True, slots=True)
class InviteWords:
    """What `invite` is told: `1001 @board pace=2`."""

    text: str
    request: Request

    @classmethod
    def parse(cls, text: str) -> InviteWords:
        return cls(text, Request.parse(text))
