"""A cluster's day in virtual time: it starts, fills, loses a node, falls apart and heals, and all hang up."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from bench.simulated.town import NOTICED, Node, Town

STEP = 0.25  # s between two looks at all totals
PATIENCE = 10.0  # s after which nothing will come right any more


@dataclass(slots=True, frozen=True)
class Plan:
    """leaves: of the tree of relays; first: the share of the listeners that is there from the beginning; rate: calls a second of the
    others; speaking: nodes that send sound for a second.
    """

    nodes: int
    listeners: int
    mode: str
    leaves: int = 0
    first: float = 0.9
    rate: float = 5000.0
    speaking: int = 5

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
    mean; frames: of other nodes, fewest and most that a node heard of one that spoke for a second.
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
    frames: tuple[int, int] = (0, 0)

    @property
    def slowest(self) -> float:
        """Of all that is to be noticed."""
        return max(self.behind, self.crashed, self.returned, self.parted, self.healed, self.hung_up)


def tell(plan: Plan) -> Story:
    """Live through it. Raises SystemExit when totals do not come right at all."""
    town, story = Town(plan.mode, leaves=plan.leaves), Story()
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
    """They come to the nodes in turn."""
    nodes = list(town)
    history = deque([(town.now, town.members())])
    before = sum(node.host.came for node in nodes)
    come, steps = 0, round(plan.rush / STEP)
    for step in range(steps):
        until = round((step + 1) * STEP * plan.rate)
        for turn in range(10):
            upto = come + (until - come) * (turn + 1) // 10
            for call in range(come, upto):
                nodes[call % len(nodes)].join(1)
            come = upto
            town.run(STEP / 10)
        history.append((town.now, town.members()))
        story.behind = max(story.behind, *(_age(node, history) for node in nodes))
    story.rushed = (sum(node.host.came for node in nodes) - before) / len(nodes) / max(plan.rush, STEP)
    story.behind = max(story.behind, _right(town))
    calls = [node.calls for node in nodes]
    story.busiest = max(calls) * len(calls) / sum(calls)


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
