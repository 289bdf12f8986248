"""How many are here, and what the keys do: spoken to who asks."""

from __future__ import annotations

from itertools import chain

from xconf.conference import spoken
from xconf.conference.commands import command
from xconf.conference.errors import CommandError
from xconf.conference.member import Member


@command("count", rights="anyone")
def count(member: Member) -> str:
    """Says how many members there are."""
    members = len(member.conference.members) + member.conference.others.members
    member.recite("count", [[word] for word in spoken.members(members)])
    return f"{members} members"


@command("help", rights="anyone")
def say_keys(member: Member) -> str:
    """Says what the keys do; the same key again ends that."""
    if member.announcer.says("help"):
        member.announcer.drop("help")
        return "ended"
    actions = member.actions
    if not actions:
        raise CommandError("there are no keys")
    said = (
        [["help/press.wav"], *([key] for key in spoken.keys(digits)), action.helps]
        for digits, action in actions.items()
    )
    member.recite("help", list(chain.from_iterable(said)))
    return f"{len(actions)} keys"
