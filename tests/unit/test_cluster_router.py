"""Which node takes a call: situations, and what holds in all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.cluster.ledger import ARRIVES, KEPT, Ledger
from xconf.cluster.nodes import Node, NodeTable
from xconf.cluster.router import Caller, Choice, Router
from xconf.cluster.status import Load, Part, Reporter, Takes

NOW = 1000.0


def load(calls: int = 0, **more: object) -> Load:
    return replace(Load(calls, 100, uri="sip:192.0.2.1"), **more)  # type: ignore[arg-type]


def listener(call: str = "1@phone") -> Caller:
    return Caller("3000", False, call)


def speaker(call: str = "1@phone", conference: str = "3000") -> Caller:
    return Caller(conference, True, call)


class View:
    """What node `own` knows of the others. speakers: of conference 3000."""

    def __init__(self, own: str, loads: dict[str, Load], speakers: dict[str, int] | None = None) -> None:
        self.own, self.load = own, loads[own]
        self.speakers = (speakers or {}).get(own, 0)
        self.table = NodeTable()
        self.router = Router(own, self.table)
        self.reporters = {name: Reporter() for name in loads if name != own}
        for name in self.reporters:
            self.table.appeared(name, 1, NOW)
            self.told(name, loads[name], (speakers or {}).get(name, 0))

    def told(self, name: str, load: Load, speakers: int = 0, at: float = NOW) -> None:
        """Another node's status comes."""
        parts = [Part("3000", speakers, speakers)] if speakers else []
        for body in self.reporters[name].complete(load, parts):
            self.table.received(name, body, at)

    def choose(self, caller: Caller, now: float = NOW, *, closed: bool = False) -> Choice | None:
        return self.router.choose(caller, self.load, self.speakers, now, closed=closed)

    def chosen(self, caller: Caller, now: float = NOW) -> str:
        choice = self.choose(caller, now)
        return choice.node if choice else ""


A_LITTLE, MUCH = load(3), load(60)

# what node a sees; who calls; which node takes the call, and why
SITUATIONS = [
    ({"a": load(50), "b": load(50)}, listener(), "a", "kept"),
    ({"a": A_LITTLE, "b": load(0)}, listener(), "a", "kept"),  # not for so little
    ({"a": MUCH, "b": A_LITTLE}, listener(), "b", "room"),
    ({"a": A_LITTLE, "b": MUCH}, listener(), "a", "kept"),
    ({"a": replace(MUCH, most_calls=1000), "b": load(50)}, listener(), "a", "kept"),  # 6 % and 50 %
    ({"a": MUCH, "b": replace(A_LITTLE, draining=True)}, listener(), "a", "kept"),
    ({"a": MUCH, "b": replace(A_LITTLE, late=12.0)}, listener(), "a", "kept"),
    ({"a": MUCH, "b": replace(A_LITTLE, uri="")}, listener(), "a", "kept"),
    ({"a": MUCH, "b": replace(A_LITTLE, takes=Takes.SPEAKERS)}, listener(), "a", "kept"),
    ({"a": MUCH, "b": replace(A_LITTLE, takes=Takes(0))}, listener(), "a", "kept"),
    ({"a": MUCH, "b": replace(A_LITTLE, region="us")}, listener(), "a", "kept"),
    ({"a": load(100), "b": replace(A_LITTLE, region="us")}, listener(), "b", "full"),
    ({"a": load(100), "b": replace(A_LITTLE, region="us"), "c": MUCH}, listener(), "c", "full"),
    ({"a": load(100), "b": load(99)}, listener(), "b", "full"),
    ({"a": load(draining=True), "b": MUCH}, listener(), "b", "draining"),
    ({"a": load(late=12.0), "b": MUCH}, listener(), "b", "late"),
    ({"a": load(late=12.0), "b": load(99, draining=True)}, listener(), "a", "kept"),
    ({"a": load(50, cpu=100.0), "b": load(50)}, listener(), "b", "room"),
    ({"a": load(50, late=9.0), "b": load(50)}, listener(), "b", "room"),
    ({"a": load(takes=Takes.SPEAKERS), "b": MUCH}, listener(), "b", "takes"),
    ({"a": load(takes=Takes.SPEAKERS), "b": load(100)}, listener(), "a", "alone"),  # better than nowhere
    ({"a": load(takes=Takes.LISTENERS), "b": MUCH}, speaker(), "b", "takes"),
    ({"a": load(100), "b": load(100)}, listener(), "", "none"),
    ({"a": load(100), "b": load(draining=True)}, speaker(), "", "none"),
    ({"a": load(100), "b": replace(A_LITTLE, takes=Takes.LISTENERS)}, speaker(), "", "none"),
]


