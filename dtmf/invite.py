"""Calling somebody into the conference."""

from xconf.conference.commands import command
from xconf.conference.invitation import Request
from xconf.conference.invite_commands import WHOM, inviter_of, told
from xconf.conference.member import Member
from xconf.conference.turns import Turns


@command("invite", argument=WHOM)
def invite(member: Member, request: Request) -> Turns[str]:
    """Calls somebody into the conference."""
    member.require_in()
    conference = member.conference
    rows = yield from inviter_of(conference.inviter).invite(conference.name, request, member.id)
    return f"calling {told(rows)}"
