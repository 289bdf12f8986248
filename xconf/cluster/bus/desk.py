"""Asks other nodes to do something, and does what they ask: requests and answers over a line that may fail at any time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from xconf.cluster.bus.follow import Follower, Teller
from xconf.cluster.bus.post import Ask, Post, Told
from xconf.conference.dispatch import Result, final, in_turns, latest, matching
from xconf.conference.interfaces import Clock, Timer
from xconf.conference.registry import Conferences
from xconf.conference.turns import ROWS, Turns, TurnTaker

PATIENCE = 2.0  # s for which an answer is waited for
SIGN = 1.0  # s between signs that something is still under way
MOST_ASKED = 256  # questions that are open, and that are being answered
MOST_ROWS = 500_000  # of an answer


class Line(Protocol):
    """What carries letters. It drops what it has no room for."""

    @property
    def up(self) -> bool:
        """Letters go out now."""

    def send(self, to: str, letter: bytes) -> None: ...


@dataclass(slots=True)
class Answer:
    """What a node said. silent: nothing, for too long, or it is gone."""

    ok: bool = False
    text: str = ""
    data: Any = None
    silent: bool = True


Done = Callable[[dict[str, Answer]], None]

Finder = Callable[[list[str]], Turns[list[Any]]]
"""Answers a question that is no command: its words in, rows out."""


@dataclass(slots=True, eq=False)
class _Question:
    done: Done
    answers: dict[str, Answer]
    open: set[str]
    timer: Timer | None = None
    rows: dict[str, list[Any]] = field(default_factory=dict)


class Desk:
    """One node's. Long answers go in parts; whoever is still at it says so each second. nodes: those that are there.

    finders: by what is asked.
    """

    def __init__(self, conferences: Conferences, post: Post, line: Line, nodes: Callable[[], list[str]]) -> None:
        self.line = line
        self._conferences = conferences
        self._clock: Clock = conferences.clock
        self._post = post
        self._turns = TurnTaker(self._clock)
        self._questions: dict[int, _Question] = {}
        self._last = 0
        self._serving = 0
        self.finders: dict[str, Finder] = {"find": self._find, "latest": self._latest}
        self.follower = Follower(post.name, conferences.events, self._clock, self._send, nodes)
        self._teller = Teller(conferences.events, self._clock, self._send)

    def ask(self, what: str, orders: Mapping[str, list[str]], done: Done) -> None:
        """orders: words for each node. Calls `done` with the answers, by node: at once, when nobody can be asked."""
        asked = set(orders)
        answers = {node: Answer() for node in sorted(asked)}
        if not asked or not self.line.up or len(self._questions) >= MOST_ASKED:
            done(answers)
            return
        self._last += 1
        question = self._questions[self._last] = _Question(done, answers, asked)
        self._wait(self._last, question)
        number = self._last
        for node, words in orders.items():
            if not self._send(node, Ask(number, what, words)):
                self._closed(number, question, node)

    def gone(self, node: str) -> None:
        """It will not answer."""
        for number, question in tuple(self._questions.items()):
            if node in question.open:
                self._closed(number, question, node)

    def letter(self, octets: bytes) -> None:
        """One came, from wherever."""
        opened = self._post.open(octets)
        if opened is None:
            return
        sender, content = opened
        if isinstance(content, Told):
            self._told(sender, content)
            self.follower.told(sender, content)
        elif content.what == "follow":
            self._teller.asked(sender, content)
        elif self._serving < MOST_ASKED:
            self._serving += 1
            self._turns.take(self._serve(sender, content), lambda _: self._served(), lambda error: self._broke(error))

    def _send(self, node: str, content: Ask | Told) -> bool:
        letter = self._post.seal(node, content) if self.line.up else None
        if letter is not None:
            self.line.send(node, letter)
        return letter is not None

    # Answers to us

    def _told(self, sender: str, told: Told) -> None:
        question = self._questions.get(told.id)
        if question is None or sender not in question.open:
            return
        self._wait(told.id, question)
        if isinstance(told.data, list) and (told.more or sender in question.rows):
            rows = question.rows.setdefault(sender, [])
            rows += told.data[: MOST_ROWS - len(rows)]
        if not told.more:
            data = question.rows.get(sender, told.data)
            question.answers[sender] = Answer(told.ok, told.text, data, False)
            self._closed(told.id, question, sender)

    def _wait(self, number: int, question: _Question) -> None:
        if question.timer is not None:
            question.timer.cancel()
        question.timer = self._clock.callLater(PATIENCE, self._given_up, number)

    def _given_up(self, number: int) -> None:
        question = self._questions.pop(number)
        question.done(question.answers)

    def _closed(self, number: int, question: _Question, node: str) -> None:
        question.open.discard(node)
        if not question.open and self._questions.pop(number, None) is not None:
            if question.timer is not None:
                question.timer.cancel()
            question.done(question.answers)

    # What others ask

    def _serve(self, sender: str, ask: Ask) -> Turns[None]:
        find = self.finders.get(ask.what)
        if find is not None:
            rows = yield from find(ask.words)
            self._send(sender, Told(ask.id, True, "", rows))
            return
        first = ask.words[0] if ask.words else ""
        if first in self._conferences.commands.node:
            self._send(sender, Told(ask.id, False, f"{first} is not for other nodes"))
            return
        result = yield from in_turns(self._conferences, ask.words)
        if result.later is None:
            yield from self._tell(sender, ask, result)
            return
        self._serving += 1
        sign = _Sign(self._clock, lambda: self._send(sender, Told(ask.id, True, "", more=True)))
        result.later.then(lambda outcome: self._at_last(sender, ask, final(outcome), sign))

    def _at_last(self, sender: str, ask: Ask, result: Result, sign: _Sign) -> None:
        sign.end()
        self._serving -= 1
        self._send(sender, Told(ask.id, result.ok, result.text, result.data))

    def _tell(self, sender: str, ask: Ask, result: Result) -> Turns[None]:
        """A long table goes in parts, without its text, which is made where it is read."""
        rows = result.data
        if ask.what != "rows" or not isinstance(rows, list):
            self._send(sender, Told(ask.id, result.ok, result.text, rows))
            return
        for begin in range(0, max(len(rows), 1), ROWS):
            more = begin + ROWS < len(rows)
            self._send(
                sender, Told(ask.id, result.ok, "" if result.ok else result.text, rows[begin : begin + ROWS], more)
            )
            yield None

    def _find(self, words: list[str]) -> Turns[list[Any]]:
        conference = self._conferences.get(words[0]) if len(words) == 2 else None
        if conference is None:
            return []
        found = yield from matching(conference, words[1])
        return [[member.id, member.caller] for member in found[:10]]

    def _latest(self, words: list[str]) -> Turns[list[Any]]:
        """How long the latest member has been in it (s)."""
        conference = self._conferences.get(words[0]) if words else None
        member = latest(conference, *words[1:2]) if conference is not None else None
        yield from ()
        return [] if member is None else [self._clock.seconds() - member.joined_at]

    def _served(self) -> None:
        self._serving -= 1

    def _broke(self, error: Exception) -> None:
        self._serving -= 1
        raise error


class _Sign:
    """Says again and again that something is still under way."""

    def __init__(self, clock: Clock, say: Callable[[], object]) -> None:
        self._clock, self._say = clock, say
        self._timer: Timer | None = None
        self._again()

    def _again(self) -> None:
        self._say()
        self._timer = self._clock.callLater(SIGN, self._again)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
