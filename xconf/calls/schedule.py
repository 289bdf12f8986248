"""Invitations at set times: who is called into which conference, and when."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from xconf.conference import events
from xconf.conference.commands import Command, Reply
from xconf.conference.interfaces import Clock, Timer
from xconf.conference.invitation import Inviter, Request, Row
from xconf.conference.show import table
from xconf.conference.stream import Stream
from xconf.conference.turns import Turns, TurnTaker

log = logging.getLogger(__name__)

WAKES = 30.0  # s between two looks at the time of day, which may be set meanwhile
LATE = 60.0  # s after which it is too late


@dataclass(frozen=True, slots=True)
class Times:
    """At that time of day, on those days of the week (0: Monday), or on that date alone; in that zone (None: the machine's)."""

    at: datetime.time
    days: frozenset[int] = frozenset(range(7))
    date: datetime.date | None = None
    zone: datetime.tzinfo | None = None

    def after(self, now: float) -> float | None:
        """The next such moment after `now` (both Unix time, s); None: there is none any more.

        Where clocks are put forward over it, it is as much later; of two when they are put back, the first counts.
        """
        today = datetime.datetime.fromtimestamp(now, self.zone).date()
        days = [self.date] if self.date else [today + datetime.timedelta(days=ahead) for ahead in range(9)]
        moments = (datetime.datetime.combine(day, self.at, self.zone).timestamp() for day in days if self._is_day(day))
        return next((moment for moment in moments if moment > now), None)

    def _is_day(self, day: datetime.date) -> bool:
        return self.date is not None or day.weekday() in self.days


@dataclass(frozen=True, slots=True)
class Planned:
    """Whom to call into which conference; `call` is how it was written."""

    conference: str
    call: str
    request: Request
    times: Times


class Schedule:
    """wall: the time of day (Unix time, s)."""

    def __init__(self, clock: Clock, wall: Callable[[], float], inviter: Inviter, stream: Stream) -> None:
        self._clock, self._wall = clock, wall
        self._inviter, self._stream = inviter, stream
        self._turns = TurnTaker(clock)
        self._planned: dict[str, Planned] = {}
        self._next: dict[str, float] = {}
        self._timer: Timer | None = None

    def adopt(self, planned: Mapping[str, Planned]) -> None:
        """What is planned from now on. What is as it was keeps its next time."""
        now = self._wall()
        kept = {name: self._next[name] for name in self._next if planned.get(name) == self._planned.get(name)}
        self._planned = dict(planned)
        upcoming = {name: kept.get(name) or each.times.after(now) for name, each in planned.items()}
        self._next = {name: moment for name, moment in upcoming.items() if moment is not None}
        self._sleep()

    def stop(self) -> None:
        self._planned, self._next = {}, {}
        self._sleep()

    def _sleep(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._next:
            left = min(self._next.values()) - self._wall()
            self._timer = self._clock.callLater(max(0.0, min(left, WAKES)), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._wall()
        for name, due in tuple(self._next.items()):
            upcoming = self._planned[name].times.after(max(now, due) if due <= now else now)
            if upcoming is None:
                del self._next[name]
            else:
                self._next[name] = upcoming
            if due <= now:
                self._due(name, now - due)
        self._sleep()

    def _due(self, name: str, late: float) -> None:
        planned = self._planned[name]
        if late > LATE:
            self._failed(name, f"its time was missed by {late:.0f} s; nobody is called")
            return
        log.info("schedule %s: calling %s into %s", name, planned.call, planned.conference)
        self._turns.take(
            self._inviter.invite(planned.conference, planned.request, f"schedule {name}"),
            lambda rows: None,
            lambda error: self._failed(name, str(error)),
        )

    def _failed(self, name: str, error: str) -> None:
        log.warning("schedule %s: %s", name, error)
        self._stream.publish(events.Error, conference="", part=f"schedule {name}", error=error)

    def rows(self) -> list[Row]:
        """What is planned, the next first."""
        order = sorted(self._planned, key=lambda name: self._next.get(name, float("inf")))
        return [self._row(name, self._planned[name]) for name in order]

    def _row(self, name: str, planned: Planned) -> Row:
        moment = self._next.get(name)
        told = (
            datetime.datetime.fromtimestamp(moment, planned.times.zone).astimezone(planned.times.zone)
            if moment
            else None
        )
        return {
            "name": name,
            "next": told.isoformat(timespec="minutes") if told else "over",
            "conference": planned.conference,
            "call": planned.call,
        }


def schedule_command(schedule: Schedule) -> Command:
    """The entry for the table of commands."""

    def planned(_: Any) -> Turns[Reply]:
        """Who is called at set times, and when next."""
        return (yield from table(schedule.rows(), "nobody is called at set times"))

    return Command("schedule", "node", None, planned, "anyone")
