"""The table of commands: one entry, wherever the command comes from (a keypad, the management socket).

A command is a function with a decorator, in a module of a folder like `dtmf/`; its docstring is its help:

    @command("vol-talk", argument=STEP)
    def vol_talk(member: Member, step: int) -> None:
        \"\"\"Louder or softer, what I say: +N or -N steps, 0 = as it was.\"\"\"

It returns what its user is to read, or nothing; what cannot be done it raises as CommandError. One that takes long is a
generator, which yields after each 2 ms of work, and returns the same.
"""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol, TypeVar

from xconf.conference.later import Later
from xconf.conference.turns import Turns, finish

Scope = Literal["member", "conference", "node"]
Rights = Literal["anyone", "self", "admin", "operator"]
"""Who may run a command from a telephone: anyone, for it only shows something; a member on itself; an administrator, in the
conference that it is in; nobody, for it is a matter of the whole server.
"""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_STEP = re.compile(r"[+-]\d{1,6}|0")


class CommandsError(Exception):
    """A file of commands that does not load; the text has its name, the line and the reason."""


@dataclass(frozen=True, slots=True)
class Argument:
    """What a command is told: how to write it, and what makes a value of it (raising ValueError). among: the same, where it
    takes to know all commands.
    """

    usage: str
    parse: Callable[[str], Any] = str
    optional: bool = False
    among: Callable[[str, Table], Any] | None = None


def _step(text: str) -> int:
    if not _STEP.fullmatch(text):
        raise ValueError(f"'{text}' is not like +1, -1 or 0")
    return int(text)


STEP = Argument("+N|-N|0", _step)


def steps(most: int) -> Argument:
    """A step of at most so many."""

    def parse(text: str) -> int:
        step = _step(text)
        if abs(step) > most:
            raise ValueError(f"'{text}' is not in -{most}..+{most}")
        return step

    return Argument(STEP.usage, parse)


def one_of(*words: str) -> Argument:
    """An argument that is one of some words."""

    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"'{text}' is not one of {', '.join(words)}")
        return text

    return Argument("|".join(words), parse)


class Feed(Protocol):
    """What a command goes on saying, for as long as somebody listens."""

    def listen(self, news: Callable[[], None]) -> None:
        """Call `news` when there is something to `read`, from now on."""

    def read(self) -> list[dict[str, Any]]:
        """What JSON can say, some of it, in order; nothing when there is nothing more now."""

    def close(self) -> None:
        """Nobody listens any more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command has to say: text for people, data for programs (what JSON can say).

    later: what it says when that which it began is over; who has time waits for that.
    """

    text: str
    data: Any = None
    feed: Feed | None = None
    later: Later | None = None


Answer = Reply | str | None


