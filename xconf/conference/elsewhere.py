"""What other nodes have of a conference: told by whoever knows them (a cluster), shown here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Share:
    """What one other node has of a conference. age: seconds since it said so; open: those who are in it do not wait for an
    administrator (any more).
    """

    node: str
    members: int
    speakers: int
    age: float
    open: bool = False


class Elsewhere(Protocol):
    """The other nodes. When something of theirs changes, whoever knows it calls `Conference.elsewhere_changed`."""

    @property
    def node(self) -> str:
        """The name of this one."""

    def shares(self, conference: str) -> Sequence[Share]:
        """Of all nodes that have members in a conference, or had lately."""

    def members(self, conference: str) -> int:
        """On all of them."""

    def administered(self, conference: str) -> bool:
        """An administrator is in it on another node, or was on one that was lost sight of and may come back."""

    def begun(self, conference: str) -> None:
        """A conference was made here: it is to have the flags that it has on other nodes."""

    def flush(self) -> int:
        """Forgets what they said until they say it anew; how many nodes that were."""


class Alone:
    """There are no other nodes."""

    def __init__(self, node: str = "here") -> None:
        self.node = node

    def shares(self, conference: str) -> Sequence[Share]:
        return ()

    def members(self, conference: str) -> int:
        return sum(share.members for share in self.shares(conference))

    def administered(self, conference: str) -> bool:
        return False

    def begun(self, conference: str) -> None:
        """It is as its profile says."""

    def flush(self) -> int:
        return 0


class Others:
    """The other nodes, as one conference sees them. counted: whether its profile has them count at all."""

    def __init__(self, conference: str, elsewhere: Callable[[], Elsewhere], counted: Callable[[], bool]) -> None:
        self._conference = conference
        self._elsewhere = elsewhere
        self._counted = counted

    @property
    def node(self) -> str:
        """The name of this one."""
        return self._elsewhere().node

    @property
    def shares(self) -> Sequence[Share]:
        """What each has of the conference."""
        return self._elsewhere().shares(self._conference) if self._counted() else ()

    @property
    def members(self) -> int:
        """On all of them."""
        return self._elsewhere().members(self._conference) if self._counted() else 0

    @property
    def administered(self) -> bool:
        """An administrator is on one of them."""
        return self._counted() and self._elsewhere().administered(self._conference)
