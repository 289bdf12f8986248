"""The tick's clock: when does it say that the machine has no time left?"""

from __future__ import annotations

import pytest

from xconf.media import clock as clock_module
from xconf.media.clock import JUDGED, KEPT, MADE_UP, PERIOD, TickClock


def clock(late: list[float], busy: list[float]) -> TickClock:
    made = TickClock(None, lambda missed: None)  # type: ignore[arg-type]
    for at, (one, two) in enumerate(zip(late, busy, strict=True)):
        made.lateness[at % KEPT], made.busy[at % KEPT] = one, two
    made.ticks = len(late)
    return made


def test_a_quiet_machine_and_one_that_stalls_are_not_overloaded() -> None:
    assert not clock([0.0001] * 200, [0.001] * 200).overloaded
    assert not clock([0.0001] * 190 + [0.12] * 10, [0.001] * 200).overloaded
    assert not clock([0.1] * (JUDGED - 1), [0.1] * (JUDGED - 1)).overloaded


def test_ticks_that_come_late_or_take_all_their_time_for_a_second_are_too_much() -> None:
    assert clock([0.0001] * 150 + [0.012] * 50, [0.001] * 200).overloaded
    assert clock([0.0001] * 200, [0.001] * 150 + [0.9 * PERIOD] * 50).overloaded
    assert not clock([0.012] * 150 + [0.0001] * 50, [0.9 * PERIOD] * 150 + [0.001] * 50).overloaded
    assert clock([0.012] * (KEPT + 20), [0.001] * (KEPT + 20)).overloaded


def test_a_tick_before_which_others_were_missed_is_as_late_as_the_first_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, now = TickClock(None, lambda missed: None), 100.001  # type: ignore[arg-type]
    made._due = 100.0
    for expirations, passed in ((1, 0.02), (4, 0.08), (1, 0.02)):
        now += passed - 0.02
        monkeypatch.setattr(clock_module.os, "read", lambda *_, count=expirations: count.to_bytes(8, "little"))
        monkeypatch.setattr(clock_module.time, "monotonic", lambda now=now: now)
        made.doRead()
        now += 0.02
    assert made.lateness[:3].tolist() == pytest.approx([0.001, 0.061, 0.001], abs=1e-4)
    assert (made.ticks, made.missed) == (3, 3)


class Read:
    """A clock whose timer is read by a test. ran: for each tick, how many were missed before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, busy: float) -> None:
        self.ran: list[int] = []
        self.clock = TickClock(None, self.ran.append)  # type: ignore[arg-type]
        self.clock.ticks, self.clock._due = JUDGED, 100.0
        self.clock.busy[:JUDGED] = busy
        self._patch = monkeypatch

    def off(self, expirations: int, now: float) -> list[int]:
        """The timer went off so often until now."""
        self.ran.clear()
        self._patch.setattr(clock_module.os, "read", lambda *_: expirations.to_bytes(8, "little"))
        self._patch.setattr(clock_module.time, "monotonic", lambda: now)
        self.clock.doRead()
        return [*self.ran]


def test_a_tick_or_two_that_are_late_happen_all_the_same_one_right_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = Read(monkeypatch, 0.1 * PERIOD)
    assert read.off(2, 100.025) == [0, 0]
    assert read.off(3, 100.085) == [0, 0, 0]
    assert read.off(1, 100.101) == [0]
    assert (read.clock.missed, read.clock.made_up, read.clock.ticks) == (0, 3, JUDGED + 6)
    late = read.clock.lateness[JUDGED : JUDGED + 6]
    assert late.tolist() == pytest.approx([0.025, 0.005, 0.045, 0.025, 0.005, 0.001], abs=1e-4)


def test_of_many_ticks_that_are_late_the_last_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Read(monkeypatch, 0.1 * PERIOD)
    assert read.off(8, 100.143) == [8 - 1 - MADE_UP, 0, 0]
    assert (read.clock.missed, read.clock.made_up) == (5, 2)
    assert read.off(1, 100.161) == [0]
    assert read.clock.lateness[JUDGED + 3] == pytest.approx(0.001, abs=1e-4)


def test_a_machine_that_has_no_time_for_its_ticks_makes_up_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Read(monkeypatch, 0.5 * PERIOD)
    assert read.off(2, 100.025) == [1]
    assert (read.clock.missed, read.clock.made_up) == (1, 0)