@pytest.mark.parametrize(("loads", "caller", "node", "kind"), SITUATIONS)
def test_a_call_goes_to_the_right_node(loads: dict[str, Load], caller: Caller, node: str, kind: str) -> None:
    view = View("a", loads)
    assert view.chosen(caller) == node
    assert view.router.counters == {kind: 1}


@pytest.mark.parametrize(
    ("speakers", "loads", "node"),
    [
        ({"a": 2, "b": 3}, {}, "b"),
        ({"a": 3, "b": 2, "c": 1}, {}, "a"),
        ({"b": 3, "c": 1}, {"b": load(100)}, "c"),
        ({"b": 3, "c": 1}, {"b": load(draining=True)}, "c"),
        ({"b": 3}, {"b": load(94), "a": load(), "c": load()}, "b"),  # together, however full
        ({"b": 3}, {"b": load(region="us")}, "b"),  # and wherever
    ],
)
def test_speakers_go_where_most_speakers_are(speakers: dict[str, int], loads: dict[str, Load], node: str) -> None:
    loads = {name: load(50) for name in "abc"} | loads
    view = View("a", loads, speakers)
    assert view.chosen(speaker()) == node


def test_where_others_speak_is_of_no_matter_to_listeners() -> None:
    assert View("a", {"a": load(50), "b": load(50)}, {"b": 10}).chosen(listener()) == "a"


def test_the_first_speakers_of_conferences_are_spread_over_nodes_as_those_have_room() -> None:
    loads = {"a": load(), "b": load(), "c": load(most_calls=200)}
    homes = Counter(View("a", loads).chosen(speaker(conference=f"3{number}")) for number in range(400))
    assert homes["c"] == pytest.approx(200, abs=40)
    assert homes["a"] == pytest.approx(100, abs=35)


def test_a_node_without_a_word_for_long_is_no_place_to_send_calls_to() -> None:
    view = View("a", {"a": MUCH, "b": load(), "c": load(40)})
    view.told("c", load(40), at=NOW + 1.0)
    assert {view.chosen(listener(f"{number}@phone"), NOW + 1.7) for number in range(10)} == {"c"}
    for effect in view.table.wake(NOW + 3.9):
        assert effect
    assert view.chosen(listener(), NOW + 3.9) == "a"


def test_a_node_that_takes_no_calls_for_reasons_of_its_own_sends_them_on() -> None:
    view = View("a", {"a": load(), "b": MUCH})
    choice = view.choose(listener(), closed=True)
    assert choice == Choice("b", "sip:192.0.2.1", "full") and choice.why == "this node is full"


def test_what_was_sent_and_is_not_shown_yet_counts() -> None:
    view = View("a", {"a": load(50), "b": load(30)})
    sent = [view.chosen(listener(f"{number}@phone")) for number in range(40)]
    assert sent == ["b"] * 15 + ["a"] * 25  # until b has only 5 more than a
    view.told("b", load(45), at=NOW + 0.1)  # which does not say whether it is those
    assert view.chosen(listener(), NOW + 0.1) == "a"
    view.told("b", load(45), at=NOW + 1.0)
    view.load = load(60)
    assert view.chosen(listener(), NOW + 1.0) == "b"


def test_nobody_is_sent_to_the_last_place_of_a_node_twice() -> None:
    view = View("a", {"a": load(100), "b": load(98)})
    assert [view.chosen(listener(f"{number}@phone")) for number in range(4)] == ["b", "b", "", ""]


