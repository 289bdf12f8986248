"""What other nodes have of a conference: told by whoever knows them (a cluster), shown here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Share:
    """What one other node has of a conference. age: seconds since it said so."""

    node: str
    members: int
    speakers: int
    age: float


class Elsewhere(Protocol):
    """The other nodes. When something of theirs changes, whoever knows it calls `Conference.settle`."""

    @property
    def node(self) -> str:
        """The name of this one."""

    def shares(self, conference: str) -> Sequence[Share]:
        """Of all nodes that have members in a conference, or had lately."""

    def flush(self) -> int:
        """Forgets what they said until they say it anew; how many nodes that were."""


class Alone:
    """There are no other nodes."""

    def __init__(self, node: str = "here") -> None:
        self.node = node

    def shares(self, conference: str) -> Sequence[Share]:
        return ()

    def flush(self) -> int:
        return 0
