"""Volumes, in steps of -4..4."""

from xconf.conference.commands import command, steps
from xconf.conference.member import Member
from xconf.media.levels import STEPS


@command("vol-talk", argument=steps(STEPS))
def vol_talk(member: Member, step: int) -> str:
    """Louder or softer, what I say: +N or -N steps, 0 = as it was."""
    member.settings.step_talk(step)
    member.apply()
    return f"vol-talk: {member.settings.talk:+d}"


@command("vol-listen", argument=steps(STEPS))
def vol_listen(member: Member, step: int) -> str:
    """Louder or softer, what I hear: +N or -N steps, 0 = as it was."""
    member.settings.step_listen(step)
    member.apply()
    return f"vol-listen: {member.settings.listen:+d}"
