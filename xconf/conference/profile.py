"""Profiles: what a conference is like. The structs hold the keys that a configuration may use, with their defaults.

A profile may `inherit` another: `resolve` merges them, key by key, also within `vad`, `cng` and `agc`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct

from xconf.conference.errors import ConfigError, near
from xconf.media.catalogue import NAMES, missing, rate_of
from xconf.media.leg import Agc
from xconf.media.pace import TICK
from xconf.media.treatment import Treatment
from xconf.media.treatment import missing as package_missing

MAX_LEVEL = 1800  # of a voice detector's threshold, and of an automatic gain's target
MAX_NOISE = 10_000

Level = Annotated[int, Meta(ge=0, le=MAX_LEVEL)]
Pin = Annotated[str, Meta(pattern=r"^[0-9]{1,10}\Z", description="1 to 10 digits")]
Voice = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][\w+.-]{0,63}\Z", description="the name of a voice, like en or de")]
Spec = Annotated[str, Meta(max_length=512)]

_AGC = re.compile(r"(\d{1,5}):(\d{1,5}):(\d{1,5}):(\d{1,5})")


def parse_agc(text: str) -> Agc:
    """Automatic gain from `level:low-level:factor:margin`. Raises ValueError."""
    match = _AGC.fullmatch(text)
    if not match:
        raise ValueError(f"'{text}' is not like 600:100:3:20 (level:low-level:factor:margin)")
    level, low, factor, margin = (int(part) for part in match.groups())
    if max(level, low, margin) > MAX_LEVEL or factor > 100:
        raise ValueError(f"'{text}': level, low-level and margin are in 0..{MAX_LEVEL}, factor is in 0..100")
    return Agc(level, low, factor, margin)


def agc_text(agc: Agc) -> str:
    """The inverse of `parse_agc`."""
    return f"{agc.level}:{agc.low_level}:{agc.factor}:{agc.margin}"


class Keys(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """Keys of a configuration; one that is not known is refused."""


class Vad(Keys, frozen=True):
    """Voice activity detection: who is quieter than `level` (mean of |sample|) is not mixed in; or, with `engine: webrtc`, what
    is no speech, the more strictly the higher the `mode`.
    """

    enable: bool = True
    level: Level = 300
    engine: Literal["level", "webrtc"] = "level"
    mode: Annotated[int, Meta(ge=0, le=3)] = 2


class Cng(Keys, frozen=True):
    """Comfort noise: what is heard while nobody speaks; with `packets` told to telephones that make it themselves (RFC 3389)."""

    enable: bool = True
    level: Annotated[int, Meta(ge=0, le=MAX_NOISE)] = 120
    packets: bool = True


class AgcKeys(Keys, frozen=True):
    """Automatic gain control of those who speak."""

    enable: bool = False
    data: str = "0:0:3:20"

    def __post_init__(self) -> None:
        try:
            parse_agc(self.data)
        except ValueError as error:
            raise ValueError(f"data {error}") from None

    @property
    def settings(self) -> Agc:
        return parse_agc(self.data)


class Record(Keys, frozen=True):
    """Recordings: whether one begins when somebody comes, in which format, and with a track of each who speaks."""

    auto: bool = False
    format: Literal["wav", "opus"] = "wav"
    tracks: bool = False


class Profile(Keys, frozen=True):
    """What a conference is like. A sound is a file or `tone_stream://…`; an empty one is not played."""

    inherit: str | None = None
    sample_rate: Literal[8000, 16000, 32000, 48000] = 8000
    ptime: Literal[10, 20, 30, 40, 60] = 20
    channels: Literal[1, 2] = 1
    codecs: tuple[str, ...] = ()
    transcoding: bool = True
    conference_term_timer: Annotated[int, Meta(ge=0, le=86_400)] = 0
    group_term_timer: Annotated[int, Meta(ge=0, le=86_400)] = 0
    max_members: Annotated[int, Meta(ge=0, le=100_000)] = 0
    join_muted: bool = False
    wait_for_admin: bool = False
    end_without_admin: bool = False
    admin_grace: Annotated[int, Meta(ge=0, le=86_400)] = 60
    ask_names: bool = False
    announce_names: bool = False
    announce_count: bool = False
    announce_limit: Annotated[int, Meta(ge=0, le=100_000)] = 0
    vad: Vad = Vad()
    cng: Cng = Cng()
    agc: AgcKeys = AgcKeys()
    noise_suppression: bool = False
    echo_guard: bool = False
    record: Record = Record()
    admin_controls: str = "default"
    user_controls: str = "default"
    digit_timeout: Annotated[float, Meta(ge=0.2, le=30)] = 2.0
    alone_sound: bool = True
    status_exchange: bool = True
    pin_auth: bool = False
    admin_pin: Pin | None = None
    user_pin: Pin | None = None
    sound_prefix: Spec = ""
    tts_engine: Annotated[str, Meta(max_length=64)] = "espeak-ng"
    tts_voice: Voice = "en"
    moh: Spec = "moh.wav"
    enter_pin_code: Spec = "enter-pin.wav"
    bad_pin_code: Spec = "bad-pin.wav"
    member_join: Spec = "tone_stream://%(150,0,660)"
    member_leave: Spec = "tone_stream://%(150,0,440)"
    member_say_name: Spec = "say-name.wav"
    member_has_joined: Spec = "has-joined.wav"
    member_has_left: Spec = "has-left.wav"
    member_welcome: Spec = "welcome.wav"
    member_bye: Spec = "bye.wav"
    member_alone: Spec = "alone.wav"
    member_invited: Spec = "invited.wav"
    member_kicked: Spec = "kicked.wav"
    member_muted: Spec = "muted.wav"
    member_unmuted: Spec = "unmuted.wav"
    member_deaf: Spec = "deaf.wav"
    member_undeaf: Spec = "undeaf.wav"
    member_admin: Spec = "admin.wav"
    member_unadmin: Spec = "unadmin.wav"
    member_speaker: Spec = "speaker.wav"
    member_unspeaker: Spec = "unspeaker.wav"
    member_refused: Spec = "refused.wav"
    member_locked: Spec = "is-locked.wav"
    member_unlocked: Spec = "is-open.wav"
    member_barred: Spec = "locked.wav"
    member_all_muted: Spec = "all-muted.wav"
    member_all_unmuted: Spec = "all-unmuted.wav"
    member_recorded: Spec = "recorded.wav"
    member_unrecorded: Spec = "unrecorded.wav"

    @property
    def treatment(self) -> Treatment:
        """What is done to voices before they are mixed."""
        mode = self.vad.mode if self.vad.engine == "webrtc" else None
        return Treatment(mode, self.noise_suppression, self.echo_guard)

    def sounds(self) -> dict[str, str]:
        """The sounds that this profile plays: key -> file or tone."""
        return {key: spec for key in SOUNDS if (spec := getattr(self, key))}


SOUNDS = tuple(
    name
    for name in Profile.__struct_fields__
    if name.startswith("member_") or name in ("moh", "enter_pin_code", "bad_pin_code")
)


def merge(profiles: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The profiles of a configuration, as plain values, with what they inherit. Raises ConfigError."""
    return {name: _merged(name, profiles, ()) for name in profiles}


