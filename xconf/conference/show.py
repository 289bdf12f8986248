"""Conferences and members as people read them (aligned columns) and as programs do (what JSON can say)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xconf.conference.profile import agc_text

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.events import Event
    from xconf.conference.member import Member

Row = dict[str, Any]

_ELSEWHERE = {"sequence", "time", "conference", "call_id"}  # of an event's line: told otherwise, or to programs alone


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
        "access": "pin" if profile.pin_auth else "open",
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


def columns(rows: Sequence[Row]) -> str:
    """A heading, then a line for each row; at least one row."""
    heading = [key.upper() for key in rows[0]]
    lines = [heading, *([cell(value) for value in row.values()] for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heading))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def pairs(row: Row) -> str:
    """A line for each key."""
    width = max(map(len, row))
    return "\n".join(f"{key.ljust(width)}  {cell(value)}" for key, value in row.items())


def cell(value: Any) -> str:
    if value is None or value == [] or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, list) else str(value)


def event_words(event: Event) -> str:
    """`conference 3000: member joined, member 4065752c-…, caller Ann <1001>, role speaker`"""
    fields = [(name, getattr(event, name)) for name in event.__struct_fields__ if name not in _ELSEWHERE]
    told = [f"{name} {_word(value)}" for name, value in fields if value not in ("", None)]
    place = f"conference {event.conference}: " if event.conference else ""
    return place + ", ".join([event.kind.replace("-", " "), *told])


def _word(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else cell(value)
