"""Flags as people write them: `+speaker -mute`."""

from __future__ import annotations

import re
from collections.abc import Collection

from xconf.conference.errors import near
from xconf.conference.tuning import FLAGS

MEMBER_FLAGS = ("speaker", "admin", "auth", "mute", "deaf", "vad", "agc", "cng")
CONFERENCE_FLAGS = (*FLAGS, "locked")

_WORDS = re.compile(r"[\s,|]+")


def parse_flags(text: str, known: Collection[str]) -> dict[str, bool]:
    """Flag -> on or off, in the order given. Raises ValueError."""
    flags: dict[str, bool] = {}
    for word in filter(None, _WORDS.split(text)):
        sign, name = word[0], word[1:]
        if sign not in "+-":
            raise ValueError(f"'{word}' needs a + or a - before it")
        if name not in known:
            raise ValueError(f"no flag '{name}'{near(name, known)}")
        flags.pop(name, None)
        flags[name] = sign == "+"
    return flags


def member_flags(text: str) -> dict[str, bool]:
    """What a member starts with, as a dial plan entry has it. Raises ValueError."""
    return parse_flags(text, MEMBER_FLAGS)
