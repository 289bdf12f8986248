"""Thousands call a cluster within seconds, and each node sends them where it thinks best, by what it knows of the others."""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace

import pytest
from nodes_world import NodesWorld

from xconf.cluster.nodes import SOONEST
from xconf.cluster.router import Caller, Router
from xconf.cluster.status import Load, Part, Takes
from xconf.media.clock import JUDGED, PERIOD

NODES = tuple("abcdefgh")


@dataclass
class Crowd:
    """world: nodes that tell of themselves once a second. refused: callers whom nobody took; prompt: they also tell what has
    changed, 0.1 s after each other, as real nodes do. strength: calls beyond which a node's ticks run late, a second after which
    it is overloaded.
    """

    world: NodesWorld
    prompt: bool = False
    refused: int = 0
    sent: int = 0
    strength: dict[str, int] = field(default_factory=dict)
    most: int = 0  # of calls on a node, in shares of a thousandth of what it takes

    def __post_init__(self) -> None:
        self.routers = {name: Router(name, station.table) for name, station in self.world.stations.items()}
        self.where: dict[str, Counter[str]] = {}
        self._flying: list[tuple[float, int, str, Caller]] = []
        self._number = 0
        self._late: dict[str, float] = {}  # since when ticks are

    def arrive(self, count: int, seconds: float, at: tuple[str, ...] = NODES, speaks: bool = False) -> None:
        """They call the nodes `at` in turns, evenly spread over that time."""
        start = self.world.now
        for index in range(count):
            self._number += 1
            self._until(start + seconds * index / count)
            if self.prompt and index % max(1, round(count / seconds * SOONEST)) == 0:
                for station in self.world.stations.values():
                    station.tell(station.reporter.changes(station.load, station.parts.values()))
            conference = f"3{self._number % 5}" if speaks else "30"
            self._invite(at[index % len(at)], Caller(conference, speaks, f"{self._number}@phone"))
        self._until(start + seconds + 1)

    def _until(self, now: float) -> None:
        while self._flying and self._flying[0][0] <= now:
            at, _, node, caller = heapq.heappop(self._flying)
            self.world.run(at - self.world.now)
            self._take(node, caller)
        self.world.run(now - self.world.now)
        for name, since in self._late.items():
            if now - since > JUDGED * PERIOD:
                self.world.stations[name].load = replace(self.world.stations[name].load, takes=Takes(0))

    def _invite(self, node: str, caller: Caller) -> None:
        station = self.world.stations[node]
        part = station.parts.get(caller.conference)
        choice = self.routers[node].choose(caller, station.load, part.speakers if part else 0, self.world.now)
        if choice is None:
            self.refused += 1
        elif choice.node == node:
            self._take(node, caller)
        else:
            self.sent += 1
            way = self.world.random.uniform(0.02, 0.4)
            heapq.heappush(self._flying, (self.world.now + way, self._number, choice.node, caller))

    def _take(self, node: str, caller: Caller) -> None:
        """It has come to stay; a node that has no room refuses it, and does not send it on."""
        station = self.world.stations[node]
        load = station.load
        if load.draining or not load.takes or load.calls >= load.most_calls:
            self.refused += 1
            return
        station.load = replace(load, calls=load.calls + 1, cpu=100 * (load.calls + 1) / load.most_calls)
        if load.calls >= self.strength.get(node, load.most_calls):
            self._late.setdefault(node, self.world.now)
        before = station.parts.get(caller.conference, Part(caller.conference, 0, 0))
        speakers = before.speakers + caller.speaks
        station.parts[caller.conference] = replace(before, members=before.members + 1, speakers=speakers)
        self.where.setdefault(caller.conference, Counter())[node] += 1
        self.most = max(self.most, round(1000 * (load.calls + 1) / load.most_calls))

    @property
    def calls(self) -> list[int]:
        return [station.load.calls for station in self.world.stations.values()]


@pytest.fixture
def crowd() -> Crowd:
    world = NodesWorld(*NODES)
    for name, station in world.stations.items():
        station.load = Load(most_calls=1000, uri=f"sip:{name}")
    world.run(2)
    return Crowd(world)


def test_who_comes_evenly_stays_where_he_came_to(crowd: Crowd) -> None:
    crowd.prompt = True
    crowd.arrive(6000, 6)
    assert crowd.sent == crowd.refused == 0


