"""No command keeps the tick waiting: what looks at many is done in short turns, which a count shows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from conference_world import World
from reactor_turns import TurnClock
from twisted.internet.defer import Deferred

from xconf.api import answers
from xconf.conference import dispatch, management, show
from xconf.conference.member import Member
from xconf.conference.turns import LOOKS, ROWS, TurnTaker, each, finish

MEMBERS = 1250


@pytest.fixture(scope="module")
def world() -> World:
    world = World()
    for number in range(MEMBERS):
        world.call(flags="", caller=f"Caller {number} <{20000 + number}>")
    return world


class Counted:
    """Counts calls of a function, by turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> None:
        self.turns = [0]
        function = getattr(module, name)

        def counted(*arguments: Any) -> Any:
            self.turns[-1] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, counted)


def answer(world: World, line: str, counts: list[Counted]) -> Any:
    """The answer to a request, in turns; the counts get an entry for each."""
    clock = TurnClock()
    request = json.dumps({"command": line}).encode()
    run: Callable[[Any], Any] = lambda command: dispatch.in_turns(world.node, command)  # noqa: E731
    answered = Deferred.fromCoroutine(answers.answer(request, run, TurnTaker(clock)))
    while not answered.called:
        for count in counts:
            count.turns.append(0)
        clock.turn()
    return json.loads(b"".join(answered.result.parts))


def test_a_long_table_is_made_a_hundred_rows_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Counted(monkeypatch, management, "member_row")
    cells = Counted(monkeypatch, show, "cell")
    octets = Counted(monkeypatch, answers, "octets")
    reply = answer(world, "3000 show members", [rows, cells, octets])
    assert len(reply["data"]) == MEMBERS
    assert reply["text"].count("\n") == MEMBERS
    assert sum(rows.turns) == MEMBERS
    assert max(rows.turns) == ROWS
    assert max(cells.turns) == ROWS * len(reply["data"][0])
    assert max(octets.turns) <= ROWS + 2
    columns = len(reply["data"][0])
    work = [made + cut / columns + said for made, cut, said in zip(rows.turns, cells.turns, octets.turns, strict=True)]
    assert max(work) <= 2 * ROWS, "where one kind of work ends the next begins; never more than that in a turn"


def test_a_member_is_looked_for_by_name_a_thousand_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names = Counted(monkeypatch, dispatch, "_names")
    reply = answer(world, "3000 member 20700 status", [names])
    assert reply["data"]["caller"] == "Caller 700 <20700>"
    assert names.turns == [LOOKS, MEMBERS - LOOKS]


def test_a_member_that_leaves_while_it_is_looked_for_is_not_found() -> None:
    world = World()
    first, *_ = [world.call(flags="", caller=f"Caller <{20000 + number}>") for number in range(LOOKS + 1)]
    turns = dispatch.in_turns(world.node, "3000 member 20000 status")
    next(turns)
    first.hang_up()
    with pytest.raises(StopIteration) as end:
        next(turns)
    assert end.value.value.text.startswith("no member '20000' in 3000")


def counting(upto: int, said: list[str], name: str) -> Iterator[None]:
    for number in range(upto):
        said.append(f"{name}{number}")
        yield


def test_work_of_many_clients_takes_one_turn_at_a_time() -> None:
    clock = TurnClock()
    said: list[str] = []
    taker = TurnTaker(clock)
    for name in ("a", "b"):
        taker.take(counting(2, said, name), lambda result, name=name: said.append(f"{name} done"), said.append)
    assert said == ["a0"]
    clock.turn()
    clock.turn()
    assert said == ["a0", "a1", "a done"]
    for _ in range(3):
        clock.turn()
    assert said == ["a0", "a1", "a done", "b0", "b1", "b done"]
    assert clock.getDelayedCalls() == []


def broken() -> Iterator[None]:
    yield
    raise RuntimeError("a bug")


def test_work_that_breaks_is_told_and_the_next_goes_on() -> None:
    clock = TurnClock()
    said: list[str] = []
    taker = TurnTaker(clock)
    taker.take(broken(), said.append, lambda error: said.append(str(error)))
    taker.take(counting(1, said, "a"), lambda result: said.append("done"), said.append)
    for _ in range(4):
        clock.turn()
    assert said == ["a bug", "a0", "done"]


def test_each_makes_all_in_order() -> None:
    assert finish(each(range(250), str)) == [str(number) for number in range(250)]
    turns = each(range(250), str)
    count = 0
    with suppress(StopIteration):
        while True:
            next(turns)
            count += 1
    assert count == 2


def test_a_flag_that_all_members_feel_is_set_for_some_at_a_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conference = world.node.named("3000")
    looked_at: list[int] = []
    monkeypatch.setattr(Member, "adopt", lambda self, before: looked_at.append(1))
    world.did("3000 flags -vad")
    assert len(looked_at) <= LOOKS // 4 < len(conference.members), "the others are looked at in later turns"
    assert conference.flags == ["transcoding", "status-xchg", "alone-snd", "cng"], "but it is so for all, and shown"
    world.wait(1)
    assert len(looked_at) == len(conference.members)
    world.did("3000 flags -alone-snd")
    assert len(looked_at) == len(conference.members), "what no member has is set without a look at them"