def test_calls_on_their_way_are_forgotten_in_time_and_are_never_many() -> None:
    ledger = Ledger()
    for number in range(20_000):
        ledger.note("b", NOW + number / 100_000)
    assert ledger.count("b", NOW, NOW + 0.3) == 10_000
    assert ledger.count("b", NOW + 0.4 + ARRIVES, NOW + 1.0) == 0  # it has told of them
    assert ledger.count("c", NOW, NOW) == 0
    ledger.note("b", NOW + 1)
    assert ledger.count("b", NOW, NOW + 1) == 1
    assert ledger.count("b", NOW, NOW + 1 + KEPT) == 0  # they never came
    for number in range(100):
        ledger.note(f"n{number}", NOW + 10 + 3 * number)
    assert len(ledger) <= 2


def test_the_same_call_goes_to_the_same_node_when_it_is_asked_for_again() -> None:
    loads = {name: load(10 * index) for index, name in enumerate("zbcde")}
    loads["a"] = load(90)
    first = View("a", loads).chosen(listener("x"))
    assert {View("a", loads).chosen(listener("x")) for _ in range(5)} == {first}


def test_who_listens_is_sent_to_nodes_as_these_have_room() -> None:
    loads = {"a": load(95), "b": load(80), "c": load(20)}
    where = Counter(View("a", loads).chosen(listener(f"{number}@x")) for number in range(500))
    assert where["c"] == pytest.approx(400, abs=40) and where["a"] == 0


class Watched(NodeTable):
    """Counts how often somebody looks at a node."""

    looked = 0

    def get(self, name: str) -> Node | None:
        self.looked += 1
        return super().get(name)

    def here(self) -> list[Node]:
        raise AssertionError("looks at all")


class Many:
    """A node among so many others of which it knows."""

    def __init__(self, others: int, calls: int = 50, most: int = 100) -> None:
        self.table = Watched()
        self.router = Router("a", self.table)
        self.reporters = {f"n{number}": Reporter() for number in range(others)}
        for name in self.reporters:
            self.table.appeared(name, 1, NOW)
            self.told(name, load(calls, most_calls=most))
        self.router.choose(listener(), load(), 0, NOW)  # all are new to it
        self.table.looked = 0

    def told(self, name: str, load: Load, speakers: int = 0) -> None:
        (body,) = self.reporters[name].complete(load, [Part("3000", 10, speakers)])
        self.table.received(name, body, NOW)

    def ask(self, caller: Caller, calls: int, speakers: int = 0) -> str:
        choice = self.router.choose(caller, load(calls), speakers, NOW)
        return choice.node if choice else ""


@pytest.mark.parametrize("others", [7, 255])
@pytest.mark.parametrize(
    ("calls", "speaks", "elsewhere"), [(0, False, False), (90, False, True), (100, False, True), (10, True, True)]
)
def test_however_many_nodes_there_are_few_are_looked_at_for_a_call(
    others: int, calls: int, speaks: bool, elsewhere: bool
) -> None:
    """Kept here; sent where there is more room; sent because this node is full; sent to the conference's speakers."""
    many = Many(others, most=100_000)
    for name in list(many.reporters)[:3]:
        many.told(name, load(50, most_calls=100_000), speakers=2)
    many.ask(listener(), calls)
    many.table.looked = 0
    for number in range(100):
        node = many.ask(Caller("3000", speaks, f"{number}@phone"), calls)
        assert (node != "a") == elsewhere
    assert many.table.looked <= 100 * 4, "three that are drawn, and the one that the last call was sent to"


def test_what_a_node_tells_is_looked_at_once() -> None:
    many = Many(255)
    for _ in range(10):
        for name in many.reporters:
            many.told(name, load(40))
    many.ask(listener(), 0)
    assert many.table.looked <= 255 + 3
    many.ask(listener(), 0)
    assert many.table.looked <= 255 + 6


def test_nodes_that_are_silent_are_looked_at_once_more() -> None:
    many = Many(255)
    later = NOW + 2.0
    choices = [many.router.choose(listener(f"{number}@x"), load(90), 0, later) for number in range(500)]
    assert {choice.node for choice in choices if choice} == {"a"}
    assert many.table.looked <= 255 + 500 * 3


