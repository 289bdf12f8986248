"""Which calls are taken on."""

from __future__ import annotations

from xconf.calls.admission import HOSTS, Admission, Limits

ANN, BOB = "192.0.2.1", "192.0.2.2"


class Door:
    def __init__(self, **limits: float) -> None:
        self.late = False
        self.admission = Admission(Limits(**{"calls": 100, **limits}), lambda: self.late)  # type: ignore[arg-type]

    def call(self, host: str = ANN, now: float = 0.0, *, trunk: bool = False) -> str:
        why = self.admission.closed or self.admission.refusal(host, now, trunk=trunk)
        if why is None:
            self.admission.began(host)
        return why or "in"


def test_calls_at_once_are_limited_and_make_room_when_they_end() -> None:
    door = Door(calls=2)
    assert [door.call() for _ in range(2)] == ["in", "in"]
    assert "sip.limits.calls = 2" in door.call(BOB)
    door.admission.ended(ANN)
    assert door.call(BOB) == "in"


def test_one_host_cannot_take_all_the_room_but_a_trunk_may() -> None:
    door = Door(host_calls=3)
    assert [door.call() for _ in range(3)] == ["in"] * 3
    assert f"{ANN} has sip.limits.host_calls = 3" in door.call()
    assert door.call(BOB) == "in"
    assert [door.call(ANN, trunk=True) for _ in range(20)] == ["in"] * 20


def test_a_second_s_worth_of_calls_may_come_together() -> None:
    door = Door(rate=10)
    assert [door.call(now=5.0) for _ in range(10)] == ["in"] * 10
    assert "calls_per_second = 10" in door.call(now=5.0)
    assert door.call(now=5.15) == "in"
    assert "calls_per_second" in door.call(now=5.15)
    assert [door.call(now=60.0) for _ in range(11)].count("in") == 10


def test_a_host_that_calls_too_fast_is_held_up_and_others_are_not() -> None:
    door = Door(host_rate=0.5)
    assert door.call(now=1.0) == "in"
    assert "host_calls_per_second = 0.5" in door.call(now=2.0)
    assert door.call(BOB, now=2.0) == "in"
    assert door.call(now=4.1) == "in"


def test_no_call_is_taken_on_while_the_media_run_late() -> None:
    door = Door()
    door.late = True
    assert "run late" in door.call(trunk=True)
    door.late = False
    assert door.call() == "in"


def test_hosts_that_are_remembered_are_bounded() -> None:
    door = Door(calls=10 * HOSTS, host_rate=1)
    for number in range(HOSTS + 50):
        host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        door.call(host)
        door.admission.ended(host)
    assert len(door.admission._hosts) == HOSTS
    assert len(door.admission._by_host) == 0
