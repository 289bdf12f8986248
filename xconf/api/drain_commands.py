"""The commands `drain` and `undrain`: a node that is to be stopped without hanging up on anybody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from xconf.conference.commands import Argument, Command
from xconf.conference.errors import CommandError
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.uri import URI

USAGE = "SECONDS] [to SIP-URI …"
LONGEST = 86_400  # s
MOST_TARGETS = 64


@dataclass(frozen=True, slots=True)
class Wanted:
    """seconds: after which the server stops all the same; targets: nodes that take the calls."""

    seconds: int | None = None
    targets: tuple[URI, ...] = ()


class Drain(Protocol):
    """What these commands need of the node."""

    @property
    def active(self) -> bool: ...
    @property
    def summary(self) -> str: ...
    def begin(self, seconds: float | None = None, targets: Sequence[URI] = ()) -> None: ...
    def end(self) -> None: ...


def parse_wanted(text: str) -> Wanted:
    """`600 to sip:192.0.2.11 sip:192.0.2.12:5070;transport=tcp`, each part of which may be missing. Raises ValueError."""
    words = text.split()
    seconds = None
    if words and words[0] != "to":
        word = words.pop(0)
        if not (word.isascii() and word.isdigit() and int(word) <= LONGEST):
            raise ValueError(f"'{word}' is not a number of seconds in 0..{LONGEST}")
        seconds = int(word)
    if not words:
        return Wanted(seconds)
    if words.pop(0) != "to" or not 1 <= len(words) <= MOST_TARGETS:
        raise ValueError(f"not understood: drain [{USAGE}]")
    return Wanted(seconds, tuple(map(node_uri, words)))


def node_uri(word: str) -> URI:
    """Where a node is reached: a SIP URI without a user. Raises ValueError."""
    try:
        uri = URI.parse(word)
    except RemoteProtocolError:
        uri = None
    if uri is None or not uri.is_sip or not uri.host or uri.user is not None or uri.headers:
        raise ValueError(f"'{word}' is not a node's SIP URI, without a number, like sip:192.0.2.11:5060")
    return uri


def drain_commands(node: Drain) -> list[Command]:
    """Entries for the table of commands."""

    def drain(_: object, wanted: Wanted | None) -> str:
        """Take no new calls, let those that are up end or move them to other nodes, then stop the server."""
        wanted = wanted or Wanted()
        node.begin(wanted.seconds, wanted.targets)
        return f"draining: {node.summary}; the server stops when none is left"

    def undrain(_: object) -> str:
        """Take new calls again."""
        if not node.active:
            raise CommandError("the node is not being drained")
        node.end()
        return "new calls are taken again"

    return [
        Command("drain", "node", Argument(USAGE, parse_wanted, optional=True), drain),
        Command("undrain", "node", None, undrain),
    ]
