"""Nodes come, leave, crash, come back and lose sight of each other; the totals of all follow."""

from __future__ import annotations

import time

import pytest
from nodes_world import NodesWorld

from xconf.cluster.nodes import DOUBT, Came, Changed, Went
from xconf.cluster.status import Load, Part, Reporter, State


def test_a_node_that_comes_is_there_and_its_members_count():
    world = NodesWorld("a", "b")
    world.stations["a"].has("3000", 2)
    world.run(1.1)
    late = world.start("c")
    late.has("3000", 5, 1)
    world.run(0.01)
    assert world.stations["a"].members("3000") == 7
    world.run(1.1)
    assert [station.members("3000") for station in world.stations.values()] == [7, 7, 7]


def test_a_change_is_told_at_once():
    world = NodesWorld("a", "b")
    world.run(1.5)
    world.stations["a"].has("3000", 1)
    world.run(0.002)
    assert world.stations["b"].members("3000") == 1
    world.stations["a"].has("3000", 0)
    world.run(0.002)
    assert world.stations["b"].members("3000") == 0


def test_a_node_that_leaves_is_gone_at_once():
    world = NodesWorld("a", "b")
    world.stations["b"].has("3000", 4)
    world.run(1.1)
    world.stations["b"].leave()
    world.run(0.01)
    assert world.stations["a"].noted(Went)[0][1] == Went("b", "left")
    assert world.stations["a"].members("3000") == 0


@pytest.mark.parametrize("seed", range(5))
def test_a_crash_is_noticed_within_three_seconds(seed):
    world = NodesWorld("a", "b", "c", seed=seed)
    world.stations["b"].has("3000", 4)
    world.run(5 + seed * 0.17)
    world.crash("b")
    crashed = world.now
    world.run(3.0)
    for station in world.stations.values():
        (at, went), *_ = station.noted(Went)
        assert went == Went("b", "silent")
        assert at - crashed <= 3.0
        assert station.members("3000") == 0
        assert station.table.get("b").losses == 1


def test_a_restarted_node_is_taken_and_what_its_former_run_said_is_forgotten():
    world = NodesWorld("a", "b")
    world.stations["b"].has("3000", 4)
    world.run(1.1)
    world.crash("b")
    world.start("b").has("4000", 1)
    world.run(0.01)
    a = world.stations["a"]
    assert (a.members("3000"), a.members("4000")) == (0, 1)
    assert [effect for _, effect in a.noted(Went)] == [Went("b", "restarted")]
    assert a.noted(Came)[-1][1] == Came("b", True)


def test_nodes_that_lose_sight_of_each_other_correct_their_totals_and_find_back():
    world = NodesWorld("a", "b", "c", "d")
    for members, station in enumerate(world.stations.values(), 1):
        station.has("3000", members)
    world.run(2)
    world.parted = {"a", "b"}
    world.run(3)
    assert [station.members("3000") for station in world.stations.values()] == [3, 3, 7, 7]
    world.parted = set()
    world.run(1.1)
    assert [station.members("3000") for station in world.stations.values()] == [10] * 4


def test_two_seconds_of_silence_are_not_noticed():
    world = NodesWorld("a", "b")
    world.stations["b"].has("3000", 4)
    world.run(3)
    world.parted = {"b"}
    world.run(1.7)
    world.parted = set()
    world.run(5)
    assert not world.stations["a"].noted(Went)


def test_with_losses_delay_and_reordering_the_totals_are_right_in_the_end():
    world = NodesWorld("a", "b", "c", loss=0.2, delay=(0.001, 0.3))
    b = world.stations["b"]
    for turn in range(60):
        b.has(f"30{turn % 7:02}", turn % 5)
        if turn % 11 == 0:
            b.parts.pop("3003", None)
        world.run(0.05)
    world.loss = 0.0
    world.run(2.5)
    for name in ("a", "c"):
        shares = {conference: world.stations[name].members(conference) for conference in b.parts}
        assert shares == {conference: part.members for conference, part in b.parts.items()}
        assert set(world.stations[name].table.conferences) == set(b.parts)


def test_a_thousand_conferences_go_in_several_datagrams_and_one_that_ends_is_forgotten():
    world = NodesWorld("a", "b")
    b = world.stations["b"]
    b.parts = {name: Part(name, 3, 1) for name in (f"conference {number}" for number in range(1000))}
    world.run(1.1)
    assert len(list(world.stations["a"].table.conferences)) == 1000
    assert world.stations["a"].table.get("b").members == 3000
    del b.parts["conference 77"]
    world.run(1.1)
    assert world.stations["a"].members("conference 77") == 0
    assert len(list(world.stations["a"].table.conferences)) == 999


def test_a_conference_that_ends_is_told_at_once():
    world = NodesWorld("a", "b")
    b = world.stations["b"]
    b.has("3000", 3)
    world.run(1.1)
    b.has("3000", 0, state=State.OVER)
    del b.parts["3000"]
    world.run(0.01)
    assert not list(world.stations["a"].table.conferences)


def test_an_administrator_on_a_node_that_falls_silent_may_come_back():
    world = NodesWorld("a", "b")
    world.stations["b"].has("3000", 1, state=State.ADMIN)
    world.run(1.1)
    a = world.stations["a"]
    world.crash("b")
    world.run(3)
    assert a.members("3000") == 0
    assert a.table.administered("3000", world.now)
    world.run(DOUBT)
    assert not a.table.administered("3000", world.now)
    assert a.noted(Changed)[-1][1] == Changed(frozenset({"3000"}))


def test_an_administrator_on_a_node_that_stops_has_left():
    world = NodesWorld("a", "b")
    world.stations["b"].has("3000", 1, state=State.ADMIN)
    world.run(1.1)
    world.stations["b"].leave()
    world.run(0.01)
    assert not world.stations["a"].table.administered("3000", world.now)


def test_how_busy_a_node_is():
    world = NodesWorld("a", "b")
    world.stations["b"].load = Load(417, 1000, 2.7, 48.5, 3, draining=True)
    world.run(1.1)
    assert world.stations["a"].table.get("b").load == Load(417, 1000, 2.7, 48.5, 3, draining=True)


def test_256_nodes_and_what_they_cost(capsys):
    """Of 256 nodes with 800 listeners each, four keep a table; one in ten crashes, and the totals are right again."""
    names = [f"node-{number}" for number in range(256)]
    world = NodesWorld(loss=0.02, delay=(0.001, 0.03))
    for name in names:
        world.start(name)
        world.stations[name].listening = name in names[:4]
        world.stations[name].has("3000", 800, 2)
    world.run(1.5)
    watchers = [world.stations[name] for name in names[:4]]
    assert {station.members("3000") for station in watchers} == {204_800}
    for name in names[10::10]:
        world.crash(name)
    world.run(3.0)
    gone = len(names[10::10])
    assert {station.members("3000") for station in watchers} == {800 * (256 - gone)}
    assert {len(station.table.here()) for station in watchers} == {255 - gone}
    body = Reporter().complete(Load(), [Part("3000", 800, 2)])[0]
    began = time.process_time()
    for _ in range(1000):
        watchers[0].table.received("node-1", body, world.now)
    each = (time.process_time() - began) * 1000
    with capsys.disabled():
        print(f" [{each:.0f} us and {len(body)} octets for each node and second] ", end="")
    assert len(body) < 100