def _merged(name: str, profiles: Mapping[str, Any], heirs: tuple[str, ...]) -> dict[str, Any]:
    own = profiles[name]
    if own is None:
        own = {}
    if not isinstance(own, Mapping):
        raise ConfigError(("profiles", name), "must be keys with values")
    parent = own.get("inherit")
    if parent is None:
        return dict(own)
    line = (*heirs, name)
    if not isinstance(parent, str) or parent not in profiles:
        raise ConfigError(("profiles", name, "inherit"), f"no profile '{parent}'{near(str(parent), profiles)}")
    if parent in line:
        raise ConfigError(("profiles", name, "inherit"), f"goes in a circle: {' -> '.join((*line, parent))}")
    return _overlaid(_merged(parent, profiles, line), own)


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    values = dict(below)
    for key, value in above.items():
        under = values.get(key)
        values[key] = {**under, **value} if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return values


def resolve(profiles: Mapping[str, Any]) -> dict[str, Profile]:
    """The profiles of a configuration, complete and checked. Raises ConfigError."""
    converted = {name: complete(name, values) for name, values in merge(profiles).items()}
    for name, profile in converted.items():
        check(name, profile)
    return converted


def check(name: str, profile: Profile) -> None:
    """That the keys of a complete profile go together. Raises ConfigError."""
    if profile.pin_auth and not (profile.admin_pin or profile.user_pin):
        raise ConfigError(("profiles", name, "pin_auth"), "is true, but there is no PIN; give admin_pin or user_pin")
    if profile.admin_pin and profile.admin_pin == profile.user_pin:
        raise ConfigError(("profiles", name, "user_pin"), "is also the admin_pin; they must differ")
    if fault := _codecs_fault(profile.codecs):
        raise ConfigError(("profiles", name, "codecs"), fault)
    for key, treatment in (
        ("vad", Treatment(profile.treatment.vad)),
        ("noise_suppression", Treatment(noise=profile.noise_suppression)),
    ):
        if fault := package_missing(treatment):
            raise ConfigError(("profiles", name, key), fault)
    if not profile.transcoding and (fault := _passing_fault(profile)):
        raise ConfigError(("profiles", name, "transcoding"), fault)


