"""The tick's clock: when does it say that the machine has no time left?"""

from __future__ import annotations

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
