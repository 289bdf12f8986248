"""Silence for all but administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconf.conference.commands import Argument, command, one_of
from xconf.conference.member import Member
from xconf.conference.turns import Turns, each

if TYPE_CHECKING:
    from xconf.conference.conference import Conference

QUIETLY = Argument("quietly", lambda text: one_of("quietly").parse(text) if text else "", optional=True)


@command("mute-all", rights="admin")
def mute_all(member: Member) -> Turns[str]:
    """Mutes all speakers but administrators; each may unmute itself."""
    return _mute(member.conference, True)


@command("unmute-all", rights="admin")
def unmute_all(member: Member) -> Turns[str]:
    """Unmutes all speakers."""
    return _mute(member.conference, False)


@command("mute-all", scope="conference", argument=QUIETLY, everywhere="quietly")
def mute_all_of(conference: Conference, quietly: str) -> Turns[str]:
    """Mutes all speakers but administrators; each may unmute itself. Quietly: without a prompt."""
    return _mute(conference, True, told=not quietly)


@command("unmute-all", scope="conference", argument=QUIETLY, everywhere="quietly")
def unmute_all_of(conference: Conference, quietly: str) -> Turns[str]:
    """Unmutes all speakers. Quietly: without a prompt."""
    return _mute(conference, False, told=not quietly)


def _mute(conference: Conference, on: bool, *, told: bool = True) -> Turns[str]:
    """All hear one prompt, rather than each one of its own."""
    profile = conference.profile
    if told:
        conference.tell_all(profile.member_all_muted if on else profile.member_all_unmuted)

    def change(member: Member) -> bool:
        settings = member.settings
        if settings.speaker and settings.mute is not on and not (on and settings.admin):
            member.set_flag("mute", on, told=False)
            return True
        return False

    changed = yield from each(tuple(conference.members.values()), change)
    return f"{'muted' if on else 'unmuted'} {sum(changed)} of {len(changed)} members"
