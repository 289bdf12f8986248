"""Management commands on keys, with the rights of who presses them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xconf.conference.commands import Argument, Command, Reply, Rights, Table, command
from xconf.conference.dispatch import find_member
from xconf.conference.errors import CommandError, near
from xconf.conference.member import Member
from xconf.conference.turns import Turns

OWN, MYSELF = "{conference}", "{member}"
_NONE = ("api", "exec")  # would only hide what is run


@dataclass(frozen=True, slots=True)
class Line:
    """A management command; conference, member: whom it is about, where it is."""

    command: Command
    argument: Any
    conference: str = ""
    member: str = ""

    @property
    def rights(self) -> Rights:
        rights = self.command.rights_for(self.argument)
        return "admin" if rights == "self" and self.member != MYSELF else rights


def _line(text: str, table: Table) -> Line:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise ValueError(f"{str(error).lower()}: {text}") from None
    line = _parsed(words, table)
    if line.rights == "operator":
        raise ValueError(f"'{line.command.name}' is a matter of the whole server, and not for keys")
    if table.api is not None and line.command.name not in table.api:
        raise ValueError(f"'{line.command.name}' is not among dtmf.api")
    return line


def _parsed(words: Sequence[str], table: Table) -> Line:
    first, *rest = words or [""]
    if first in table.node:
        found = table.node[first]
        return Line(found, found.parse(" ".join(rest), table))
    if not rest:
        raise ValueError(f"no command '{first}' for keys{near(first, table.node)}")
    if rest[0] != "member":
        found = _find(rest[0], table.conference)
        return Line(found, found.parse(" ".join(rest[1:]), table), first)
    if len(rest) < 3:
        raise ValueError(f"a member and a command are needed: {first} member {MYSELF} mute")
    found = _find(rest[2], {name: entry for name, entry in table.member.items() if name not in _NONE})
    return Line(found, found.parse(" ".join(rest[3:]), table), first, rest[1])


def _find(name: str, known: dict[str, Command]) -> Command:
    if name not in known:
        raise ValueError(f"no command '{name}'{near(name, known)}")
    return known[name]


@command(
    "api",
    argument=Argument(f"COMMAND, in which {OWN} and {MYSELF} are one's own", among=_line),
    rights=lambda line: line.rights,
)
def api(member: Member, line: Line) -> Turns[Reply]:
    """Runs a management command: what shows something, what touches oneself; an administrator what touches its conference."""
    member.require_in()
    if line.rights == "admin" and not member.settings.admin:
        raise CommandError("only administrators may do that")
    target: Any = member.conference.owner
    if line.conference:
        target = member.conference
        if line.conference not in (OWN, target.name):
            raise CommandError(f"{line.conference} is another conference")
    if line.member:
        target = member if line.member == MYSELF else (yield from find_member(target, line.member))
    return (yield from line.command.turns(target, line.argument))
