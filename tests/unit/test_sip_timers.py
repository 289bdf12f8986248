"""The heap of timers: order, cancelling, and that nothing piles up."""

from __future__ import annotations

from xconf.sip.timers import Timers


def test_timers_fire_in_order_and_once() -> None:
    timers, fired = Timers(), []
    for name, when in (("c", 3.0), ("a", 1.0), ("b", 2.0), ("a2", 1.0)):
        timers.at(when, lambda now, name: fired.append((now, name)), name)
    assert (len(timers), timers.next_wake()) == (4, 1.0)
    timers.wake(2.5)
    assert fired == [(2.5, "a"), (2.5, "a2"), (2.5, "b")]
    timers.wake(2.5)
    timers.wake(9.0)
    assert fired[3:] == [(9.0, "c")]
    assert (len(timers), timers.next_wake()) == (0, None)


def test_a_cancelled_timer_does_not_fire_and_does_not_wake() -> None:
    timers, fired = Timers(), []
    first = timers.at(1.0, fired.append)
    timers.at(2.0, fired.append)
    first.cancel()
    first.cancel()
    assert (len(timers), timers.next_wake()) == (1, 2.0)
    timers.wake(5.0)
    assert fired == [5.0]


def test_a_timer_may_set_and_cancel_others() -> None:
    timers, fired = Timers(), []
    other = timers.at(1.0, lambda now: fired.append("other"))

    def first(now: float) -> None:
        other.cancel()
        timers.at(now, lambda now: fired.append("now"))
        timers.at(now + 1, lambda now: fired.append("later"))

    timers.at(0.5, first)
    timers.wake(1.0)
    assert fired == ["now"]
    assert (len(timers), timers.next_wake()) == (1, 2.0)


def test_cancelled_timers_do_not_pile_up() -> None:
    timers = Timers()
    keep = [timers.at(10.0 + number, lambda now: None) for number in range(100)]
    for number in range(50_000):
        timers.at(1000.0 + number, lambda now: None).cancel()
    assert len(timers) == len(keep)
    assert len(timers._heap) < 3000
    fired = []
    timers.at(5.0, fired.append)
    timers.wake(5.0)
    assert fired == [5.0]
