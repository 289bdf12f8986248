"""The nodes as a list for kamailio's module dispatcher, which shares out calls among them.

A line of it: set, SIP URI, flags, priority, attributes. Of the flags, 8: it is asked by OPTIONS whether it is there; 1: it takes no
calls until it has answered that with 200. Calls are shared out by `rweight`, of which kamailio makes hundredths, rounded down, and
gives what is left over to the last node: so all weights together are 100 at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from xconf.cluster.status import Load

SET = 1
ASKED = 8
NO_CALLS = 1
HUNDRED = 100

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A node, whether it is heard, and what it said of itself last."""

    node: str
    here: bool
    load: Load

    @property
    def free(self) -> int:
        """Calls that it has room for."""
        return max(0, self.load.most_calls - self.load.calls) if self.here and not self.load.draining else 0

    @property
    def why(self) -> str:
        """In a few words, for who reads the list."""
        if not self.load.uri:
            return "no SIP URI (cluster.router)"
        if not self.here:
            return "silent"
        busy = f"{self.load.calls} of {self.load.most_calls} calls"
        return f"draining, {busy}" if self.load.draining else busy


def rows(places: Sequence[Place]) -> list[Row]:
    """What the list says of each node. A node that takes no calls is in it all the same: those that are up there go on."""
    weights = _weights([place.free if place.load.uri else -1 for place in places])
    return [
        {
            "set": SET,
            "node": place.node,
            "sip": place.load.uri,
            "flags": ASKED if place.free else ASKED | NO_CALLS,
            "weight": weight,
            "why": place.why,
        }
        for place, weight in zip(places, weights, strict=True)
    ]


def _weights(free: Sequence[int]) -> list[int]:
    """Hundredths by free capacity, at least one for each; where there are more nodes, none for those that have least. -1: none."""
    chosen = sorted((index for index, calls in enumerate(free) if calls >= 0), key=lambda index: -free[index])[:HUNDRED]
    weights = [0] * len(free)
    total, rest = sum(free[index] for index in chosen), HUNDRED - len(chosen)
    before = 0
    for index in chosen:
        after = before + free[index]
        weights[index] = 1 + (round(rest * after / total) - round(rest * before / total) if total else 0)
        before = after
    return weights


def text(listed: Sequence[Row], node: str, now: float) -> str:
    """The file, written by that node; now: Unix time (s)."""
    when = datetime.fromtimestamp(now, UTC).isoformat(" ", "seconds")
    return "\n".join([f"# kamailio's dispatcher list, written by node {node} at {when}", *_lines(listed)])


def _lines(listed: Sequence[Row]) -> Iterator[str]:
    for row in listed:
        yield f"# {row['node']}: {row['why']}"
        if row["sip"]:
            weight = f" rweight={row['weight']}" if row["weight"] else ""
            yield f"{row['set']} {row['sip']} {row['flags']} 0{weight}"
