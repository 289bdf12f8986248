"""A conference that begins here later than elsewhere takes over what was set there while it ran (`set`).

The status of the others tells how often that was: where it was more often than here, one of them is asked over the bus.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from xconf.cluster.bus.desk import Answer, Desk
from xconf.cluster.census import Census
from xconf.conference.commands import Reply
from xconf.conference.dispatch import in_turns
from xconf.conference.errors import CommandError
from xconf.conference.interfaces import Timer
from xconf.conference.registry import Conferences
from xconf.conference.tuning import KINDS, value_of, written
from xconf.conference.turns import Turns, TurnTaker

SOON = 0.5  # s: what is set on all nodes just now comes by itself meanwhile
AGAIN = 2.0  # s until somebody is asked again, where there was no answer


class Latecomer:
    """One node's. It asks for as many conferences at once as there are here, one node for each."""

    def __init__(self, conferences: Conferences, census: Census, desk: Desk) -> None:
        self._conferences = conferences
        self._census = census
        self._desk = desk
        self._turns = TurnTaker(conferences.clock)
        self._asking: dict[str, Timer | None] = {}
        census.behind = self._behind
        desk.finders["keys"] = self._tell

    def stop(self) -> None:
        """Nothing is asked any more."""
        for timer in self._asking.values():
            if timer is not None:
                timer.cancel()
        self._asking.clear()

    def _behind(self, name: str) -> None:
        """Keys were set in it on other nodes more often than here."""
        conference = self._conferences.get(name)
        if conference is not None and name not in self._asking:
            self._ask_in(SOON if conference.members else 0.0, name)

    def _ask_in(self, seconds: float, name: str) -> None:
        self._asking[name] = self._conferences.clock.callLater(seconds, self._ask, name)

    def _ask(self, name: str) -> None:
        node = self._census.ahead(name)
        if node is None or self._conferences.get(name) is None:
            del self._asking[name]
            return
        self._asking[name] = None
        self._desk.ask("keys", {node: [name]}, partial(self._told, name, node))

    def _told(self, name: str, node: str, answers: dict[str, Answer]) -> None:
        if name not in self._asking:
            return  # the node stops
        answer = answers[node]
        rows = _rows(answer.data) if answer.ok else None
        if rows is None or self._conferences.get(name) is None:
            self._ask_in(AGAIN, name)
            return
        del self._asking[name]
        count, keys = rows
        self._census.set_keys.take_over(name, count, [key for key, _ in keys])
        self._turns.take(self._set(name, keys), lambda _: self._census.news(name), _broke)

    def _set(self, name: str, keys: list[tuple[str, str]]) -> Turns[None]:
        for key, text in keys:
            result = yield from in_turns(self._conferences, [name, "set", key, text])
            if result.later is not None:
                result.later.then(partial(self._over, name, key))
            elif not result.ok:
                self._census.set_keys.not_taken(name, key)

    def _over(self, name: str, key: str, outcome: Reply | CommandError) -> None:
        if isinstance(outcome, CommandError):
            self._census.set_keys.not_taken(name, key)

    def _tell(self, words: list[str]) -> Turns[list[Any]]:
        """How often any was set here, then each key with its value, as it would be typed."""
        conference = self._conferences.get(words[0]) if len(words) == 1 else None
        yield from ()
        if conference is None:
            return []
        keys = self._census.set_keys
        values = [[key, written(value_of(conference.profile, key))] for key in keys.keys(conference.name)]
        return [keys.count(conference.name), *values]


def _rows(data: Any) -> tuple[int, list[tuple[str, str]]] | None:
    """What another node said; None: not what was asked for."""
    if not isinstance(data, list) or not data or not isinstance(data[0], int) or len(data) > len(KINDS) + 1:
        return None
    pairs = [tuple(row) for row in data[1:] if isinstance(row, list) and len(row) == 2]
    return data[0], [(key, text) for key, text in pairs if isinstance(key, str) and isinstance(text, str)]


def _broke(error: Exception) -> None:
    raise error
