"""Not being heard, and not hearing."""

from xconf.conference.commands import command
from xconf.conference.member import Member


@command("mute")
def mute(member: Member) -> None:
    """Mutes, or unmutes: a muted speaker is not heard."""
    member.set_flag("mute", not member.settings.mute)


@command("deaf")
def deaf(member: Member) -> None:
    """Hears nothing of the conference, or hears it again."""
    member.set_flag("deaf", not member.settings.deaf)


@command("deaf-mute")
def deaf_mute(member: Member) -> None:
    """Neither heard nor hearing, or both again."""
    on = not (member.settings.deaf and member.settings.mute)
    member.set_flag("mute", on)
    member.set_flag("deaf", on)
