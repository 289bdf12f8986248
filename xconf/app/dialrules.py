"""Rules of a dial plan: numbers, and the conferences that they lead to."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from xconf.app.section import Section
from xconf.app.values import NumberPattern
from xconf.conference.flags import member_flags

LONGEST_NUMBER = 128  # characters: a pattern of the dial plan is never run over what no one dials


@dataclass(frozen=True, slots=True)
class MemberFlags:
    """`+speaker -mute`: what a member starts with."""

    text: str
    flags: dict[str, bool]

    @classmethod
    def parse(cls, text: str) -> MemberFlags:
        return cls(text, member_flags(text))

    def __str__(self) -> str:
        return self.text


class DialRule(Section, frozen=True):
    """Numbers, and the conference that they lead to."""

    number: NumberPattern
    conference: str
    profile: str = "default"
    flags: MemberFlags = MemberFlags("", {})

    def __post_init__(self) -> None:
        try:
            _empty_match(self.number.regex).expand(self.conference)
        except (re.error, IndexError) as error:
            raise ValueError(f"conference '{self.conference}' does not fit the number: {error}") from None

    def conference_of(self, dialled: str) -> str | None:
        """The name of the conference that this number leads to, or None when the rule is not for it."""
        match = self.number.regex.fullmatch(dialled)
        return match.expand(self.conference) if match else None


def _empty_match(regex: re.Pattern[str]) -> re.Match[str]:
    """A match with the same groups as those of `regex`, all of them empty."""
    names = {index: f"?P<{name}>" for name, index in regex.groupindex.items()}
    match = re.fullmatch("".join(f"({names.get(index, '')})" for index in range(1, regex.groups + 1)), "")
    assert match is not None
    return match


def first_rule(rules: Iterable[DialRule], dialled: str) -> tuple[DialRule, str] | None:
    """The first rule for a dialled number, and the name of the conference that it leads to."""
    if len(dialled) > LONGEST_NUMBER:
        return None
    for rule in rules:
        conference = rule.conference_of(dialled)
        if conference:
            return rule, conference
    return None
