"""Who is here, spoken to who asks."""

from __future__ import annotations

from itertools import islice

from xconf.conference import spoken
from xconf.conference.commands import command
from xconf.conference.member import Member

MOST = 50  # names that are said


@command("roll-call", rights="anyone")
def roll_call(member: Member) -> str:
    """Says how many members there are and who they are; the same key again ends that."""
    if member.announcer.says("roll-call"):
        member.announcer.drop("roll-call")
        return "ended"
    members = member.conference.members
    names = [[*each.names_said, "somebody.wav"] for each in islice(members.values(), MOST)]
    others = len(members) - len(names)
    rest = [["and-others.wav"]] if others else []
    member.recite("roll-call", [*([word] for word in spoken.members(len(members))), *names, *rest])
    return f"{len(members)} members"
