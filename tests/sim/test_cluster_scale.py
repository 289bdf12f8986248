"""Many nodes with many listeners, in virtual time: their totals, whatever happens to them.

The tunnels, statuses and relays are the real ones; listeners are numbers.
"""

from __future__ import annotations

import pytest

from bench.cluster import SPREAD
from bench.simulated.story import Plan, tell
from bench.simulated.town import NOTICED, Town
from xconf.cluster.nodes import SOONEST

EACH = 4000
STARTED = 4.0  # s in which nodes that start all at once have found each other


def town(mode: str, count: int, each: int = EACH) -> Town:
    made = Town(mode, leaves=4)
    for number in range(count):
        made.start(f"n{number}").join(each)
    assert made.until_right(STARTED) is not None
    return made


@pytest.mark.parametrize("mode", ["multicast", "unicast", "relay"])
def test_a_node_that_dies_with_its_4000_listeners_is_noticed_within_three_seconds(mode):
    nodes = town(mode, 25)
    assert {node.total() for node in nodes} == {100_000}
    nodes.crash("n7")
    nodes.run(NOTICED)
    assert {node.total() for node in nodes} == {96_000}
    nodes.start("n7").join(EACH)
    assert nodes.until_right(NOTICED) is not None
    assert {node.total() for node in nodes} == {100_000}


@pytest.mark.parametrize("mode", ["unicast", "relay"])
def test_a_partition_heals(mode):
    nodes = town(mode, 20)
    aside = [f"n{number}" for number in range(20) if number % 4 == 0]
    # Of a tree of relays, a branch with all its nodes.
    nodes.part(nodes.branch(1) if mode == "relay" else aside)
    nodes.run(NOTICED)
    assert not nodes.wrong()
    assert sorted({node.total() for node in nodes}) == [20_000, 60_000]
    nodes.heal()
    assert nodes.until_right(NOTICED) is not None
    assert {node.total() for node in nodes} == {80_000}


def test_nodes_that_start_all_at_once_tell_of_themselves_no_more_often_than_ever():
    nodes = Town("multicast")
    for number in range(30):
        nodes.start(f"n{number}").join(EACH)
    nodes.run(2.0)
    told = [other.statuses for node in nodes for other in node.census.table]
    assert not nodes.wrong()
    assert max(told) <= 2.0 / SOONEST


def lived_through(plan: Plan) -> None:
    """All that may happen to them, and totals are right on all nodes within 3 s."""
    story = tell(plan)
    assert story.slowest <= NOTICED
    assert story.behind <= 0.5, "of calls that come by the thousand each second"
    assert story.started <= STARTED
    assert story.busiest <= SPREAD and not story.refused, "though all came to every fourth node"
    assert story.frames[0] == story.frames[1] > 0, "all nodes hear each one that speaks, each frame once"


@pytest.mark.parametrize("mode", ["multicast", "unicast", "relay"])
def test_100000_listeners_on_20_nodes_live_through_a_day(mode):
    lived_through(Plan(20, 100_000, mode, leaves=4))


@pytest.mark.long
@pytest.mark.parametrize(("nodes", "mode"), [(50, "unicast"), (256, "relay")])
def test_200000_listeners_on_many_nodes_live_through_a_day(nodes, mode):
    lived_through(Plan(nodes, 200_000, mode, leaves=16))
