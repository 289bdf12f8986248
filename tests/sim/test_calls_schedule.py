"""Invitations at set times: by days and dates, over changes of the clocks, and over times that were slept through."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date as Date
from datetime import datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from twisted.internet.task import Clock

from xconf.calls.schedule import WAKES, Planned, Schedule, Times
from xconf.conference import events
from xconf.conference.errors import CommandError
from xconf.conference.invitation import Request
from xconf.conference.stream import Stream

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY, THURSDAY = 0, 3


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


class World:
    """ahead: how far the time of day is ahead of the clock, which nobody sets."""

    def __init__(self, now: str) -> None:
        self.clock = Clock()
        self.ahead = moment(now)
        self.called: list[tuple[str, str, tuple[str, ...], str]] = []
        self.error = ""
        self.stream = Stream(self.wall)
        self.told: list[events.Event] = []
        self.stream.subscribe(self.told.append)
        self.schedule = Schedule(self.clock, self.wall, self, self.stream)  # type: ignore[arg-type]

    def wall(self) -> float:
        return self.ahead + self.clock.seconds()

    def invite(self, conference: str, request: Request, by: str) -> Iterator[None]:
        if self.error:
            raise CommandError(self.error)
        yield None
        now = datetime.fromtimestamp(self.wall(), BERLIN).strftime("%a %H:%M:%S")
        self.called.append((now, conference, request.targets, by))

    def plan(self, **planned: Times) -> None:
        self.schedule.adopt({name: plan(times) for name, times in planned.items()})

    def run(self, hours: float) -> list[str]:
        """Whom it calls in that time, and when."""
        before = len(self.called)
        for _ in range(round(hours * 3600 / 20)):
            self.clock.advance(20)
        return [f"{now} {by.removeprefix('schedule ')}" for now, _, _, by in self.called[before:]]


def plan(times: Times, call: str = "1001 @board pace=2") -> Planned:
    return Planned("3000", call, Request.parse(call), times)


def test_people_are_called_at_their_time_and_then_at_the_next() -> None:
    world = World("2026-11-23 08:00")  # a Monday
    world.plan(board=Times(time(9), frozenset((MONDAY, THURSDAY)), zone=BERLIN), daily=Times(time(18, 30), zone=BERLIN))
    assert [row["name"] for row in world.schedule.rows()] == ["board", "daily"]
    assert world.schedule.rows()[0]["next"] == "2026-11-23T09:00+01:00"
    heard = world.run(4 * 24)
    assert [entry[:9] + entry[12:] for entry in heard] == [
        "Mon 09:00 board",
        "Mon 18:30 daily",
        "Tue 18:30 daily",
        "Wed 18:30 daily",
        "Thu 09:00 board",
        "Thu 18:30 daily",
    ]
    assert world.called[0][1:3] == ("3000", ("1001", "@board"))
    assert all(int(entry[10:12]) <= 20 for entry in heard)
    world.schedule.stop()
    assert world.clock.getDelayedCalls() == []


def test_a_date_comes_once() -> None:
    world = World("2026-12-23 12:00")
    world.plan(
        eve=Times(time(18), date=Date(2026, 12, 24), zone=BERLIN),
        past=Times(time(9), date=Date(2026, 1, 1), zone=BERLIN),
    )
    assert len(world.run(72)) == 1
    assert {row["name"]: row["next"] for row in world.schedule.rows()} == {"eve": "over", "past": "over"}
    assert world.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("now", "at", "expected"),
    [
        ("2027-03-27 12:00", time(2, 30), ["Sun 03:30:00"]),  # there is no 02:30 on that Sunday
        ("2026-10-24 12:00", time(2, 30), ["Sun 02:30:00"]),  # there are two
        ("2027-03-27 12:00", time(9), ["Sun 09:00:00"]),
    ],
)
def test_clocks_that_are_put_forward_and_back(now: str, at: time, expected: list[str]) -> None:
    world = World(now)
    world.plan(one=Times(at, zone=BERLIN))
    assert [entry[:12] for entry in world.run(23)] == expected


def test_a_time_that_was_slept_through_is_told_and_not_made_up_for() -> None:
    world = World("2026-11-23 08:59")
    world.plan(board=Times(time(9), zone=BERLIN))
    world.ahead += 7200  # the machine slept, or its clock was set
    assert world.run(1) == []
    (told,) = [event for event in world.told if isinstance(event, events.Error)]
    assert (told.part, told.error.startswith("its time was missed by ")) == ("schedule board", True)
    assert len(world.run(24)) == 1


def test_a_clock_that_is_set_back_calls_nobody_twice_within_the_hour() -> None:
    world = World("2026-11-23 08:59")
    world.plan(board=Times(time(9), zone=BERLIN))
    assert len(world.run(0.1)) == 1
    world.ahead -= 180
    assert world.run(1) == []


def test_what_cannot_be_done_is_told_and_the_next_time_comes() -> None:
    world = World("2026-11-23 08:59")
    world.error = "no trunk leads there"
    world.plan(board=Times(time(9), zone=BERLIN))
    world.run(1)
    assert [event.error for event in world.told if isinstance(event, events.Error)] == ["no trunk leads there"]
    world.error = ""
    assert len(world.run(24)) == 1


def test_another_plan_takes_the_place_of_the_one_before() -> None:
    world = World("2026-11-23 08:00")
    world.plan(board=Times(time(9), zone=BERLIN))
    world.plan(board=Times(time(10), zone=BERLIN))
    assert [entry[:9] for entry in world.run(4)] == ["Mon 10:00"]
    world.schedule.adopt({})
    assert world.run(48) == []


def test_it_looks_at_the_clock_twice_a_minute() -> None:
    world = World("2026-11-23 01:00")
    world.plan(board=Times(time(9), zone=BERLIN))
    (timer,) = world.clock.getDelayedCalls()
    assert timer.getTime() <= WAKES


@pytest.mark.parametrize("keys", [{"a": Times(time(9)), "b": Times(time(9))}])
def test_the_zone_of_the_machine_is_the_usual_one(keys: Mapping[str, Any]) -> None:
    world = World("2026-11-23 01:00")
    world.plan(**keys)
    due = [datetime.fromisoformat(row["next"]) for row in world.schedule.rows()]
    assert {each.astimezone().hour for each in due} == {9}
