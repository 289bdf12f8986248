"""`events` on the management socket: who follows hears of everything, or of how much it missed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from reactor_turns import TurnClock
from twisted.internet.testing import StringTransport

from xconf.api.control import MAX_FOLLOWERS, PATIENCE, ControlFactory, ControlProtocol
from xconf.api.event_feed import AT_ONCE, Wanted, event_command, parse_wanted
from xconf.conference import events
from xconf.conference.commands import Table
from xconf.conference.dispatch import Result
from xconf.conference.errors import CommandError
from xconf.conference.stream import Stream


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Client:
    """A connection to the management socket of a server that knows one command."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.protocol: ControlProtocol = server.factory.buildProtocol(None)
        self.transport = Transport()
        self.protocol.makeConnection(self.transport)

    def say(self, request: Any) -> list[Any]:
        """Sends a request, typed or JSON; what came back since."""
        line = request if isinstance(request, str) else json.dumps(request)
        self.protocol.dataReceived(line.encode() + b"\n")
        return self.heard()

    def heard(self) -> list[Any]:
        self.server.settle()
        lines = self.transport.value().decode().splitlines()
        self.transport.clear()
        return [json.loads(line) if line.startswith("{") else line for line in lines]

    def numbers(self) -> list[int]:
        return [told["sequence"] for told in self.heard()]


class Server:
    def __init__(self, kept: int = 1000) -> None:
        self.clock = TurnClock()
        self.stream = Stream(lambda: 1769860800.25, kept)
        self.command = Table([event_command(self.stream)]).node["events"]
        self.factory = ControlFactory(self.run, self.clock)

    def run(self, line: Any) -> Result:
        words = line.split() if isinstance(line, str) else line
        try:
            reply = self.command(None, self.command.parse(" ".join(words[1:]), Table([])))
        except (CommandError, ValueError) as error:
            return Result(str(error), ok=False)
        return Result(reply.text, reply.data, feed=reply.feed)

    def happens(self, count: int = 1, conference: str = "3000") -> None:
        for _ in range(count):
            self.stream.publish(events.FlagChanged, conference=conference, flag="vad", on=True)

    def settle(self) -> None:
        self.clock.advance(0)


@pytest.fixture
def server() -> Server:
    return Server()


def test_what_happens_is_told_in_order_as_a_line_of_json_each(server: Server) -> None:
    server.happens(3)
    client = Client(server)
    assert client.say({"command": "events"}) == [
        {"ok": True, "text": "following; the last event was 3", "data": {"first": 1, "last": 3}, "follows": True}
    ]
    server.happens(2)
    told = client.heard()
    assert [event["sequence"] for event in told] == [4, 5]
    assert told[0] == server.stream.after(3)[0].as_dict()
    assert client.heard() == []


def test_people_read_a_line_of_words(server: Server) -> None:
    client = Client(server)
    assert client.say("events") == ["following; the last event was 0", "OK"]
    server.stream.publish(
        events.MemberLeft,
        conference="3000",
        member="m",
        caller="Ann\x1b <1>",
        call_id="c",
        reason="kicked",
        role="admin",
        seconds=2.04,
    )
    (line,) = client.heard()
    when, what = line.split(" #")
    assert len(when) == len("2026-01-31 12:00:00.250")
    assert what == "1 conference 3000: member left, member m, caller Ann? <1>, reason kicked, seconds 2.0, role admin"


def test_one_who_comes_back_goes_on_where_it_was(server: Server) -> None:
    server.happens(5)
    client = Client(server)
    assert client.say("events since 3")[1] == "OK"
    server.happens()
    assert [line.split()[2] for line in client.heard()] == ["#6"]
    again = Client(server)
    assert [told["sequence"] for told in again.say({"command": "events since 3"})[1:]] == [4, 5, 6]


def test_one_who_comes_too_late_is_told_how_much_is_gone() -> None:
    server = Server(kept=10)
    server.happens(25)
    told = Client(server).say({"command": "events since 7"})[1:]
    assert (told[0]["event"], told[0]["count"], told[0]["sequence"]) == ("events-lost", 8, 15)
    assert [event["sequence"] for event in told[1:]] == list(range(16, 26))


def test_a_slow_reader_holds_nobody_up_and_is_told_what_it_missed() -> None:
    server = Server(kept=10)
    slow, quick = Client(server), Client(server)
    slow.say({"command": "events"})
    quick.say({"command": "events"})
    slow.protocol.pauseProducing()  # its transport's buffer is full
    for _ in range(5):
        server.happens(5)
        assert len(quick.heard()) == 5
    assert slow.heard() == []
    server.clock.advance(2 * PATIENCE)
    assert not slow.transport.aborted
    slow.protocol.resumeProducing()
    told = slow.heard()
    assert (told[0]["event"], told[0]["count"]) == ("events-lost", 15)
    assert [event["sequence"] for event in told[1:]] == list(range(16, 26))


def test_no_turn_of_the_reactor_tells_more_than_a_hundred(server: Server) -> None:
    server.happens(950)
    client = Client(server)
    client.protocol.dataReceived(b'{"command": "events since 0"}\n')
    counts = []
    for _ in range(12):
        client.transport.clear()
        server.clock.turn()
        counts.append(client.transport.value().count(b"\n"))
    assert counts == [AT_ONCE] * 9 + [50, 0, 0]


def test_one_conference_and_some_kinds_can_be_chosen(server: Server) -> None:
    client, other = Client(server), Client(server)
    client.say({"command": "events 3001"})
    other.say({"command": "events only talk-started,error"})
    server.happens(2)
    server.happens(1, "3001")
    server.stream.publish(events.Error, conference="", part="history", error="disk full")
    assert client.numbers() == [3]
    assert [told["event"] for told in other.heard()] == ["error"]


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ("events since", "events: since what? [CONFERENCE] [only KIND,…] [since N]"),
        ("events since x", "events: 'x' is not the number of an event, like 17"),
        ("events 3000 3001", "events: '3001' is one word too many: [CONFERENCE] [only KIND,…] [since N]"),
        ("events only member-join", "events: no event 'member-join'; did you mean member-joined"),
        ("events since 2", "since 2: the last event is 1; after a restart of the server they are counted from 1 again"),
    ],
)
def test_what_is_wrong_is_said(server: Server, request_: str, text: str) -> None:
    server.happens()
    (line,) = Client(server).say(request_)
    assert line.startswith(f"ERROR {text}")


def test_the_parts_may_come_in_any_order() -> None:
    kinds = frozenset(["talk-started"])
    assert parse_wanted("3000 only talk-started since 17") == parse_wanted("since 17 3000 only talk-started")
    assert parse_wanted("3000 only talk-started since 17") == Wanted("3000", kinds, 17)
    assert parse_wanted("") == Wanted()


def test_followers_are_few_and_make_room_when_they_go(server: Server) -> None:
    followers = [Client(server) for _ in range(MAX_FOLLOWERS)]
    for follower in followers:
        follower.say("events")
    late = Client(server)
    assert late.say({"command": "events"})[0]["text"] == f"{MAX_FOLLOWERS} already follow the events; end one of them"
    followers[0].protocol.connectionLost()
    assert late.say({"command": "events"})[0]["ok"]
    server.happens()
    assert late.numbers() == [1]


def test_one_who_hangs_up_leaves_nothing_behind(server: Server) -> None:
    client = Client(server)
    client.say("events")
    server.happens()
    client.protocol.connectionLost()
    server.happens()
    assert server.clock.getDelayedCalls() == []
    assert server.stream._subscribers == []
