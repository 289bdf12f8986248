"""What it costs to know of other nodes: CPU for their statuses, opened and taken in, and for one's own."""

from __future__ import annotations

from collections.abc import Iterator

from bench.cpu import ROUNDS, median_of
from bench.simulated.town import CONFERENCE, SECRET, Node, Town
from bench.table import Figures, Row
from xconf.cluster.frame import Kind
from xconf.cluster.nodes import SOONEST
from xconf.cluster.status import Load, Part, Reporter
from xconf.cluster.tunnel import Send, Tunnel

NODES = 255  # others, which with this one are 256
TAKE, TELL = 0.02, 0.02  # of a core
MEMBERS = 4000
SOURCE = ("10.0.0.1", 65021)


def measure(quick: bool) -> Figures:
    take = _taking_in(4 if quick else 20)
    tell = _telling(100 if quick else 1000)
    calm, rush = take * NODES, take * NODES / SOONEST
    return Figures(
        [
            Row(
                f"statuses: to take in one a second of each of {NODES} other nodes",
                f"at most {TAKE:.0%} of a core",
                f"{calm:.2%}",
                calm <= TAKE,
                f"{take * 1e6:.1f} us a status, opened, parsed and counted; while thousands of calls a second come, each node tells "
                f"of itself {1 / SOONEST:.0f} times a second: {rush:.0%} of a core",
            ),
            Row(
                f"statuses: to tell of a conference with {MEMBERS} members {1 / SOONEST:.0f} times a second",
                f"at most {TELL:.0%} of a core",
                f"{tell / SOONEST:.2%}",
                tell / SOONEST <= TELL,
                f"{tell * 1e6:.0f} us a status, sealed; each peer of unicast is one more write",
            ),
        ]
    )


def _taking_in(each: int) -> float:
    """CPU seconds of one status of another node."""
    node = Town().start("here")
    node.join(MEMBERS)
    others = [Tunnel(f"n{number}", [SECRET], 1) for number in range(NODES)]
    for other in others:
        _meet(node, other)
    reporter = Reporter()
    batches = iter([list(_statuses(others, reporter, each)) for _ in range(ROUNDS)])

    def take() -> None:
        for datagram in next(batches):
            node.take(datagram, SOURCE)
        node.town.run(2 * SOONEST)  # what they told is looked at

    spent = median_of(take) / (each * NODES)
    if len(node.census.table.here()) != NODES:
        raise SystemExit("the nodes have not found each other")
    return spent


def _meet(node: Node, other: Tunnel) -> None:
    """Both ends prove themselves."""
    now = node.town.now
    for greeting in other.wake(now):
        node.take(greeting.datagram, SOURCE)
    for greeting in node.tunnel.wake(now):
        answers = [effect for effect in other.receive(greeting.datagram, SOURCE, now) if isinstance(effect, Send)]
        for answer in (*answers, *other.wake(now)):
            node.take(answer.datagram, SOURCE)


def _statuses(others: list[Tunnel], reporter: Reporter, each: int) -> Iterator[bytes]:
    """Each time all of them have something new to tell."""
    for number in range(each):
        (body,) = reporter.complete(Load(number), [Part(CONFERENCE, MEMBERS + number, 1)])
        for other in others:
            for effect in other.send(Kind.STATUS, body, 0.0):
                yield effect.datagram


def _telling(count: int) -> float:
    """CPU seconds of one status of this node."""
    node = Town().start("here")
    node.join(MEMBERS)

    def tell() -> None:
        for _ in range(count):
            node.census.tell()

    return median_of(tell) / count
