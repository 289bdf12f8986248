"""Conferences and members as people read them (aligned columns) and as programs do (what JSON can say)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xconf.conference.commands import Reply
from xconf.conference.elsewhere import Share
from xconf.conference.member import Reason, Stage
from xconf.conference.profile import Profile, agc_text
from xconf.conference.tuning import values
from xconf.conference.turns import LOOKS, ROWS, Turns, each
from xconf.conference.wording import cell

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.member import Member

Row = dict[str, Any]


def conference_row(conference: Conference) -> Row:
    """What `list` and `show status` tell of a conference."""
    profile, shares, speakers = conference.profile, conference.others.shares, conference.speakers
    return {
        "name": conference.name,
        "id": conference.id,
        "profile": conference.profile_name,
        "media": f"{profile.sample_rate}/{profile.ptime}/{profile.channels}",
        "members": len(conference.members),
        "all-members": len(conference.members) + sum(share.members for share in shares),
        "speakers": speakers,
        "all-speakers": speakers + sum(share.speakers for share in shares),
        "waiting": len(conference.waiting),
        "access": "locked" if conference.locked else "pin" if profile.pin_auth else "open",
        "seconds": round(conference.clock.seconds() - conference.started_at),
    }


def row_elsewhere(name: str, shares: Sequence[Share]) -> Row:
    """The same of one that is on other nodes alone."""
    return {
        "name": name,
        "id": None,
        "profile": None,
        "media": None,
        "members": 0,
        "all-members": sum(share.members for share in shares),
        "speakers": 0,
        "all-speakers": sum(share.speakers for share in shares),
        "waiting": 0,
        "access": None,
        "seconds": None,
    }


def conference_status(conference: Conference) -> Row:
    """The row, and how it is set."""
    profile = conference.profile
    return {
        **conference_row(conference),
        "flags": conference.flags,
        "state": _conference_state(conference),
        "codecs": list(conference.codecs),
        "vad-level": profile.vad.level,
        "agc": agc_text(profile.agc.settings),
        "cng-level": profile.cng.level,
        "term-timer": profile.conference_term_timer,
        "playback": conference.playing or None,
        "recording": conference.recordings.status or None,
    }


def _conference_state(conference: Conference) -> list[str]:
    """What is so and no flag: `auth` (who comes is asked for a PIN), `playback`, `waits-for-admin`."""
    states = {
        "auth": conference.profile.pin_auth,
        "playback": bool(conference.playing),
        "waits-for-admin": conference.moderation.waits,
    }
    return [name for name, on in states.items() if on]


def node_rows(conference: Conference) -> list[Row]:
    """This node, then the others that have members in a conference; age: seconds since they said so."""
    own = {
        "node": conference.others.node,
        "members": len(conference.members),
        "speakers": conference.speakers,
        "age": 0,
    }
    shares = sorted(conference.others.shares, key=lambda share: share.node)
    return [own, *(_share_row(share) for share in shares)]


def _share_row(share: Share) -> Row:
    return {"node": share.node, "members": share.members, "speakers": share.speakers, "age": round(share.age)}


def group_rows(members: Sequence[Member]) -> Turns[list[Row]]:
    """Who is sent the same, encoded once for all of them: by codec, packet time and volume. Speakers among them have an output
    of their own while they speak, for they do not hear themselves. The largest first.
    """
    groups: dict[tuple[str, int, int], Row] = {}

    def count(member: Member) -> None:
        media = member.leg.media
        if media is not None:
            key = media.codec.label, media.ptime, member.settings.listen
            names = dict(zip(("codec", "ptime", "listen"), key, strict=True))
            row = groups.setdefault(key, {**names, "members": 0, "speakers": 0})
            row["members"] += 1
            row["speakers"] += member.settings.speaker

    yield from each(members, count, LOOKS // 2)
    return sorted(groups.values(), key=lambda row: (-row["members"], row["codec"], row["ptime"], row["listen"]))


def profile_rows(profile: Profile, origins: Mapping[str, str]) -> list[Row]:
    """Each key of a profile, its value and where it is from."""
    return [{"key": key, "value": value, "from": origins[key]} for key, value in values(profile).items()]


def profile_of(conference: Conference) -> list[Row]:
    """The same of a conference: what was changed since it was made is from `here`."""
    now, before = values(conference.profile), values(conference.made_from)
    return profile_rows(
        conference.profile, {key: conference.profile_name if now[key] == before[key] else "here" for key in now}
    )


def member_row(member: Member) -> Row:
    """What `show members` tells of a member."""
    settings = member.settings
    return {
        "uuid": member.id,
        "role": member.role,
        "flags": member.flags,
        "talking": member.talking,
        "vad": settings.threshold(member.conference.defaults),
        "talk": settings.talk,
        "listen": settings.listen,
        "seconds": round(member.conference.clock.seconds() - member.joined_at),
        "codec": member.leg.media.codec.label if member.leg.media else None,
        "caller": member.caller,
    }


def member_status(member: Member) -> Row:
    """The row, and how its sound fares."""
    gain = member.settings.gain(member.conference.defaults)
    statistics = member.leg.statistics
    return {
        **member_row(member),
        "stage": str(member.stage),
        "state": _member_state(member),
        "call-id": member.call.call_id,
        "agc": agc_text(gain) if gain else None,
        "playback": member.playing or None,
        "ptime": member.leg.media.ptime if member.leg.media else None,
        "packets": statistics.packets,
        "lost": statistics.lost,
        "late": statistics.late,
        "jitter-ms": round(statistics.jitter_ms, 1),
        "lost-there": None if statistics.lost_there is None else round(statistics.lost_there, 3),
        "round-trip-ms": None if statistics.round_trip_ms is None else round(statistics.round_trip_ms, 1),
    }


def _member_state(member: Member) -> list[str]:
    """What is so and no flag: `speaking` (its voice is mixed in), `kick` (it hears that it is removed), `playback`."""
    kicked = member.stage is Stage.LEAVING and member.leaving == Reason.KICKED
    states = {"speaking": member.talking, "kick": kicked, "playback": bool(member.playing)}
    return [name for name, on in states.items() if on]


def table(rows: Sequence[Row], none: str) -> Turns[Reply]:
    """The rows, for people with a heading in aligned columns, or `none` when there is none."""
    if not rows:
        return Reply(none, rows)
    # Looked at twice, rather than kept: to free thousands of cells at the end would take long, in one turn.
    heading = [key.upper() for key in rows[0]]
    widths = [len(key) for key in heading]
    for begin in range(0, len(rows), ROWS):
        lengths = [[len(cell(value)) for value in row.values()] for row in rows[begin : begin + ROWS]]
        widths = [max(column) for column in zip(widths, *lengths, strict=True)]
        if len(rows) > ROWS:
            yield None
    lines = yield from each(rows, lambda row: _aligned([cell(value) for value in row.values()], widths))
    return Reply("\n".join([_aligned(heading, widths), *lines]), rows)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(map(str.ljust, cells, widths)).rstrip()


def pairs(row: Row) -> str:
    """A line for each key."""
    width = max(map(len, row))
    return "\n".join(f"{key.ljust(width)}  {cell(value)}" for key, value in row.items())
