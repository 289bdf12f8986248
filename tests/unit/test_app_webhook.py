"""The webhook: signed batches, each sent until it is taken, whatever the receiver does; and nobody waits for it."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from OpenSSL import SSL
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.web.client import ResponseNeverReceived

from xconf.app.http import HTTPError, _in_words
from xconf.app.webhook import AT_ONCE, FIRST_PAUSE, LAST_WORDS, LONGEST_PAUSE, PAUSE, Webhook
from xconf.conference import events
from xconf.conference.stream import Stream

SECRET = "a secret of twenty-four"


class Receiver:
    """The web server at the other end; it answers when the test says so."""

    def __init__(self, kept: int = 10_000, only: frozenset[str] = frozenset()) -> None:
        self.clock = task.Clock()
        self.stream = Stream(lambda: 1769860800.25, kept)
        self.requests: list[tuple[bytes, dict[bytes, list[bytes]], Deferred[int]]] = []
        self.webhook = Webhook(self.clock, self.stream, self.post, node="a", secret=SECRET, only=only)
        self.webhook.startService()

    def post(self, body: bytes, headers: dict[bytes, list[bytes]]) -> Deferred[int]:
        self.requests.append((body, headers, Deferred()))
        return self.requests[-1][2]

    def happens(self, count: int = 1, kind: type[events.Event] = events.FlagChanged, **fields: Any) -> None:
        for _ in range(count):
            self.stream.publish(kind, conference="3000", **(fields or {"flag": "vad", "on": True}))

    def got(self) -> dict[str, Any]:
        body: dict[str, Any] = json.loads(self.requests[-1][0])
        return body

    def numbers(self) -> list[int]:
        return [event["sequence"] for event in self.got()["events"]]

    def answer(self, status: int = 200) -> None:
        self.requests[-1][2].callback(status)
        self.clock.advance(0)

    def errors(self) -> list[str]:
        return [event.error for event in self.stream.after(0) if isinstance(event, events.Error)]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def test_what_happens_at_the_same_time_is_one_signed_batch(receiver: Receiver) -> None:
    receiver.happens(3)
    assert receiver.requests == []
    receiver.clock.advance(PAUSE)
    ((body, headers, _),) = receiver.requests
    told = receiver.got()
    assert told["node"] == "a"
    assert told["events"] == [event.as_dict() for event in receiver.stream.after(0)]
    assert headers[b"Content-Type"] == [b"application/json"]
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers[b"X-Xconf-Signature"] == [f"sha256={signature}".encode()]


def test_one_batch_is_under_way_at_a_time_and_is_not_too_long(receiver: Receiver) -> None:
    receiver.happens(2 * AT_ONCE + 5)
    receiver.clock.advance(60)
    assert len(receiver.requests) == 1
    assert receiver.numbers() == list(range(1, AT_ONCE + 1))
    receiver.answer()
    assert receiver.numbers() == list(range(AT_ONCE + 1, 2 * AT_ONCE + 1))
    receiver.answer(204)
    assert receiver.numbers() == list(range(2 * AT_ONCE + 1, 2 * AT_ONCE + 6))
    receiver.answer()
    assert len(receiver.requests) == 3
    assert receiver.webhook.counters["sent"] == 2 * AT_ONCE + 5
    assert receiver.clock.getDelayedCalls() == []


def test_a_batch_that_is_not_taken_is_sent_again_the_same_ever_more_slowly(receiver: Receiver) -> None:
    receiver.happens()
    receiver.clock.advance(PAUSE)
    pause, sent = FIRST_PAUSE, [receiver.requests[-1][:2]]
    for failure in (503, 404, OSError("no route to host"), 500, 500, 500, 500, 500, 500):
        if isinstance(failure, int):
            receiver.answer(failure)
        else:
            receiver.requests[-1][2].errback(failure)
        receiver.happens()
        receiver.clock.advance(pause - 0.01)
        assert len(receiver.requests) == len(sent)
        receiver.clock.advance(0.02)
        sent.append(receiver.requests[-1][:2])
        pause = min(2 * pause, LONGEST_PAUSE)
    assert len({body for body, _ in sent}) == 1
    assert receiver.errors() == ["answered with status 503"], "told once, and not at each try"
    receiver.answer()
    assert receiver.numbers() == list(range(2, 12))  # the nine events meanwhile, and the one of the error


def test_what_it_comes_too_late_for_is_counted_in_the_next_batch() -> None:
    receiver = Receiver(kept=10)
    receiver.happens()
    receiver.clock.advance(PAUSE)
    receiver.happens(25)
    receiver.answer()
    lost, *rest = receiver.got()["events"]
    assert (lost["event"], lost["count"], lost["sequence"]) == ("events-lost", 15, 16)
    assert [event["sequence"] for event in rest] == list(range(17, 27))
    assert receiver.webhook.counters["lost"] == 15


def test_a_batch_that_is_malformed_to_the_receiver_does_not_hold_up_the_others(receiver: Receiver) -> None:
    receiver.happens(2)
    receiver.clock.advance(PAUSE)
    receiver.answer(422)
    receiver.clock.advance(PAUSE)
    assert receiver.errors() == ["a batch of 2 events was refused with status 422, and is not sent again"]
    assert receiver.numbers() == [3]
    assert receiver.webhook.counters["refused"] == 2


def test_only_some_kinds_are_sent() -> None:
    receiver = Receiver(only=frozenset(["error"]))
    receiver.happens(500)
    receiver.clock.advance(60)
    assert receiver.requests == []
    receiver.happens(kind=events.Error, part="history", error="disk full")
    receiver.clock.advance(PAUSE)
    assert receiver.numbers() == [501]


def test_a_stop_waits_a_moment_for_what_happened_last(receiver: Receiver) -> None:
    receiver.happens()
    receiver.clock.advance(PAUSE)
    receiver.happens(2)
    stopped = receiver.webhook.stopService()
    receiver.answer()
    assert receiver.numbers() == [2, 3]
    assert not stopped.called
    receiver.answer()
    assert stopped.called
    assert receiver.clock.getDelayedCalls() == []


def test_a_stop_does_not_wait_for_a_receiver_that_hangs(receiver: Receiver) -> None:
    receiver.happens()
    stopped = receiver.webhook.stopService()
    receiver.clock.advance(LAST_WORDS)
    assert stopped.called
    assert receiver.clock.getDelayedCalls() == []


def test_a_stop_does_not_wait_for_one_that_has_failed_already(receiver: Receiver) -> None:
    receiver.happens()
    receiver.clock.advance(PAUSE)
    receiver.answer(503)
    assert receiver.webhook.stopService().called
    assert receiver.clock.getDelayedCalls() == []
    receiver.happens()
    receiver.clock.advance(100)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError("Connection refused"), "Connection was refused by other side: Connection refused"),
        (
            ResponseNeverReceived([Failure(SSL.Error([("SSL routines", "", "certificate verify failed")]))]),
            "certificate verify failed",
        ),
        (ResponseNeverReceived([Failure(HTTPError("no answer for 10 s"))]), "no answer for 10 s"),
    ],
)
def test_what_went_wrong_is_said_in_words(error: Exception, text: str) -> None:
    with pytest.raises(HTTPError) as told:
        _in_words(Failure(error))
    assert str(told.value) == text
