"""Who may come in, and who has to go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconf.conference.commands import Argument, Reply, command
from xconf.conference.dispatch import latest
from xconf.conference.errors import CommandError
from xconf.conference.member import Member, Reason
from xconf.conference.turns import Turns

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
def kick_last(member: Member) -> Turns[Reply]:
    """Removes who came last, on any node, unless that is an administrator or oneself."""
    conference = member.conference
    steer = conference.owner.steer
    if steer is None or not conference.others.members:
        return _kick_last(conference, member.id)
    result = yield from steer([conference.name, "kick-last", member.id])
    if not result.ok:
        raise CommandError(result.text)
    return Reply(result.text, result.data, later=result.later)


BUT = Argument("UUID", str, optional=True)


@command("kick-last", scope="conference", argument=BUT, latest=True)
def kick_last_of(conference: Conference, but: str) -> Reply:
    """Removes who came last, on any node, unless that is an administrator, or has this UUID."""
    return _kick_last(conference, but)


def _kick_last(conference: Conference, but: str) -> Reply:
    last = latest(conference, but)
    if last is None:
        raise CommandError(f"nobody in {conference.name} can be removed")
    last.depart(Reason.KICKED, "member_kicked")
    return Reply(f"kicked {last.id}, {last.caller}", {"id": last.id, "caller": last.caller})
