"""Commands that call people into conferences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.conference.commands import Argument, Reply, command
from xconf.conference.errors import CommandError
from xconf.conference.invitation import USAGE, Inviter, Request, Row
from xconf.conference.show import table
from xconf.conference.turns import Turns

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.registry import Conferences

MOST_TOLD = 10
WHOM = Argument(USAGE, Request.parse)


@dataclass(frozen=True, slots=True)
class _Order:
    """What an `invite` asks for: list, cancel, or people to be called into a conference."""

    verb: str
    which: str = ""
    conference: str = ""
    request: Request | None = None


def _order(named: bool) -> Callable[[str], _Order]:
    """named: the conference is given by a word in front."""

    def parse(text: str) -> _Order:
        first, _, rest = text.partition(" ")
        if first == "list" and not rest:
            return _Order("list")
        if first == "cancel":
            if not rest:
                raise ValueError("cancel which? give its number, or all")
            return _Order("cancel", rest)
        if not named:
            return _Order("invite", request=Request.parse(text))
        if not rest:
            raise ValueError("name a conference, and whom to call into it")
        return _Order("invite", conference=first, request=Request.parse(rest))

    return parse


@command("invite", scope="node", argument=Argument(f"CONF {USAGE} | list | cancel N|all", _order(named=True)))
def invite(node: Conferences, order: _Order) -> Turns[Reply]:
    """Calls people into a conference, shows what came of it, or takes it back."""
    return (yield from _done(inviter_of(node.inviter), order, order.conference or None))


@command("invite", scope="conference", argument=Argument(f"{USAGE} | list | cancel N|all", _order(named=False)))
def invite_here(conference: Conference, order: _Order) -> Turns[Reply]:
    """Calls people into this conference, shows what came of it, or takes it back."""
    return (yield from _done(inviter_of(conference.inviter), order, conference.name))


def inviter_of(inviter: Inviter | None) -> Inviter:
    """Raises CommandError where nobody can be called."""
    if inviter is None:
        raise CommandError("this server calls nobody")
    return inviter


def _done(inviter: Inviter, order: _Order, conference: str | None) -> Turns[Reply]:
    if order.request is not None and conference is not None:
        rows = yield from inviter.invite(conference, order.request, "")
        return Reply(f"calling {told(rows)}", rows)
    if order.verb == "cancel":
        rows = yield from inviter.cancel(order.which, conference)
        return Reply(f"cancelled {told(rows)}" if rows else "nobody is called", rows)
    rows = yield from inviter.rows(conference)
    return (yield from table(rows, "nobody was called"))


def told(rows: Sequence[Row]) -> str:
    """`sip:ann@10.0.0.7 (17), 1001 (18)`"""
    first = ", ".join(f"{row['target']} ({row['id']})" for row in rows[:MOST_TOLD])
    return first if len(rows) <= MOST_TOLD else f"{first} and {len(rows) - MOST_TOLD} more"
