"""What the shell offers at the Tab key: our commands, and those, conferences and members of the running server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from xconf.cluster.node_command import DISPATCHER
from xconf.conference.flags import CONFERENCE_FLAGS, MEMBER_FLAGS
from xconf.conference.management import WHAT
from xconf.conference.tuning import FIXED, KINDS

SCRIPTS = {
    "bash": """\
_xconf() {
    local IFS=$'\\n'
    COMPREPLY=($(xconf completion words "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -F _xconf xconf""",
    "zsh": """\
#compdef xconf
_xconf() { compadd -- ${(f)"$(xconf completion words "${words[@]:1:CURRENT-1}" 2>/dev/null)"} }
compdef _xconf xconf""",
}

Ask = Callable[[str], Any]
"""The data of a management command; nothing when there is no server."""


def candidates(words: Sequence[str], commands: Iterable[str], ask: Ask) -> list[str]:
    """What the last of the words, perhaps empty, may become."""
    *before, begun = words or [""]
    return sorted({word for word in _known(before, commands, ask) if word.startswith(begun)})


def _known(before: Sequence[str], commands: Iterable[str], ask: Ask) -> Iterable[str]:
    if not before:
        return commands
    if before[0] != "ctl":
        return ()
    match before[1:]:
        case []:
            return [*_commands("node", ask), *(row["name"] for row in ask("list") or ())]
        case ["nodes"]:
            return (DISPATCHER,)
        case ["profile"]:
            return (row["name"] for row in ask("profiles") or ())
        case [conference]:
            known = conference in [row["name"] for row in ask("list") or ()]
            return [*_commands("conference", ask), "member"] if known else ()
        case [conference, "member"]:
            return (row["uuid"] for row in ask(f"{conference} show members") or ())
        case [_, "member", _]:
            return _commands("member", ask)
        case [_, "show"]:
            return WHAT
        case [_, "set"]:
            return [key for key in KINDS if key not in FIXED]
        case [_, "set", key]:
            return ("true", "false") if KINDS.get(key) is bool else ()
        case [_, "flags", *_]:
            return _signed(CONFERENCE_FLAGS)
        case [_, "member", _, "flags", *_]:
            return _signed(MEMBER_FLAGS)
    return ()


def _signed(flags: Iterable[str]) -> list[str]:
    return [sign + flag for flag in flags for sign in "+-"]


def _commands(scope: str, ask: Ask) -> list[str]:
    return [told["command"] for told in ask("help") or () if told["scope"] == scope]
