"""Leaving."""

from xconf.conference.commands import command
from xconf.conference.member import Member, Reason


@command("hangup")
def hangup(member: Member) -> None:
    """Leaves the conference, after a goodbye."""
    member.depart(Reason.KEYPAD, "member_bye")