def _passing_fault(profile: Profile) -> str | None:
    """What keeps a conference from passing on what it gets."""
    if len(profile.codecs) != 1:
        return "is false, so codecs must name the one codec that calls may have, like [opus]"
    if profile.noise_suppression or profile.echo_guard:
        return "is false, so sound cannot be changed; leave out noise_suppression and echo_guard"
    rate = rate_of(profile.codecs[0])
    if rate not in (None, profile.sample_rate):
        return f"is false, so sample_rate must be that of {profile.codecs[0]}, {rate}"
    return None if profile.ptime == TICK else f"is false, so ptime must be {TICK}"


def _codecs_fault(codecs: tuple[str, ...]) -> str | None:
    for codec in codecs:
        if codec not in NAMES:
            return f"no codec '{codec}'{near(codec, NAMES)}"
        if codecs.count(codec) > 1:
            return f"{codec} is there twice; keep one"
        if fault := missing(codec):
            return fault
    return None


def complete(name: str, values: Mapping[str, Any]) -> Profile:
    """A profile of plain values, with nothing inherited any more. Raises ConfigError."""
    place: tuple[str, ...] = ("profiles", name)
    _check_keys(values, Profile, place)
    try:
        return msgspec.convert(values, Profile)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at `$")
        raise ConfigError((*place, *filter(None, where.rstrip("`").split("."))), _explained(text, where)) from None


def _check_keys(values: Mapping[str, Any], kind: type[Struct], place: tuple[str, ...]) -> None:
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for key, value in values.items():
        if key not in fields:
            raise ConfigError((*place, str(key)), f"unknown key{near(str(key), fields)}")
        section = fields[key]
        if isinstance(section, type) and issubclass(section, Struct) and isinstance(value, Mapping):
            _check_keys(value, section, (*place, key))


def _explained(text: str, where: str) -> str:
    """msgspec's message, with what is allowed where it says less than we know."""
    kind: Any = Profile
    for part in filter(None, where.rstrip("`").split(".")):
        kind = next(field.type for field in msgspec.structs.fields(kind) if field.encode_name == part)
    for argument in (kind, *get_args(kind)):
        for meta in get_args(argument)[1:] if get_origin(argument) is Annotated else ():
            if meta.ge is not None and meta.le is not None:
                return f"must be in {meta.ge}..{meta.le}"
            if meta.description is not None:
                return f"must be {meta.description}, in quotes"
    if get_origin(kind) is Literal:
        return f"must be {' or '.join(map(str, get_args(kind)))}"
    if text.startswith("Expected `object`"):
        return "must be keys with values"
    if kind is bool:
        return "must be true or false"
    return text[:1].lower() + text[1:]
