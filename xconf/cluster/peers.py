"""The other nodes as the tunnel sees them: who has proved to be there now, and what was dropped, and from where."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

WIDTH = 1024  # datagrams by which one may come late and still be taken
STRANGERS = 100
MOST_SOURCES = 4096
SOURCES = 32  # addresses that are named in the minute's line
_MASK = (1 << WIDTH) - 1

Address = tuple[str, int]


class Window:
    """Which sequence numbers of an epoch came; those up to `start` count as come."""

    __slots__ = ("_highest", "_seen")

    def __init__(self, start: int) -> None:
        self._highest = start
        self._seen = _MASK

    def fresh(self, sequence: int) -> bool:
        """It did not come yet, and is not too old to tell."""
        age = self._highest - sequence
        return age < 0 or (age < WIDTH and not self._seen >> age & 1)

    def add(self, sequence: int) -> None:
        ahead = sequence - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & _MASK if ahead < WIDTH else 1
            self._highest = sequence
        else:
            self._seen |= 1 << -ahead


@dataclass(slots=True, eq=False)
class Peer:
    """A node that has been heard in this epoch of its, and has proved that it hears us.

    name: its node name; keys: of the secrets that it accepts; last: `now` of its last datagram; source: where that came from.
    """

    name: str
    epoch: int
    window: Window
    last: float
    source: Address
    keys: frozenset[int] = frozenset()
    received: int = 0


class Gate:
    """Bounds the work for datagrams from addresses that no node is known to send from: so many in each tenth of a second."""

    def __init__(self, known: Iterable[Address] = ()) -> None:
        self._known = OrderedDict.fromkeys(known)
        self._began = 0.0
        self._left = STRANGERS

    def passes(self, source: Address, now: float) -> bool:
        if source in self._known:
            return True
        if not 0 <= now - self._began < 0.1:
            self._began, self._left = now, STRANGERS
        self._left -= 1
        return self._left >= 0

    def know(self, source: Address) -> None:
        """A node sends from there."""
        self._known[source] = None
        self._known.move_to_end(source)
        if len(self._known) > MOST_SOURCES:
            self._known.popitem(last=False)


@dataclass(slots=True)
class Drops:
    """Datagrams that were dropped. total: by reason, since the start."""

    total: Counter[str] = field(default_factory=Counter)
    _lately: Counter[tuple[str, str]] = field(default_factory=Counter)

    def count(self, reason: str, host: str) -> None:
        self.total[reason] += 1
        if (reason, host) not in self._lately and len(self._lately) >= SOURCES:
            host = "elsewhere"
        self._lately[reason, host] += 1

    def line(self) -> str:
        """What was dropped since this was asked last, and from where; empty: nothing."""
        lately, self._lately = self._lately, Counter()
        return ", ".join(f"{count} {reason} from {host}" for (reason, host), count in lately.most_common())
