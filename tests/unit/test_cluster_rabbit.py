"""The way to the broker: bounded, patient, and silent about passwords."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from xconf.cluster.bus import transport
from xconf.cluster.bus.transport import MOST_OCTETS, MOST_WAITING, Rabbit


class Channel:
    """Takes letters, and confirms them when it is told to."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes, Deferred[None]]] = []

    def basic_publish(self, exchange: str, key: str, letter: bytes) -> Deferred[None]:
        assert exchange == "xconf"
        self.taken.append((key, letter, Deferred()))
        return self.taken[-1][2]


class Nowhere:
    def connect(self, factory: object) -> Deferred[Any]:
        return fail(ConnectionRefusedError())


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def rabbit(told: list[str]) -> Rabbit:
    made = Rabbit(Clock(), "amqp://xconf:hush@192.0.2.1:5672", "a", lambda letter: None, told.append)
    made._endpoint = Nowhere  # type: ignore[method-assign]
    return made


class Loses:
    """Connects, and has the connection fail a moment later."""

    def __init__(self, clock: Clock, error: Exception) -> None:
        self._clock, self._error = clock, error

    def connect(self, factory: Any) -> Deferred[Any]:
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self._clock.callLater(0.1, protocol.connectionLost, Failure(self._error))
        return succeed(protocol)


def tries(rabbit: Rabbit, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], int]:
    """How often it tries in so many seconds."""
    monkeypatch.setattr(transport.random, "uniform", lambda least, most: 1.0)
    count = 0
    before = rabbit._try

    def one() -> None:
        nonlocal count
        count += 1
        before()

    rabbit._try = one  # type: ignore[method-assign]

    def run(seconds: float) -> int:
        nonlocal count
        count = 0
        for _ in range(round(seconds / 0.25)):
            rabbit._reactor.advance(0.25)
        return count

    return run


def test_a_broker_that_is_away_is_looked_for_ever_more_slowly_and_told_once(rabbit, told, monkeypatch):
    run = tries(rabbit, monkeypatch)
    rabbit.startService()
    assert run(4) == 4
    assert run(60) in (4, 5)
    assert run(60) == 4
    assert len(told) == 1
    assert "192.0.2.1:5672" in told[0] and "hush" not in told[0]
    assert not rabbit.up
    rabbit.stopService()
    assert rabbit._reactor.getDelayedCalls() == []


# pika says "1" for all of them.
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            SSL.Error([("SSL routines", "", "certificate verify failed")]),
            "its certificate is of no authority that is believed; cluster.bus_ca has to name the file of its authority",
        ),
        (
            VerificationError(errors=[]),
            "its certificate is not for 192.0.2.1; cluster.bus has to name it as its certificate does",
        ),
        (
            SSL.Error([("SSL routines", "", "wrong version number")]),
            "no TLS with it: [('SSL routines', '', 'wrong version number')]; amqps:// is for the port where it listens for TLS, "
            "usually 5671",
        ),
    ],
    ids=["authority", "name", "port"],
)
def test_why_a_broker_is_not_believed_is_said_and_not_a_number(error, said, rabbit, told):
    rabbit._endpoint = lambda: Loses(rabbit._reactor, error)
    rabbit.startService()
    rabbit._reactor.advance(0.1)
    (line,) = told
    assert line.startswith(f"RabbitMQ at 192.0.2.1:5672 cannot be reached: {said}; ")
    rabbit.stopService()


def test_what_waits_for_a_broker_is_bounded_and_the_oldest_is_lost(rabbit):
    for number in range(MOST_WAITING + 10):
        rabbit.send("b", b"%d" % number)
    assert rabbit.counters["lost"] == 10
    channel = rabbit._channel = Channel()
    rabbit.send("b", b"last")
    assert [letter for _, letter, _ in channel.taken][0] == b"11"
    assert len(channel.taken) == MOST_WAITING


def test_a_broker_that_does_not_confirm_is_given_no_more_than_it_may_have(rabbit):
    channel = rabbit._channel = Channel()
    letter = bytes(MOST_OCTETS // 4)
    for _ in range(10):
        rabbit.send("b", letter)
    assert len(channel.taken) == 4
    channel.taken[0][2].callback(None)
    assert len(channel.taken) == 5
    channel.taken[1][2].errback(RuntimeError())
    assert (rabbit.counters["confirmed"], rabbit.counters["refused"]) == (1, 1)
    assert len(channel.taken) == 6


def test_nodes_have_different_queues_whatever_their_names_are(rabbit):
    keys = {transport.routing_key(name) for name in ("a", "b", "a.b", "#", "*")}
    assert len(keys) == 5
    assert all(key.startswith("to.") and key.count(".") == 1 for key in keys)
