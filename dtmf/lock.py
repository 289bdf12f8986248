"""Who may come in, and who has to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconf.conference.commands import command
from xconf.conference.errors import CommandError
from xconf.conference.member import Member, Reason

if TYPE_CHECKING:
    from xconf.conference.conference import Conference


@command("lock", rights="admin")
def lock(member: Member) -> str:
    """Locks the conference, or opens it: nobody but administrators comes into one that is locked."""
    conference = member.conference
    conference.set_flag("locked", not conference.locked)
    member.announce("locked", "locked" if conference.locked else "unlocked")
    return f"{conference.name} is {'locked' if conference.locked else 'open'}"


@command("lock", scope="conference")
def lock_conference(conference: Conference) -> str:
    """Lets nobody but administrators in from now on; the last one who leaves opens it."""
    if not conference.members:
        raise CommandError(f"nobody is in {conference.name}")
    conference.set_flag("locked", True)
    return f"{conference.name} is locked"


@command("unlock", scope="conference")
def unlock_conference(conference: Conference) -> str:
    """Lets everybody in again."""
    conference.set_flag("locked", False)
    return f"{conference.name} is open"


@command("kick-last", rights="admin")
def kick_last(member: Member) -> str:
    """Removes who came last, unless that is an administrator or oneself."""
    return _kick_last(member.conference, member)


@command("kick-last", scope="conference")
def kick_last_of(conference: Conference) -> str:
    """Removes who came last, unless that is an administrator."""
    return _kick_last(conference, None)


def _kick_last(conference: Conference, by: Member | None) -> str:
    others = (one for one in reversed(conference.members.values()) if one is not by and not one.settings.admin)
    last = next(others, None)
    if last is None:
        raise CommandError(f"nobody in {conference.name} can be removed")
    last.depart(Reason.KICKED, "member_kicked")
    return f"kicked {last.id}, {last.caller}"
