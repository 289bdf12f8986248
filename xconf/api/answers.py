"""From a request of the management socket to its answer: in JSON for programs, as text for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xconf.conference.commands import Feed
from xconf.conference.turns import LOOKS, ROWS, Made, Turns, TurnTaker, each

LONG = 100_000  # octets

log = Logger()


class Outcome(Protocol):
    """What a command gave: text for people, data for programs, and what it goes on to say."""

    @property
    def text(self) -> str: ...
    @property
    def data(self) -> Any: ...
    @property
    def ok(self) -> bool: ...
    @property
    def feed(self) -> Feed | None: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was wrong, in one line."""

    text: str
    data: None = None
    ok: bool = False
    feed: None = None


Run = Callable[[str | Sequence[str]], Outcome | Deferred[Any] | Turns[Any]]
"""Does a command, now or later, or in turns."""


@dataclass(frozen=True, slots=True)
class Answer:
    """parts: what is sent, octets; feed: what more there is to say, as lines of JSON or of text."""

    parts: list[bytes]
    as_json: bool
    feed: Feed | None = None


async def answer(line: bytes, run: Run, turns: TurnTaker) -> Answer:
    """The answer to one request, whatever it is; a command that breaks is logged, and does not break the server."""
    text = line.decode("utf-8", "replace").strip()
    as_json = text.startswith("{")
    try:
        outcome = run(_command(text) if as_json else text)
        while isinstance(outcome, Deferred | Generator):
            outcome = await (outcome if isinstance(outcome, Deferred) else taken(turns, outcome))
        return Answer(await taken(turns, encoded(outcome, as_json)), as_json, outcome.feed)
    except ValueError as error:
        return refused(str(error), as_json)
    except Exception:
        log.failure("the command {command} broke", command=text)
        return refused("the command broke; the server's log says where", as_json)


def taken(turns: TurnTaker, work: Turns[Made]) -> Deferred[Made]:
    """Its result, when all its turns were taken."""
    result: Deferred[Made] = Deferred()
    turns.take(work, result.callback, result.errback)
    return result


def refused(text: str, as_json: bool) -> Answer:
    """An answer that says what was wrong, in one line."""
    line = f'{{"ok":false,"text":{json.dumps(text)},"data":null}}' if as_json else f"ERROR {text}"
    return Answer([line.encode(), b"\n"], as_json)


def _command(text: str) -> str | list[str]:
    try:
        request = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError('not JSON; a request is like {"command": "list"}') from None
    command = request.get("command")
    if isinstance(command, str):
        return command
    if isinstance(command, list) and all(isinstance(word, str) for word in command):
        return command
    raise ValueError('"command" must be a text or a list of words')


def encoded(outcome: Outcome, as_json: bool) -> Turns[list[bytes]]:
    """An answer's octets, in parts. A long table of data takes many turns."""
    if not as_json:
        text = f"{outcome.text}\nOK\n".lstrip("\n") if outcome.ok else f"ERROR {outcome.text}\n"
        yield from _let_go(outcome.data)
        return [text.encode()]
    if isinstance(outcome.data, list):
        told = yield from each(outcome.data, octets)
        yield from _let_go(outcome.data)
        data = b"[" + b",".join(told) + b"]"
    else:
        data = octets(outcome.data)
    if len(data) > LONG:
        yield None
    more = b',"follows":true}\n' if outcome.feed else b"}\n"
    return [b'{"ok":%b,"text":' % octets(outcome.ok), octets(outcome.text), b',"data":', data, more]


def _let_go(data: Any) -> Turns[None]:
    """Thousands of rows: to free them takes its time, too."""
    while isinstance(data, list) and len(data) > ROWS:
        del data[-LOOKS:]
        yield None


def octets(value: Any) -> bytes:
    """A value as JSON."""
    return msgspec.json.encode(value, enc_hook=str)