@pytest.mark.parametrize(("prompt", "apart"), [(True, 70), (False, 150)])
@pytest.mark.parametrize("doors", [("a",), ("a", "b", "c")])
def test_who_comes_to_few_nodes_is_spread_over_all(
    crowd: Crowd, doors: tuple[str, ...], prompt: bool, apart: int
) -> None:
    crowd.prompt = prompt
    crowd.arrive(6000, 6, doors)
    print(crowd.calls, crowd.sent)
    assert crowd.refused == 0
    assert max(crowd.calls) - min(crowd.calls) < apart  # of 1000 that each takes


def test_all_places_are_taken_before_anybody_is_refused(crowd: Crowd) -> None:
    crowd.arrive(8000, 8, ("a", "b"))
    print(crowd.calls, crowd.refused)
    assert crowd.most <= 1000
    assert crowd.refused <= 80  # 1 %, where eight nodes are full within a second
    crowd.arrive(500, 2)
    assert min(crowd.calls) == 1000


def test_an_empty_node_among_full_ones_is_filled_and_not_overrun(crowd: Crowd) -> None:
    for name in NODES[:7]:
        station = crowd.world.stations[name]
        station.load = replace(station.load, calls=700, cpu=70.0)
    crowd.world.run(1.5)
    crowd.arrive(1000, 1)  # all nodes send there, and none hears of it for a second
    print(crowd.calls, crowd.sent)
    assert crowd.refused == 0
    assert 300 < crowd.calls[7] <= 950


def test_small_nodes_get_few_and_large_ones_many(crowd: Crowd) -> None:
    for name, most in zip(NODES, (100, 200, 400, 800, 1600, 3200, 100, 100), strict=True):
        crowd.world.stations[name].load = Load(most_calls=most, uri=f"sip:{name}")
    crowd.world.run(1.5)
    crowd.arrive(4500, 5)
    shares = [station.load.calls / station.load.most_calls for station in crowd.world.stations.values()]
    print([round(s, 2) for s in shares])
    assert crowd.refused == 0
    assert max(shares) - min(shares) < 0.25


def test_a_node_that_is_drained_gets_no_more_and_its_callers_go_elsewhere(crowd: Crowd) -> None:
    crowd.arrive(800, 1)
    station = crowd.world.stations["c"]
    before = station.load.calls
    station.load = replace(station.load, draining=True)
    crowd.world.run(1.1)
    crowd.arrive(4000, 4)
    assert crowd.refused == 0 and station.load.calls == before


def test_an_overloaded_node_gets_no_more_though_all_call_it(crowd: Crowd) -> None:
    crowd.arrive(800, 1)
    station = crowd.world.stations["c"]
    before = station.load.calls
    station.load = replace(station.load, takes=Takes(0))
    crowd.world.run(1.1)
    crowd.arrive(4000, 4, ("c",))
    crowd.arrive(200, 1, speaks=True)
    assert crowd.refused == 0 and station.load.calls == before


@pytest.mark.parametrize("doors", [NODES, ("a", "c")])
def test_of_thousands_a_machine_that_is_weaker_than_thought_gets_what_comes_until_it_is_known(
    crowd: Crowd, doors: tuple[str, ...]
) -> None:
    """Two of eight nodes have time for 200 calls, not for 1000; 800 calls a second come."""
    crowd.prompt = True
    crowd.strength = {"c": 200, "f": 200}
    crowd.arrive(4800, 6, doors)
    print(crowd.calls, crowd.refused)
    weak = [crowd.world.stations[name].load.calls for name in crowd.strength]
    assert max(weak) <= 200 + 2 * 1.8 * 100, "those that come to one of eight in 1.8 s, and as many again by chance"
    assert crowd.refused <= 48  # 1 %: who was on his way when it said so


def test_speakers_of_five_conferences_who_come_to_all_nodes_at_once_are_on_one_node_each(crowd: Crowd) -> None:
    crowd.arrive(250, 0.2, speaks=True)
    assert len(crowd.where) == 5
    assert all(len(nodes) == 1 and sum(nodes.values()) == 50 for nodes in crowd.where.values())


def test_calls_that_are_up_are_as_many_as_before_when_nobody_hears_of_anybody(crowd: Crowd) -> None:
    """Without a word of the others all callers stay."""
    for station in crowd.world.stations.values():
        station.listening = False
    crowd.world.run(4)
    crowd.arrive(800, 1)
    assert crowd.sent == crowd.refused == 0
