"""A cluster's day in virtual time: it starts, fills, loses a node, falls apart and heals, and all hang up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bench.simulated.town import NOTICED, REDIRECTED, Node, Town

DOORS = 4  # every so many-th node is called
TURNS = 10  # in which the calls of a step come
STEP = 0.25  # s between two looks at all totals
PATIENCE = 10.0  # s after which nothing will come right any more


@dataclass(slots=True, frozen=True)
class Plan:
    """leaves: of the tree of relays; first: the share of the listeners that is there from the beginning; rate: calls a second of the
    others, who call every fourth node, where the router sends them on; room: calls that a node takes, over its share of the
    listeners; speaking: nodes that send sound for a second.
    """

    nodes: int
    listeners: int
    mode: str
    leaves: int = 0
    first: float = 0.9
    rate: float = 5000.0
    room: float = 1.2
    speaking: int = 5

    @property
    def most(self) -> int:
        """Calls that a node takes."""
        return round(self.listeners / self.nodes * self.room)

    @property
    def rush(self) -> float:
        """s that the others take to come."""
        return self.listeners * (1 - self.first) / self.rate


@dataclass(slots=True)
class Story:
    """Seconds until all totals on all nodes were right. started: after all nodes started at once; crashed: after one of them was
    gone; returned: after it came back; parted, healed: after they lost and found sight of each other; hung_up: after half of all
    hung up at once. behind: how old a total was at most, while calls came by the thousand.

    sent, came: datagrams of a node in a second in which all is quiet; busiest: the greatest number of calls of a node, over the
    mean; refused: callers for whom no room was found; frames: fewest and most that a node heard of another one that spoke for a
    second.
    """

    started: float = 0.0
    behind: float = 0.0
    crashed: float = 0.0
    returned: float = 0.0
    parted: float = 0.0
    healed: float = 0.0
    hung_up: float = 0.0
    sent: float = 0.0
    came: float = 0.0
    rushed: float = 0.0
    busiest: float = 0.0
    refused: int = 0
    frames: tuple[int, int] = (0, 0)

    @property
    def slowest(self) -> float:
        """Of all that is to be noticed."""
        return max(self.behind, self.crashed, self.returned, self.parted, self.healed, self.hung_up)


def tell(plan: Plan) -> Story:
    """Live through it. Raises SystemExit when totals do not come right at all."""
    town, story = Town(plan.mode, leaves=plan.leaves, most=plan.most), Story()
    each = round(plan.listeners * plan.first) // plan.nodes
    for number in range(plan.nodes):
        town.start(f"n{number}").join(each)
    story.started = _right(town)
    town.run(1.0)
    story.sent, story.came = _datagrams(town)
    story.frames = _sound(town, plan.speaking)
    _fill(town, plan, story)
    _lose_one(town, story)
    _fall_apart(town, plan, story)
    _hang_up(town, story)
    return story


def _right(town: Town) -> float:
    took = town.until_right(PATIENCE)
    if took is None:
        raise SystemExit(f"after {PATIENCE:.0f} s, {len(town.wrong())} nodes still have another total than there is")
    return took


def _datagrams(town: Town) -> tuple[float, float]:
    """That a node sends and takes in a second."""
    hosts = [node.host for node in town]
    before = sum(host.sent for host in hosts), sum(host.came for host in hosts)
    town.run(1.0)
    sent, came = sum(host.sent for host in hosts) - before[0], sum(host.came for host in hosts) - before[1]
    return sent / len(hosts), came / len(hosts)


def _sound(town: Town, speaking: int) -> tuple[int, int]:
    speakers = list(town)[:speaking]
    for node in speakers:
        node.join(0, 1)
        node.speak()
    town.run(1.0 - STEP)
    for node in speakers:
        node.speaking = False
    town.run(STEP)
    counts = [node.heard.get(speaker.name, 0) for node in town for speaker in speakers if node is not speaker]
    return min(counts), max(counts)


# Calls come


def _fill(town: Town, plan: Plan, story: Story) -> None:
    nodes = list(town)
    doors = nodes[::DOORS]
    history = deque([(town.now, town.members())])
    before = sum(node.host.came for node in nodes)
    count, turns = 0, round(plan.rush / STEP) * TURNS
    for turn in range(1, turns + 1):
        for number in range(count, round(turn * STEP / TURNS * plan.rate)):
            doors[number % len(doors)].call(number)
            count += 1
        town.run(STEP / TURNS)
        if turn % TURNS == 0:
            history.append((town.now, town.members()))
            story.behind = max(story.behind, *(_age(node, history) for node in nodes))
    story.rushed = (sum(node.host.came for node in nodes) - before) / len(nodes) / max(plan.rush, STEP)
    town.run(REDIRECTED[1])
    story.behind = max(story.behind, _right(town))
    calls = [node.calls for node in nodes]
    story.busiest, story.refused = max(calls) * len(calls) / sum(calls), town.refused


def _age(node: Node, history: deque[tuple[float, int]]) -> float:
    """How long ago there were no more members than this node knows of."""
    total = node.total()
    now = history[-1][0]
    return now - max((at for at, members in history if members <= total), default=-PATIENCE)


# Things go wrong


def _lose_one(town: Town, story: Story) -> None:
    lost = list(town)[len(town.nodes) // 2]
    town.crash(lost.name)
    story.crashed = _right(town)
    town.start(lost.name).join(lost.members)
    story.returned = _right(town)


def _fall_apart(town: Town, plan: Plan, story: Story) -> None:
    names = list(town.nodes)
    town.part(town.branch(1) if plan.mode == "relay" and plan.leaves else names[: len(names) // 4])
    story.parted = _right(town)
    town.run(NOTICED)
    town.heal()
    story.healed = _right(town)


def _hang_up(town: Town, story: Story) -> None:
    for node in town:
        node.join(-(node.members // 2))
    story.hung_up = _right(town)
