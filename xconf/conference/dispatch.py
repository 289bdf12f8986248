"""Management commands as they are typed: `list`, `3000 show members`, `3000 member ann flags +mute`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xconf.conference import invite_commands, management
from xconf.conference.commands import Command, Feed, Reply, Table, commands_of, load_folder
from xconf.conference.errors import CommandError, near
from xconf.conference.later import Later
from xconf.conference.member import Member, Stage
from xconf.conference.turns import LOOKS, Turns, each, finish

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.registry import Conferences

_CALLER = re.compile(r"(?P<name>.*?)\s*<(?P<number>[^<>]*)>")


@dataclass(frozen=True, slots=True)
class Result:
    """What a command gave: text for people, data for programs; not ok: the text is one line that says what was wrong."""

    text: str
    data: Any = None
    ok: bool = True
    feed: Feed | None = None
    later: Later | None = None  # what it says when that which it began is over


def load_table(folders: Iterable[Path]) -> Table:
    """The management commands, and those of the folders. Raises CommandsError."""
    table = Table([*commands_of(management), *commands_of(invite_commands)])
    for folder in folders:
        table.add(load_folder(folder))
    return table


def dispatch(node: Conferences, line: str | Sequence[str]) -> Result:
    """Run one command, given as typed or as words, at once. For those that look at all members of a conference it may
    take too long: see `in_turns`.
    """
    return finish(in_turns(node, line))


def in_turns(node: Conferences, line: str | Sequence[str]) -> Turns[Result]:
    """The same, without keeping anybody waiting (see turns.py)."""
    try:
        reply = yield from _run(node, _words(line))
    except CommandError as error:
        return Result(str(error), ok=False)
    return Result(reply.text, reply.data, feed=reply.feed, later=reply.later)


def final(outcome: Reply | CommandError) -> Result:
    """What a command said at last."""
    if isinstance(outcome, CommandError):
        return Result(str(outcome), ok=False)
    return Result(outcome.text, outcome.data)


def _words(line: str | Sequence[str]) -> list[str]:
    try:
        words = shlex.split(line) if isinstance(line, str) else list(line)
    except ValueError as error:
        raise CommandError(f"{str(error).lower()}: {line}") from None
    if not words:
        raise CommandError("no command; try help")
    return words


def _run(node: Conferences, words: list[str]) -> Turns[Reply]:
    first, *rest = words
    if first in node.commands.node:
        return (yield from _call(node.commands.node[first], node, rest, node.commands))
    conference = node.get(first)
    if conference is None:
        # Whoever types one word means a command, whoever types more means a conference.
        if not rest:
            raise CommandError(f"no command '{first}'{near(first, node.commands.node)}")
        raise CommandError(f"no conference '{first}'{near(first, (known.name for known in node))}")
    return (yield from _of_conference(conference, node.commands, rest))


def _of_conference(conference: Conference, table: Table, words: list[str]) -> Turns[Reply]:
    known = [*table.conference, "member"]
    if not words:
        raise CommandError(f"what about {conference.name}? there is {', '.join(known)}")
    first, *rest = words
    if first != "member":
        return (yield from _call(_find(first, table.conference, known), conference, rest, table))
    if len(rest) < 2:
        raise CommandError(
            f"a member and a command are needed: {conference.name} member <member> {'|'.join(table.member)}"
        )
    command = _find(rest[1], table.member, table.member)
    member = yield from find_member(conference, rest[0])
    return (yield from _call(command, member, rest[2:], table))


def _find(word: str, table: Mapping[str, Command], known: Iterable[str]) -> Command:
    if word not in table:
        raise CommandError(f"no command '{word}'{near(word, known)}")
    return table[word]


def _call(command: Command, target: object, words: Sequence[str], table: Table) -> Turns[Reply]:
    try:
        argument = command.parse(" ".join(words), table)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return (yield from command.turns(target, argument))


def find_member(conference: Conference, word: str) -> Turns[Member]:
    """By UUID, or by the name or number of its caller when only one has it. Raises CommandError."""
    found = yield from matching(conference, word)
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(member.id for member in found[:5])
        raise CommandError(f"'{word}' is {len(found)} members of {conference.name}; which? {ids}")
    members = [*conference.members.values(), *conference.waiting.values()]
    names = (name for member in members for name in (*_names(member), member.id))
    raise CommandError(f"no member '{word}' in {conference.name}{near(word, names)}")


def matching(conference: Conference, word: str) -> Turns[list[Member]]:
    """Who has that UUID; if nobody has, all callers of that name or number."""
    for places in (conference.members, conference.waiting, conference.leaving):
        if word in places:
            return [places[word]]
    members = [*conference.members.values(), *conference.waiting.values()]
    wanted = word.casefold()
    named = yield from each(members, lambda member: wanted in _names(member), LOOKS)
    # Who has left while we looked is none of them.
    return [member for member in compress(members, named) if member.stage in (Stage.WAITING, Stage.IN)]


def latest(conference: Conference, but: str = "") -> Member | None:
    """Who came last and is no administrator. but: a UUID that is passed over."""
    others = (one for one in reversed(conference.members.values()) if not one.settings.admin and one.id != but)
    return next(others, None)


def _names(member: Member) -> set[str]:
    caller = member.caller.casefold()
    match = _CALLER.fullmatch(caller)
    return {caller, match["name"].strip(' "'), match["number"]} - {""} if match else {caller} - {""}
