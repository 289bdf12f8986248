"""Going to another conference, in the same call."""

from __future__ import annotations

from dataclasses import dataclass

from xconf.conference.commands import Argument, Reply, command
from xconf.conference.member import Member


@dataclass(frozen=True, slots=True)
class Place:
    conference: str
    profile: str = ""


def _place(text: str) -> Place:
    words = text.split()
    if not 1 <= len(words) <= 2:
        raise ValueError(f"'{text}' is not a conference, with or without a profile")
    return Place(*words)


@command("move", argument=Argument("CONFERENCE [PROFILE]", _place))
def move(member: Member, place: Place) -> Reply:
    """Goes to another conference, which is made where there is none; it asks for its PIN, unless the profile is the same."""
    there = member.move(place.conference, place.profile)
    return Reply(f"{member.id} is {there.id} in {place.conference}", {"member": there.id})
