"""How one member is heard and hears: flags, levels and volumes, and what they make of its leg."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from xconf.conference.profile import MAX_LEVEL, Profile
from xconf.media.leg import Agc
from xconf.media.levels import STEPS

if TYPE_CHECKING:
    from xconf.media.leg import Leg

GUESSES = 9  # wrong PINs in one call: whoever wants to try them all has to call again and again


@dataclass(slots=True)
class Defaults:
    """What the conference has for those of its members who have nothing of their own."""

    vad: bool
    vad_level: int
    agc: bool
    agc_settings: Agc
    cng: bool
    cng_level: int

    @classmethod
    def of(cls, profile: Profile) -> Defaults:
        return cls(
            profile.vad.enable,
            profile.vad.level,
            profile.agc.enable,
            profile.agc.settings,
            profile.cng.enable,
            profile.cng.level,
        )


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


@dataclass(slots=True)
class Settings:
    """Of one member. None: as the conference has it. vad_level in 0..1800; talk and listen in steps of -4..4; guesses: wrong
    PINs that it may still try, wherever it goes.
    """

    speaker: bool = False
    admin: bool = False
    auth: bool = False
    mute: bool = False
    deaf: bool = False
    vad: bool | None = None
    agc: bool | None = None
    cng: bool | None = None
    vad_level: int | None = None
    agc_settings: Agc | None = None
    talk: int = 0
    listen: int = 0
    guesses: int = GUESSES

    @classmethod
    def of(cls, flags: Mapping[str, bool]) -> Settings:
        """Those that a member starts with (see `member_flags`)."""
        settings = cls()
        for name, on in flags.items():
            setattr(settings, name, on)
        return settings

    def told(self) -> dict[str, Any]:
        """What is not as every member begins, for another node; JSON can hold it."""
        return {name: value for name, value in asdict(self).items() if value != getattr(_ANY, name)}

    @classmethod
    def as_told(cls, told: Mapping[str, Any]) -> Settings:
        """The reverse. What a node of another version tells besides is passed over."""
        known = {field.name: told[field.name] for field in fields(cls) if field.name in told}
        if known.get("agc_settings"):
            known["agc_settings"] = Agc(**known["agc_settings"])
        return cls(**known)

    def elsewhere(self, *, trusted: bool) -> Settings:
        """What it takes along into another conference: its rights only where they are given by the same PINs."""
        return replace(self) if trusted else replace(self, admin=False, auth=False)

    def step_vad(self, step: int, defaults: Defaults) -> None:
        """Move the threshold of the voice detector; 0: the conference's."""
        level = defaults.vad_level if self.vad_level is None else self.vad_level
        self.vad_level = _clamp(level + step, 0, MAX_LEVEL) if step else None

    def step_agc(self, step: int, defaults: Defaults) -> None:
        """Move the target of the automatic gain; 0: the conference's."""
        own = self.agc_settings or defaults.agc_settings
        self.agc_settings = replace(own, level=_clamp(own.level + step, 0, MAX_LEVEL)) if step else None

    def step_talk(self, step: int) -> None:
        """Louder or softer, what the member says; 0: as it was."""
        self.talk = _clamp(self.talk + step, -STEPS, STEPS) if step else 0

    def step_listen(self, step: int) -> None:
        """Louder or softer, what the member hears; 0: as it was."""
        self.listen = _clamp(self.listen + step, -STEPS, STEPS) if step else 0

    def threshold(self, defaults: Defaults) -> int:
        """Of the voice detector; 0 when it is off."""
        on = defaults.vad if self.vad is None else self.vad
        return (defaults.vad_level if self.vad_level is None else self.vad_level) if on else 0

    def gain(self, defaults: Defaults) -> Agc | None:
        """The automatic gain; None when it is off."""
        on = defaults.agc if self.agc is None else self.agc
        return (self.agc_settings or defaults.agc_settings) if on else None

    def noise(self, defaults: Defaults) -> int | None:
        """The comfort noise that it hears; None: that of the conference."""
        if self.cng is None or self.cng is defaults.cng:
            return None
        return defaults.cng_level if self.cng else 0

    def apply(self, leg: Leg, defaults: Defaults) -> None:
        """Make the leg so; only what differs is touched."""
        wanted = {
            "mute": self.mute,
            "deaf": self.deaf,
            "vad_level": self.threshold(defaults),
            "agc": self.gain(defaults),
            "talk_gain": self.talk,
            "listen_gain": self.listen,
            "own_noise": self.noise(defaults),
            "speaker": self.speaker,
        }
        for name, value in wanted.items():
            if getattr(leg, name) != value:
                setattr(leg, name, value)

    def flags(self, defaults: Defaults) -> list[str]:
        """The names of the flags that are on."""
        states = {
            "speaker": self.speaker,
            "admin": self.admin,
            "auth": self.auth,
            "mute": self.mute,
            "deaf": self.deaf,
            "vad": self.threshold(defaults) > 0,
            "agc": self.gain(defaults) is not None,
            "cng": defaults.cng if self.cng is None else self.cng,
        }
        return [name for name, on in states.items() if on]


_ANY = Settings()
