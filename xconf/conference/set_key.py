"""Changing a key of a conference's profile while it runs: checked first, its sounds made ready, then for all at once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.conference import events
from xconf.conference.commands import Argument, Reply
from xconf.conference.errors import CommandError, near
from xconf.conference.later import Later
from xconf.conference.profile import SOUNDS
from xconf.conference.tuning import changed, shown, value_of
from xconf.conference.turns import Turns
from xconf.media.sources import SoundError

if TYPE_CHECKING:
    from xconf.conference.conference import Conference
    from xconf.conference.profile import Profile

_CHANGE = re.compile(r"([\w.-]+)(?:\s+|=)(.*)")


@dataclass(frozen=True, slots=True)
class Change:
    """What `set` is told: `vad.level 500`, or `vad.level=500`."""

    key: str
    value: str


def _change(text: str) -> Change:
    match = _CHANGE.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not like vad.level 500")
    return Change(match[1].replace("-", "_"), match[2])


CHANGE = Argument("KEY VALUE", _change)


def set_value(conference: Conference, change: Change) -> Turns[Reply]:
    """What it says, at once, or later where a sound is to be read first. Raises CommandError."""
    fresh = _checked(conference, change)
    sounds = _sounds(fresh, change.key)
    if not sounds:
        return (yield from _adopt(conference, change))
    later = Later()

    def ready(error: SoundError | None) -> None:
        if error is None:
            conference.turns.take(_adopt(conference, change), later.tell, failed)
        else:
            failed(error)

    def failed(error: Exception) -> None:
        later.tell(error if isinstance(error, CommandError) else CommandError(f"set: {change.key}: {error}"))

    try:
        conference.prepare(sounds, fresh, ready)
    except SoundError as error:  # too much is being made ready
        failed(error)
    return Reply(f"{change.key} is made ready", later=later)


def _adopt(conference: Conference, change: Change) -> Turns[Reply]:
    """From how it is now: something else may have been changed meanwhile, or all ended."""
    fresh = _checked(conference, change)
    was, value = (shown(change.key, value_of(profile, change.key)) for profile in (conference.profile, fresh))
    yield from conference.adopt(fresh)
    conference.publish(events.KeyChanged, key=change.key, value=value)
    return Reply(f"{change.key}: {value} (was {was})", {"key": change.key, "value": value, "was": was})


def _checked(conference: Conference, change: Change) -> Profile:
    if conference.ending:
        raise CommandError(f"{conference.name} ends")
    try:
        fresh = changed(conference.profile_name, conference.profile, change.key, change.value)
    except ValueError as error:
        raise CommandError(f"set: {error}") from None
    if change.key.endswith("_controls") and change.value not in conference.controls:
        raise CommandError(f"set: no controls '{change.value}'{near(change.value, conference.controls)}")
    return fresh


def _sounds(profile: Profile, key: str) -> list[str]:
    """Those that are to be made ready before the key can have effect."""
    if key == "sound_prefix":
        return list(profile.sounds().values())
    spec = value_of(profile, key) if key in SOUNDS else ""
    return [spec] if spec else []