def test_full_nodes_are_not_looked_at_again_and_again() -> None:
    many = Many(255, calls=100)
    many.table.looked = 0
    assert {many.ask(listener(f"{number}@phone"), 100) for number in range(50)} == {""}
    assert {many.ask(speaker(f"{number}@phone"), 100) for number in range(50)} == {""}
    assert many.table.looked == 0


def test_a_node_that_did_not_take_a_call_takes_the_next_one() -> None:
    view = View("a", {"a": load(90), "b": load(10), "c": load(20)})
    first = view.router.choose(listener(), view.load, 0, NOW, without={"b", "c", "elsewhere"})
    assert first is not None and first.node == "a"
    assert {view.chosen(listener(f"{number}@phone")) for number in range(20)} == {"b", "c"}


def test_a_node_that_is_gone_is_forgotten_and_comes_back() -> None:
    view = View("a", {"a": load(90), "b": load(10), "c": load(80)})
    assert view.chosen(listener()) == "b"
    for body in view.reporters["b"].complete(load(), [], leaving=True):
        view.table.received("b", body, NOW)
    assert {view.chosen(listener(f"{number}@phone")) for number in range(4)} == {"c"}
    view.table.appeared("b", 2, NOW)
    view.reporters["b"] = Reporter()
    view.told("b", load(0))
    assert "b" in {view.chosen(listener(f"{number}@phone")) for number in range(20)}


LOADS = st.builds(
    lambda calls, late, cpu, draining, reached, region, takes: Load(
        calls, 10, late, cpu, 0, draining, "sip:x" if reached else "", region, Takes(takes)
    ),
    st.integers(0, 10), st.sampled_from([0.0, 3.0, 9.0, 11.0]), st.sampled_from([10.0, 80.0, 160.0]), st.booleans(),
    st.booleans(), st.sampled_from(["", "eu"]), st.integers(0, 3),
)  # fmt: skip
CALLERS = st.builds(Caller, st.just("3000"), st.booleans(), st.text("0123456789", max_size=4))


@given(
    st.dictionaries(st.sampled_from("bcdefgh"), LOADS),
    LOADS,
    CALLERS,
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5)),
)
def test_nobody_is_sent_where_there_is_no_room_and_nobody_is_refused_where_there_is(
    others: dict[str, Load], own: Load, caller: Caller, speakers: dict[str, int]
) -> None:
    view = View("a", {"a": own} | others, speakers)
    choice = view.choose(caller)
    wanted = Takes.SPEAKERS if caller.speaks else Takes.LISTENERS
    good = {
        name for name, one in others.items()
        if one.uri and not one.draining and one.calls < one.most_calls and wanted in one.takes
    }  # fmt: skip
    here = not own.draining and own.calls < own.most_calls
    if choice is None:
        assert not good and not here
    elif choice.node == "a":
        assert here and choice.uri == ""
    else:
        assert choice.node in good and choice.uri == "sip:x"
        punctual = {name for name in good if others[name].late < 10}
        assert choice.node in punctual or (not punctual and not (here and own.late < 10 and wanted in own.takes))
    if choice is not None and choice.kind == "room":
        assert others[choice.node].region == own.region


@given(
    st.dictionaries(st.sampled_from("abcdefgh"), st.tuples(st.integers(0, 9), st.booleans()), min_size=2),
    st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 3)),
    st.text(max_size=8),
)
def test_speakers_of_a_conference_come_together_from_wherever_they_call(
    nodes: dict[str, tuple[int, bool]], speakers: dict[str, int], call: str
) -> None:
    """Also at the same time: each view is asked before any other knows."""
    loads = {name: Load(calls, 10, draining=draining, uri="sip:x") for name, (calls, draining) in nodes.items()}
    speakers = {name: count for name, count in speakers.items() if name in nodes}
    assert len({View(own, loads, speakers).chosen(speaker(call)) for own in nodes}) == 1
