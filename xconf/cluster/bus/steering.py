"""Commands on any node for members on all: which nodes are to run one, and what of their answers is told.

What can be had here is done here, at once and without a letter; one node alone never writes any.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from xconf.cluster.bus.desk import Answer, Desk, Done
from xconf.cluster.census import Census
from xconf.cluster.status import State
from xconf.conference.commands import Reply
from xconf.conference.dispatch import Result, final, in_turns, latest, matching
from xconf.conference.errors import CommandError
from xconf.conference.events import CommandRun, Event
from xconf.conference.later import Later
from xconf.conference.registry import Conferences
from xconf.conference.show import row_elsewhere, table
from xconf.conference.turns import Turns, TurnTaker

MERGED = {"members": "no members", "waiting": "no callers wait"}
"""What `show` lists of all nodes in one table, and what it says when there is nobody."""


class Steering:
    """In place of `in_turns` on a node of a cluster. desk: None where no broker is configured."""

    def __init__(self, conferences: Conferences, census: Census, desk: Desk | None) -> None:
        self._conferences = conferences
        self._census = census
        self._desk = desk
        self._turns = TurnTaker(conferences.clock)
        self._end = conferences.events.subscribe(self._happened)

    def run(self, line: str | Sequence[str]) -> Turns[Result]:
        """A command, as typed or as words."""
        try:
            words = shlex.split(line) if isinstance(line, str) else list(line)
        except ValueError:
            words = []  # it is refused below
        if words == ["list"]:
            return (yield from self._list())
        elsewhere = (
            self._holders(words[0]) if len(words) > 1 and words[0] not in self._conferences.commands.node else []
        )
        if not elsewhere:
            return (yield from in_turns(self._conferences, line))
        if words[1] == "member" and len(words) > 3:
            return (yield from self._of_member(words, elsewhere))
        if words[1] == "show" and len(words) == 3 and words[2] in MERGED:
            return (yield from self._merged(words, elsewhere))
        command = self._conferences.commands.conference.get(words[1])
        if command is not None and command.everywhere is not None:
            return (yield from self._everywhere(words, elsewhere, command.everywhere))
        if command is not None and command.latest:
            return self._where_latest(words, elsewhere)
        return (yield from self._somewhere(words, elsewhere))

    def _holders(self, conference: str) -> list[str]:
        """The other nodes that have it, those first that have members in it."""
        shares = self._census.table.shares(conference)
        return [node.name for node, part in sorted(shares, key=lambda share: (not share[1].members, share[0].name))]

    def _list(self) -> Turns[Result]:
        """Also the conferences that are on other nodes alone."""
        here = yield from in_turns(self._conferences, "list")
        others = sorted(set(self._census.table.conferences) - {row["name"] for row in here.data})
        shares = self._census.shares
        rows = [*here.data, *(row_elsewhere(name, shares(name)) for name in others)]
        reply = yield from table(rows, "no conferences")
        return Result(reply.text, reply.data)

    @property
    def _cannot_ask(self) -> str:
        """Why other nodes cannot be asked, or empty."""
        if self._desk is None:
            return "there is no bus between the nodes (cluster.bus)"
        return "" if self._desk.line.up else "the bus between the nodes (RabbitMQ) cannot be reached"

    def _ask(self, nodes: Sequence[str], what: str, words: list[str], done: Done) -> None:
        self._order(what, dict.fromkeys(nodes, words), done)

    def _order(self, what: str, orders: Mapping[str, list[str]], done: Done) -> None:
        if self._desk is None:
            done({node: Answer() for node in orders})
        else:
            self._desk.ask(what, orders, done)

    def _without(self, answers: dict[str, Answer]) -> str:
        """A line about those who did not answer, or empty."""
        silent = [node for node, answer in answers.items() if answer.silent]
        if not silent:
            return ""
        return f"without {', '.join(silent[:10])}: {self._cannot_ask or 'no answer'}"

    # A member

    def _of_member(self, words: list[str], elsewhere: list[str]) -> Turns[Result]:
        conference = self._conferences.get(words[0])
        here = (yield from matching(conference, words[2])) if conference is not None else []
        if any(member.id == words[2] for member in here):
            return (yield from in_turns(self._conferences, words))
        later = Later()
        self._ask(elsewhere, "find", [words[0], words[2]], partial(self._found, words, [m.id for m in here], later))
        return Result("", later=later)

    def _found(self, words: list[str], here: list[str], later: Later, answers: dict[str, Answer]) -> None:
        there = [(node, row[0]) for node, answer in answers.items() for row in answer.data or ()]
        known = [*((self._census.node, member) for member in here), *there]
        without = self._without(answers)
        name, word = words[0], words[2]
        if not known:
            tail = f"; {without}" if without else ""
            later.tell(CommandError(f"no member '{word}' in {name} on any node{tail}"))
        elif len(known) > 1:
            ids = ", ".join(member for _, member in known[:5])
            later.tell(CommandError(f"'{word}' is {len(known)} members of {name}; which? {ids}"))
        else:
            (node, member), *_ = known
            self._at(node, [name, "member", member, *words[3:]], later)

    def _at(self, node: str, words: list[str], later: Later) -> None:
        """Run a command on one node, whichever that is."""
        if node == self._census.node:
            self._here(words, lambda result: _pass_on(result, later))
        else:
            self._ask([node], "run", words, partial(self._one, node, later))

    def _one(self, node: str, later: Later, answers: dict[str, Answer]) -> None:
        answer = answers[node]
        if answer.silent:
            later.tell(CommandError(f"node {node}: {self._cannot_ask or 'no answer'}"))
        else:
            later.tell(Reply(answer.text, answer.data) if answer.ok else CommandError(answer.text))

    def _here(self, words: list[str], done: Callable[[Result], None]) -> None:
        def failed(error: Exception) -> None:
            done(Result("failed", ok=False))
            raise error

        self._turns.take(in_turns(self._conferences, words), done, failed)

    # A conference

    def _merged(self, words: list[str], elsewhere: list[str]) -> Turns[Result]:
        own: list[Any] = []
        if self._conferences.get(words[0]) is not None:
            result = yield from in_turns(self._conferences, words)
            own = [{"node": self._census.node, **row} for row in result.data or ()]
        later = Later()
        self._ask(elsewhere, "rows", words, partial(self._merge, words[2], own, later))
        return Result("", later=later)

    def _merge(self, what: str, rows: list[Any], later: Later, answers: dict[str, Answer]) -> None:
        for node, answer in answers.items():
            if isinstance(answer.data, list):
                rows += [{"node": node, **row} for row in answer.data if isinstance(row, dict)]
        without = self._without(answers)

        def done(reply: Reply) -> None:
            later.tell(Reply("\n".join(filter(None, (reply.text, without))), reply.data))

        self._turns.take(table(rows, MERGED[what]), done, lambda error: later.tell(CommandError(str(error))))

    def _everywhere(self, words: list[str], elsewhere: list[str], besides: str) -> Turns[Result]:
        """besides: on all nodes but the first."""
        orders = dict.fromkeys(elsewhere, [*words, besides] if besides else words)
        later = Later()
        if self._conferences.get(words[0]) is None:
            orders[elsewhere[0]] = words
            self._order("run", orders, partial(self._all_done, [], later))
            return Result("", later=later)
        result = yield from in_turns(self._conferences, words)
        if result.later is None:
            self._then_elsewhere(orders, later, result)
        else:
            result.later.then(lambda outcome: self._then_elsewhere(orders, later, final(outcome)))
        return Result("", later=later)

    def _then_elsewhere(self, orders: Mapping[str, list[str]], later: Later, result: Result) -> None:
        """What is not understood or refused here would be so there, too."""
        if result.ok:
            self._order("run", orders, partial(self._all_done, [(self._census.node, result)], later))
        else:
            later.tell(CommandError(result.text))

    def _all_done(self, results: list[tuple[str, Result]], later: Later, answers: dict[str, Answer]) -> None:
        heard = {node: answer for node, answer in answers.items() if not answer.silent}
        results += [(node, Result(answer.text, answer.data, answer.ok)) for node, answer in heard.items()]
        lines = [f"{node}: {result.text}" for node, result in results]
        without = self._without(answers)
        text = "\n".join([*lines, *([without] if without else [])])
        done = any(result.ok for _, result in results)
        data = {node: result.data for node, result in results}
        later.tell(Reply(text, data) if done else CommandError("; ".join([*lines, without]) if lines else without))

    def _where_latest(self, words: list[str], elsewhere: list[str]) -> Result:
        """On the node where who came last is. What clocks say is compared nowhere: only for how long somebody has been there."""
        later = Later()
        self._ask(elsewhere, "latest", [words[0], *words[2:]], partial(self._of_latest, words, later))
        return Result("", later=later)

    def _of_latest(self, words: list[str], later: Later, answers: dict[str, Answer]) -> None:
        stays = {node: answer.data[0] for node, answer in answers.items() if answer.ok and answer.data}
        conference = self._conferences.get(words[0])
        member = latest(conference, *words[2:3]) if conference is not None else None
        if member is not None:
            stays[self._census.node] = self._conferences.clock.seconds() - member.joined_at
        without = self._without(answers)
        if not stays:
            later.tell(CommandError("; ".join(filter(None, (f"nobody in {words[0]} can be removed", without)))))
            return
        done = Later()
        done.then(lambda outcome: later.tell(_with(outcome, without)))
        self._at(min(stays, key=lambda node: (stays[node], node)), words, done)

    def _somewhere(self, words: list[str], elsewhere: list[str]) -> Turns[Result]:
        """On the one node that it matters on: where something is played, or this one if somebody is in it here."""
        conference = self._conferences.get(words[0])
        shares = self._census.table.shares(words[0])
        playing = [node.name for node, part in shares if State.PLAYING in part.state]
        if words[1] == "playback" and playing and not (conference and conference.playing):
            node = playing[0]
        elif conference is not None and (conference.members or not any(part.members for _, part in shares)):
            return (yield from in_turns(self._conferences, words))
        else:
            node = elsewhere[0]
        later = Later()
        self._at(node, words, later)
        return Result("", later=later)

    # What a key began

    def _happened(self, event: Event) -> None:
        """What an administrator's key does to all is done to all on the other nodes, too."""
        if not isinstance(event, CommandRun) or event.error:
            return
        words = event.command.split()
        command = self._conferences.commands.conference.get(words[0]) if words else None
        elsewhere = self._holders(event.conference)
        if command is not None and command.everywhere is not None and elsewhere:
            besides = [command.everywhere] if command.everywhere else []
            self._ask(elsewhere, "run", [event.conference, *words, *besides], lambda answers: None)


def _with(outcome: Reply | CommandError, line: str) -> Reply | CommandError:
    """The same, with a line at the end."""
    if not line or isinstance(outcome, CommandError):
        return outcome
    return Reply(f"{outcome.text}\n{line}", outcome.data)


def _pass_on(result: Result, later: Later) -> None:
    if result.later is not None:
        result.later.then(later.tell)
    else:
        later.tell(Reply(result.text, result.data) if result.ok else CommandError(result.text))
