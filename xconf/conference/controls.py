"""Controls profiles: which digits a caller presses for which command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xconf.conference import spoken
from xconf.conference.commands import Command, Rights, Table
from xconf.conference.errors import ConfigError, near
from xconf.conference.profile import Profile

DIGITS = frozenset("0123456789*#ABCD")
MAX_DIGITS = 10
_KEY = re.compile(r"[0-9*#A-D]{1,10}")

DEFAULT = {
    "#": "hangup",
    "*": "deaf",
    "0": "deaf-mute",
    "9": "vad-level:+100",
    "8": "vad-level:0",
    "7": "vad-level:-100",
    "3": "vol-talk:+1",
    "2": "vol-talk:0",
    "1": "vol-talk:-1",
    "6": "vol-listen:+1",
    "5": "vol-listen:0",
    "4": "vol-listen:-1",
}


@dataclass(frozen=True, slots=True)
class Action:
    """A command with the argument that it is given; `text` as the configuration has it."""

    command: Command
    argument: Any
    text: str

    @property
    def rights(self) -> Rights:
        """Who may run it."""
        return self.command.rights_for(self.argument)

    @property
    def helps(self) -> Sequence[str]:
        """The sounds that say what it does, the best first."""
        if isinstance(self.argument, Action):
            return self.argument.helps
        return spoken.helps(self.command.name, self.text.partition(":")[2], self.command.doc)

    @classmethod
    def parse(cls, text: str, table: Table) -> Action:
        """From `action` or `action:argument`. Raises ValueError."""
        name, colon, rest = text.partition(":")
        command = table.member.get(name)
        if command is None:
            raise ValueError(f"no action '{name}'{near(name, table.member)}")
        return cls(command, command.parse(rest if colon else "", table), text)


class Controls:
    """The digits of one controls profile. Raises ConfigError."""

    def __init__(self, name: str, actions: Mapping[str, str] | Iterable[tuple[str, str]], table: Table) -> None:
        self.name = name
        self.actions: dict[str, Action] = {}
        for digits, text in actions.items() if isinstance(actions, Mapping) else actions:
            self._add(digits, text, table)
        self._beginnings = frozenset(digits[:end] for digits in self.actions for end in range(1, len(digits)))

    def _add(self, digits: Any, text: Any, table: Table) -> None:
        place = ("controls", self.name, str(digits))
        if not isinstance(digits, str):
            raise ConfigError(place, f"put the digits in quotes: '{digits}'")
        if not _KEY.fullmatch(digits):
            raise ConfigError(place, f"must be 1 to {MAX_DIGITS} of 0-9, *, #, A-D")
        if digits in self.actions:
            raise ConfigError(place, f"stands there twice: '{self.actions[digits].text}' and '{text}'")
        if not isinstance(text, str):
            raise ConfigError(place, "must be an action like 'mute' or 'vol-talk:+1'")
        try:
            self.actions[digits] = Action.parse(text, table)
        except ValueError as error:
            raise ConfigError(place, str(error)) from None

    def begins(self, digits: str) -> bool:
        """Whether more digits could make a command of these."""
        return digits in self._beginnings


def build(controls: Mapping[str, Any], table: Table) -> dict[str, Controls]:
    """The controls profiles of a configuration; `default` is there also when it is not given. Raises ConfigError."""
    built = {}
    for name, actions in {"default": DEFAULT, **controls}.items():
        if not isinstance(actions, Mapping):
            raise ConfigError(("controls", name), "must be digits with actions, like '#': hangup")
        built[name] = Controls(name, actions, table)
    return built


def check_references(profiles: Mapping[str, Profile], controls: Mapping[str, Controls]) -> None:
    """That the controls profiles that profiles name are there. Raises ConfigError."""
    for name, profile in profiles.items():
        for key in ("admin_controls", "user_controls"):
            wanted = getattr(profile, key)
            if wanted not in controls:
                raise ConfigError(("profiles", name, key), f"no controls '{wanted}'{near(wanted, controls)}")
