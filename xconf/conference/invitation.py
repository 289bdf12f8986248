"""What is wanted of an invitation, as it is typed; and what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Protocol

from xconf.conference.errors import near
from xconf.conference.flags import member_flags
from xconf.conference.turns import Turns


class Result(StrEnum):
    """What came of calling somebody."""

    ANSWERED = "answered"  # and in the conference
    BUSY = "busy"
    NO_ANSWER = "no-answer"
    REJECTED = "rejected"  # the status of the answer tells why
    UNREACHABLE = "unreachable"
    NOT_CONFIRMED = "not-confirmed"  # answered, but the key was not pressed
    CANCELLED = "cancelled"
    REFUSED = "refused"  # by us: not allowed, no room


RETRIED = (Result.BUSY, Result.NO_ANSWER, Result.UNREACHABLE, Result.REJECTED, Result.NOT_CONFIRMED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How to call. Times in seconds.

    profile: the conference is made from, if there is none of its name; flags: what the member starts with; caller_id: who
    calls, a number or `Name <number>`, "" for the trunk's, or else the conference's name; trunk: by which one, "" for the
    first that works; timeout: how long it may ring; retries, pause: how often it is tried again and how long after; retry_on:
    after which results; confirm: only who presses 1 comes in; early: sound from before the answer is heard in the
    conference; late_offer: the other side is to make the offer; pace: calls a second of a list, 0 for the server's.
    """

    profile: str = "default"
    flags: Mapping[str, bool] = field(default_factory=lambda: {"speaker": True})
    caller_id: str = ""
    trunk: str = ""
    timeout: int = 45
    retries: int = 0
    pause: int = 30
    retry_on: frozenset[Result] = frozenset({Result.BUSY, Result.NO_ANSWER, Result.UNREACHABLE})
    confirm: bool = False
    early: bool = False
    late_offer: bool = False
    pace: float = 0.0


def _whole(first: int, last: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not first <= int(text[:9]) <= last:
            raise ValueError(f"'{text}' is not in {first}..{last}")
        return int(text)

    return parse


def _yes(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError(f"'{text}' is not yes or no")
    return text == "yes"


def _pace(text: str) -> float:
    try:
        pace = float(text)
    except ValueError:
        pace = -1.0
    if not 0.01 <= pace <= 1000:
        raise ValueError(f"'{text}' is not in 0.01..1000 calls a second")
    return pace


def results(text: str) -> frozenset[Result]:
    """The results that call for another try: `busy,no-answer`. Raises ValueError."""
    words = [word for word in text.split(",") if word]
    for word in words:
        if word not in RETRIED:
            raise ValueError(f"no result '{word}'{near(word, RETRIED)}")
    return frozenset(Result(word) for word in words)


def caller_id(text: str) -> str:
    """Who calls, as it is shown: `3000` or `Board <3000>`. Raises ValueError."""
    caller = text.replace('"', "").strip()
    if not _CALLER.fullmatch(caller):
        raise ValueError(f"'{caller[:64]}' is not a number or a name with a number, like Board <3000>")
    return caller


def _early(text: str) -> bool:
    if text not in ("heard", "ignored"):
        raise ValueError(f"'{text}' is not heard or ignored")
    return text == "heard"


_CALLER = re.compile(r"[^<>@:]{0,48}<\+?[\w.-]{1,32}>|\+?[\w.-]{1,32}")

_OPTIONS: dict[str, Callable[[str], Any]] = {
    "profile": str,
    "flags": member_flags,
    "caller-id": caller_id,
    "trunk": str,
    "timeout": _whole(1, 300),
    "retries": _whole(0, 20),
    "pause": _whole(1, 3600),
    "retry-on": results,
    "confirm": _yes,
    "early": _early,
    "late-offer": _yes,
    "pace": _pace,
}
assert {name.replace("-", "_") for name in _OPTIONS} == {one.name for one in fields(Wishes)}

USAGE = "NUMBER|sip:URI|@LIST … [" + " ".join(f"{name}=…" for name in _OPTIONS) + "]"

_OPTION = re.compile(r"([a-z-]+)=(.*)", re.DOTALL)
_NAME_AND_NUMBER = re.compile(r"[^<>:]*<[^<>:]*>\"?")


@dataclass(frozen=True, slots=True)
class Request:
    """Whom to call, as typed, and what is wanted besides what is usual."""

    targets: tuple[str, ...]
    options: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str) -> Request:
        """From `1001 "Ann" <sip:ann@10.0.0.7> @board timeout=20`. Raises ValueError."""
        targets: list[str] = []
        options: dict[str, Any] = {}
        for word in _joined(text.split()):
            option = _OPTION.fullmatch(word)
            if option is None:
                targets.append(word)
            elif option[1] not in _OPTIONS:
                raise ValueError(f"no option '{option[1]}'{near(option[1], _OPTIONS)}")
            else:
                try:
                    options[option[1].replace("-", "_")] = _OPTIONS[option[1]](option[2])
                except ValueError as error:
                    raise ValueError(f"{option[1]}: {error}") from None
        if not targets:
            raise ValueError("name whom to call: a number, a sip: URI or @LIST")
        return cls(tuple(targets), options)

    def wishes(self, usual: Wishes) -> Wishes:
        return replace(usual, **self.options)


def _joined(words: list[str]) -> list[str]:
    """Names that have several words, and the address behind them, in one: `Ann`, `Lee`, `<sip:ann@10.0.0.7>`."""
    joined: list[str] = []
    names: list[str] = []  # what may be the beginning of one
    for word in words:
        if word.endswith((">", '>"')):
            if names and names[0].startswith("caller-id=") and not _NAME_AND_NUMBER.fullmatch(word):
                joined.append(names.pop(0))  # whoever is called has the rest of them
            joined.append(" ".join([*names, word]))
            names = []
        elif word.startswith("caller-id="):
            joined += names
            names = [word]
        elif any(map(str.isalpha, word)) and not set(word) & set("<>=:@"):
            names.append(word)
        else:
            joined += [*names, word]
            names = []
    return joined + names


Row = dict[str, Any]


class Inviter(Protocol):
    """Who calls people into conferences; the commands' view of it."""

    def invite(self, conference: str, request: Request, by: str) -> Turns[Sequence[Row]]:
        """Calls are to be made; a row for each, as `rows` has them. by: who asked for it. Raises CommandError."""

    def cancel(self, which: str, conference: str | None = None) -> Turns[Sequence[Row]]:
        """Invitations that are not over, by number, or all. Raises CommandError."""

    def rows(self, conference: str | None = None) -> Turns[Sequence[Row]]:
        """Invitations that are not over, and the latest of those that are."""
