"""A conference's profile while it runs: its keys can be changed, and its flags are some of them."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from xconf.conference.errors import ConfigError, near
from xconf.conference.profile import Profile, check, complete

FLAGS = {
    "transcoding": "transcoding",
    "status-xchg": "status_exchange",
    "alone-snd": "alone_sound",
    "vad": "vad.enable",
    "cng": "cng.enable",
    "agc": "agc.enable",
}
"""Flags of a conference, and the keys of its profile that they stand for."""

FIXED = ("inherit", "sample_rate", "channels")
"""Keys that only a new conference can have otherwise: its sound is made for them."""

FELT_BY_MEMBERS = ("vad", "agc", "cng", "admin_controls", "user_controls", "digit_timeout")
"""Keys of which each member has something."""

SECRET = ("admin_pin", "user_pin")

_YES, _NO = ("true", "yes", "on"), ("false", "no", "off")


def keys(kind: type[Struct] = Profile, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All keys of a profile, those of its sections with a dot (`vad.level`), and their types."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, Struct):
            yield from keys(field.type, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field.type


KINDS = dict(keys())


def value_of(profile: Profile, key: str) -> Any:
    """What a profile has for a key."""
    value: Any = profile
    for part in key.split("."):
        value = getattr(value, part)
    return value


def shown(key: str, value: Any) -> str:
    """A value as people write it; PINs are not told."""
    if key in SECRET and value is not None:
        return "(secret)"
    return written(value)


def written(value: Any) -> str:
    """A value as it is typed, whatever it is."""
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value) or "''"


def values(profile: Profile) -> dict[str, str]:
    """All keys and their values, as people write them."""
    return {key: shown(key, value_of(profile, key)) for key in KINDS}


def changed(name: str, profile: Profile, key: str, text: str) -> Profile:
    """The profile with another value of one key. name: of the profile, for messages. Raises ValueError, which says what is
    allowed.
    """
    if key not in KINDS:
        raise ValueError(f"no key '{key}'{near(key, KINDS)}")
    if key in FIXED:
        raise ValueError(f"{key} cannot be changed while a conference runs; change profiles.{name} and reload")
    return _with(name, profile, key, _value(KINDS[key], text))


def with_flag(name: str, profile: Profile, flag: str, on: bool) -> Profile:
    """The same of a flag. Raises ValueError."""
    return _with(name, profile, FLAGS[flag], on)


def flags_of(profile: Profile) -> list[str]:
    """The flags that are on."""
    return [flag for flag, key in FLAGS.items() if value_of(profile, key)]


def _with(name: str, profile: Profile, key: str, value: Any) -> Profile:
    plain: dict[str, Any] = msgspec.to_builtins(profile)
    section, _, last = key.rpartition(".")
    (plain[section] if section else plain)[last] = value
    try:
        fresh = complete(name, plain)
        check(name, fresh)
    except ConfigError as error:
        raise ValueError(f"{'.'.join(error.path[2:])}: {error.text}") from None
    return fresh


def _value(kind: Any, text: str) -> Any:
    """Text as a value of that type, or as it is, for whoever checks it to refuse."""
    plain = get_args(kind)[0] if hasattr(kind, "__metadata__") else kind
    if get_origin(plain) in (Union, types.UnionType):
        return None if text == "none" else text
    if plain is bool:
        return True if text in _YES else False if text in _NO else text
    if get_origin(plain) is tuple:
        return [] if text in ("", "none") else [word.strip() for word in text.split(",")]
    if plain is str:
        return "" if text == "''" else text
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text


def origins(name: str, profiles: Mapping[str, Profile]) -> dict[str, str]:
    """Which profile each key of a profile has its value from: itself, one that it inherits, or `-`, which is xconf's own."""
    return {key: _origin(name, key, profiles) for key in KINDS}


def _origin(name: str, key: str, profiles: Mapping[str, Profile]) -> str:
    value = value_of(profiles[name], key)
    parent = profiles[name].inherit
    if parent is not None and parent in profiles and key != "inherit" and value_of(profiles[parent], key) == value:
        return _origin(parent, key, profiles)
    return name if value != value_of(Profile(), key) else "-"
