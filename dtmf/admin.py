"""Becoming an admin."""

from xconf.conference.commands import command
from xconf.conference.member import Member


@command("admin")
def admin(member: Member) -> None:
    """Asks for the admin PIN; whoever knows it is an admin from then on."""
    member.ask_admin_pin()
