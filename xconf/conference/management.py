"""The commands for whoever runs the server. Those that a caller may want on a key are in the folder `dtmf`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from xconf.conference.commands import Argument, Command, Reply, Rights, command, one_of
from xconf.conference.errors import CommandError, near
from xconf.conference.flags import CONFERENCE_FLAGS, MEMBER_FLAGS, parse_flags
from xconf.conference.member import Reason
from xconf.conference.profile import parse_agc
from xconf.conference.set_key import CHANGE, Change, set_value
from xconf.conference.show import (
    conference_row,
    conference_status,
    group_rows,
    member_row,
    member_status,
    node_rows,
    pairs,
    profile_of,
    profile_rows,
    table,
)
from xconf.conference.tuning import origins
from xconf.conference.turns import Turns, each
from xconf.media.leg import Agc

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.member import Member
    from xconf.conference.registry import Conferences

_CONFERENCE_FLAGS = Argument(
    f"[+-]{'|'.join(CONFERENCE_FLAGS)} …", lambda text: parse_flags(text, CONFERENCE_FLAGS), optional=True
)
_MEMBER_FLAGS = Argument(f"[+-]{'|'.join(MEMBER_FLAGS)} …", lambda text: parse_flags(text, MEMBER_FLAGS), optional=True)


def _rights_for_flags(flags: Mapping[str, bool]) -> Rights:
    return "admin" if {"speaker", "admin", "auth"} & set(flags) else "self"


def _setting(text: str) -> Agc:
    name, _, value = text.partition(" ")
    if name != "agc":
        raise ValueError(f"'{name}' cannot be set; there is agc")
    return parse_agc(value.strip())


_SETTING = Argument("agc level:low-level:factor:margin", _setting)


@command("list", scope="node", rights="anyone")
def list_conferences(node: Conferences) -> Turns[Reply]:
    """All conferences: who is in them, and how one gets in."""
    rows = yield from each(tuple(node), conference_row)
    return (yield from table(rows, "no conferences"))


@command("help", scope="node", argument=Argument("WORD", str, optional=True), rights="anyone")
def show_help(node: Conferences, word: str) -> Reply:
    """All commands, or those that have to do with a word."""
    places = (
        ("", node.commands.node),
        ("<conference> ", node.commands.conference),
        ("<conference> member <member> ", node.commands.member),
    )
    entries = [(prefix + entry.usage, entry) for prefix, table in places for entry in table.values()]
    found = [(usage, entry) for usage, entry in entries if word.lower() in f"{usage} {entry.doc}".lower()]
    text = "\n".join(f"{usage}\n    {entry.doc}" for usage, entry in found)
    return Reply(text or f"no command has to do with '{word}'", [_told(usage, entry) for usage, entry in found])


def _told(usage: str, entry: Command) -> dict[str, str]:
    return {"command": entry.name, "scope": entry.scope, "usage": usage, "help": entry.doc}


@command("profiles", scope="node", rights="anyone")
def list_profiles(node: Conferences) -> Turns[Reply]:
    """The profiles that conferences are made from, and what each inherits."""
    rows = [{"name": name, "inherit": profile.inherit} for name, profile in sorted(node.profiles.items())]
    return (yield from table(rows, "no profiles"))


@command("profile", scope="node", argument=Argument("NAME", str), rights="anyone")
def show_profile(node: Conferences, name: str) -> Turns[Reply]:
    """All keys of a profile, with their values, and which profile each is from (-: xconf's own)."""
    if name not in node.profiles:
        raise CommandError(f"no profile '{name}'{near(name, node.profiles)}")
    rows = profile_rows(node.profiles[name], origins(name, node.profiles))
    return (yield from table(rows, "no keys"))


@command("dm-flush-status-cache", scope="node")
def flush(node: Conferences) -> Reply:
    """Forgets what other nodes said of their members; each says it anew."""
    forgotten = node.elsewhere.flush()
    return Reply(f"forgot {forgotten} nodes", {"nodes": forgotten})


@command("term", scope="conference", everywhere="")
def term(conference: Conference) -> Reply:
    """Says goodbye to all, and ends the conference."""
    members = len(conference.members)
    conference.term("ended by an operator")
    return Reply(f"{conference.name} ends, with {members} members", {"id": conference.id, "members": members})


WHAT = ("status", "profile", "groups", "members", "nodes", "waiting")


@command("show", scope="conference", argument=one_of(*WHAT), rights="anyone")
def show(conference: Conference, what: str) -> Turns[Reply]:
    """How it is set, who is sent the same, who is in it, on which nodes, or who is asked for a PIN."""
    if what == "status":
        status = conference_status(conference)
        return Reply(pairs(status), status)
    if what == "profile":
        return (yield from table(profile_of(conference), "no keys"))
    if what == "nodes":
        return (yield from table(node_rows(conference), "no nodes"))
    if what == "groups":
        rows = yield from group_rows(tuple(conference.members.values()))
        return (yield from table(rows, "nobody listens"))
    members = conference.members if what == "members" else conference.waiting
    rows = yield from each(tuple(members.values()), member_row)
    return (yield from table(rows, "no members" if what == "members" else "no callers wait"))


@command("set", scope="conference", argument=CHANGE, everywhere="")
def set_key(conference: Conference, change: Change) -> Turns[Reply]:
    """Changes a key of this conference's profile while it runs."""
    return (yield from set_value(conference, change))


@command("flags", scope="conference", argument=_CONFERENCE_FLAGS)
def set_conference_flags(conference: Conference, flags: Mapping[str, bool]) -> Reply:
    """Sets flags of a conference with +, clears them with -, and shows them."""
    for name, on in flags.items():
        conference.set_flag(name, on)
    return _flags(conference.flags)


@command("flags", argument=_MEMBER_FLAGS, rights=_rights_for_flags)
def set_member_flags(member: Member, flags: Mapping[str, bool]) -> Reply:
    """Sets flags of a member with +, clears them with -, and shows them."""
    for name, on in flags.items():
        member.set_flag(name, on)
    return _flags(member.flags)


def _flags(flags: list[str]) -> Reply:
    return Reply(f"flags: {' '.join(flags) or 'none'}", flags)


@command("kick", rights="admin")
def kick(member: Member) -> str:
    """Tells a member that it is removed, and hangs up."""
    member.depart(Reason.KICKED, "member_kicked")
    return f"kicked {member.id}"


@command("status", rights="anyone")
def status(member: Member) -> Reply:
    """How a member is set, and how its sound fares."""
    row = member_status(member)
    return Reply(pairs(row), row)


@command("set", argument=_SETTING)
def set_agc(member: Member, agc: Agc) -> str:
    """Sets a member's automatic gain, and switches it on."""
    member.settings.agc_settings = agc
    member.settings.agc = True
    member.apply()
    return f"agc of {member.id} is set"
