"""What the conferences of a node share, and who keeps them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from xconf.conference.elsewhere import Alone, Elsewhere
from xconf.conference.interfaces import Clock, Linker, Media
from xconf.conference.invitation import Inviter
from xconf.conference.library import Library
from xconf.conference.music import Music
from xconf.conference.recording import Recorder
from xconf.conference.stream import Stream
from xconf.conference.turns import Turns, TurnTaker

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.dispatch import Result


@dataclass(slots=True)
class House:
    """What all conferences of a node share."""

    clock: Clock
    media: Media
    library: Library
    music: Music
    events: Stream
    turns: TurnTaker
    inviter: Inviter | None = None  # where people can be called
    recorder: Recorder | None = None  # where there is a folder for recordings
    elsewhere: Elsewhere = field(default_factory=Alone)
    linker: Linker | None = None  # where other nodes have the same conferences


Steer = Callable[[Sequence[str]], "Turns[Result]"]
"""Runs a management command, given as words, on the nodes that it matters on."""


class Owner(Protocol):
    """Whoever keeps the conferences. posts: signals of members (the command `webhook`) reach a web server; steer: None: there are
    no other nodes.
    """

    posts: bool
    steer: Steer | None

    def ending(self, conference: Conference) -> None:
        """It takes no more members."""

    def closed(self, conference: Conference) -> None:
        """Nobody is left in it; nothing of it remains."""

    def find_or_create(self, name: str, profile: str) -> Conference:
        """The conference that somebody is about to join. Raises ConferenceError."""
