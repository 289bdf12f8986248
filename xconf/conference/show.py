"""Conferences and members as people read them (aligned columns) and as programs do (what JSON can say)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xconf.conference.commands import Reply
from xconf.conference.profile import agc_text
from xconf.conference.turns import ROWS, Turns, each
from xconf.conference.wording import cell

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.member import Member

Row = dict[str, Any]


def conference_row(conference: Conference) -> Row:
    """What `list` and `show status` tell of a conference."""
    profile = conference.profile
    return {
        "name": conference.name,
        "id": conference.id,
        "profile": conference.profile_name,
        "media": f"{profile.sample_rate}/{profile.ptime}/{profile.channels}",
        "members": len(conference.members),
        "speakers": conference.speakers,
        "waiting": len(conference.waiting),
        "access": "locked" if conference.locked else "pin" if profile.pin_auth else "open",
        "seconds": round(conference.clock.seconds() - conference.started_at),
    }


def conference_status(conference: Conference) -> Row:
    """The row, and how it is set."""
    profile = conference.profile
    return {
        **conference_row(conference),
        "flags": conference.flags,
        "codecs": list(conference.codecs),
        "vad-level": conference.defaults.vad_level,
        "agc": agc_text(conference.defaults.agc_settings),
        "cng-level": profile.cng.level,
        "term-timer": profile.conference_term_timer,
        "playback": conference.playing or None,
        "recording": conference.recordings.status or None,
    }


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