@dataclass(frozen=True, slots=True)
class Command:
    """One entry of the table. `run` is called with the member, conference or node, and the argument if it has one.

    everywhere: None: on one node. Else what it does to a conference is to be done on all nodes that have members in it; on all but
    the first with these words besides. latest: on the node where who came last is, of those that `dispatch.latest` finds.
    """

    name: str
    scope: Scope
    argument: Argument | None
    run: Callable[..., Answer | Turns[Answer]]
    rights: Rights | Callable[[Any], Rights] = "operator"
    everywhere: str | None = None
    latest: bool = False

    def rights_for(self, argument: Any) -> Rights:
        """Who may run it with that argument."""
        return self.rights if isinstance(self.rights, str) else self.rights(argument)

    @property
    def usage(self) -> str:
        if self.argument is None:
            return self.name
        return (
            f"{self.name} [{self.argument.usage}]" if self.argument.optional else f"{self.name} {self.argument.usage}"
        )

    @property
    def doc(self) -> str:
        """The first line of what its function says of itself."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]

    @property
    def place(self) -> str:
        code = getattr(self.run, "__code__", None)
        return f"{code.co_filename}:{code.co_firstlineno}" if code else self.run.__module__

    def parse(self, text: str, table: Table) -> Any:
        """The argument, from text; table: of all commands. Raises ValueError with how it is written."""
        if self.argument is None:
            if text:
                raise ValueError(f"{self.name} takes no argument")
            return None
        if not text and not self.argument.optional:
            raise ValueError(f"{self.name} needs an argument: {self.usage}")
        try:
            return self.argument.among(text, table) if self.argument.among else self.argument.parse(text)
        except ValueError as error:
            raise ValueError(f"{self.name}: {error}") from None

    def turns(self, target: Any, argument: Any = None) -> Turns[Reply]:
        """Run it. Raises CommandError."""
        answer = self.run(target) if self.argument is None else self.run(target, argument)
        if isinstance(answer, Generator):
            answer = yield from answer
        return answer if isinstance(answer, Reply) else Reply(answer or "")

    def __call__(self, target: Any, argument: Any = None) -> Reply:
        """Run it, all its turns at once. Raises CommandError."""
        return finish(self.turns(target, argument))


Function = TypeVar("Function", bound=Callable[..., Answer | Turns[Answer]])


_USUAL: dict[Scope, Rights] = {"member": "self", "conference": "admin", "node": "operator"}


def command(
    name: str,
    scope: Scope = "member",
    argument: Argument | type[int] | None = None,
    rights: Rights | Callable[[Any], Rights] | None = None,
    everywhere: str | None = None,
    latest: bool = False,
) -> Callable[[Function], Function]:
    """Makes a command of a function. argument: STEP, `one_of(…)`, another Argument; `int` is STEP. rights: who may run it
    from a telephone, or what tells that of its argument; without, a member what is for members, on itself, and an
    administrator what is for its conference. everywhere: on all nodes that have members in that conference; latest: on the one where who came last is; see `Command`.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"command name {name!r} is not lower case letters, digits and hyphens")
    if scope not in ("member", "conference", "node"):
        raise ValueError(f"command {name}: scope {scope!r} is not member, conference or node")
    told = argument if isinstance(argument, Argument | None) else STEP

    def mark(function: Function) -> Function:
        if not (function.__doc__ or "").strip():
            raise ValueError(f"command {name} has no docstring; say what it does, for the help")
        function.__dict__.setdefault("xconf_commands", []).append(
            Command(name, scope, told, function, rights or _USUAL[scope], everywhere, latest)
        )
        return function

    return mark


def commands_of(module: ModuleType) -> list[Command]:
    """The commands that a module defines, in the order in which it does."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", None) == module.__name__]
    return [entry for value in own for entry in getattr(value, "xconf_commands", ())]


class Table:
    """All commands, by scope. Raises CommandsError when a name is taken."""

    def __init__(self, commands: Iterable[Command] = ()) -> None:
        self.member: dict[str, Command] = {}
        self.conference: dict[str, Command] = {}
        self.node: dict[str, Command] = {}
        self.api: frozenset[str] | None = None  # the commands that `api` on a key may run; None: any
        self.add(commands)

    def scope(self, scope: Scope) -> dict[str, Command]:
        return {"member": self.member, "conference": self.conference, "node": self.node}[scope]

    def add(self, commands: Iterable[Command]) -> None:
        for entry in commands:
            taken = self.scope(entry.scope).setdefault(entry.name, entry)
            if taken is not entry:
                raise CommandsError(f"{entry.place}: command '{entry.name}' is already defined in {taken.place}")


def load_folder(folder: Path) -> list[Command]:
    """The commands of every Python file of a folder (not of those that begin with `_`). Raises CommandsError."""
    if not folder.is_dir():
        raise CommandsError(f"{folder}: no such folder of keypad commands")
    return [entry for path in sorted(folder.glob("[!_]*.py")) for entry in load_file(path)]


def load_file(path: Path) -> list[Command]:
    """The commands of one file. Raises CommandsError with file, line and reason."""
    name = re.sub(r"\W", "_", f"xconf_commands_{path.resolve().with_suffix('')}")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise CommandsError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise CommandsError(f"{path}:{_line_of(error, path)}: {_reason(error)}") from error
    found = commands_of(module)
    if not found:
        raise CommandsError(f"{path}: defines no command; use @command of xconf.conference.commands")
    return found


def _line_of(error: BaseException, path: Path) -> int:
    if isinstance(error, SyntaxError) and error.lineno:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    return lines[-1] if lines and lines[-1] else 1


def _reason(error: BaseException) -> str:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
