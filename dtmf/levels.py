"""What counts as speech, and how loud it should be."""

from xconf.conference.commands import command, steps
from xconf.conference.member import Member
from xconf.conference.profile import MAX_LEVEL


@command("vad-level", argument=steps(MAX_LEVEL))
def vad_level(member: Member, step: int) -> str:
    """How loud one must be to be heard, 0..1800: +N or -N, 0 = as the conference has it."""
    member.settings.step_vad(step, member.conference.defaults)
    member.apply()
    return f"vad-level: {member.settings.threshold(member.conference.defaults)}"


@command("agc-level", argument=steps(MAX_LEVEL))
def agc_level(member: Member, step: int) -> str:
    """How loud one is made, where automatic gain is on, 0..1800: +N or -N, 0 = as the conference has it."""
    member.settings.step_agc(step, member.conference.defaults)
    member.apply()
    return f"agc-level: {(member.settings.agc_settings or member.conference.defaults.agc_settings).level}"
