"""The tick's clock: when does it say that the machine has no time left?"""

from __future__ import annotations

import pytest

from xconf.media import clock as clock_module
from xconf.media.clock import JUDGED, KEPT, PERIOD, TickClock


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
