"""The calls of the load generator, in virtual time, against a user agent that answers as the test says."""

from __future__ import annotations

import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from xconf.phone.load_calls import LoadCalls
from xconf.phone.load_media import LoadMedia
from xconf.phone.load_options import parse
from xconf.sip.events import Event, Invited, ReferralNews, Transmit
from xconf.sip.flow import Flow
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI
from xconf.sip.useragent import UserAgent

CALLERS, SERVER = ("127.0.0.3", 5070), ("127.0.0.1", 5060)
ANSWER = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Media:
    """What a caller's sound was told to do."""

    def __init__(self) -> None:
        self.on: dict[int, tuple[str, int]] = {}
        self.stopped: list[int] = []

    def local(self, caller: int) -> tuple[str, int]:
        return CALLERS[0], 20_000 + 2 * caller

    def start(self, caller: int, remote: tuple[str, int], payload_type: int, receive_payload_type: int) -> None:
        self.on[caller] = remote

    def stop(self, caller: int) -> None:
        del self.on[caller]
        self.stopped.append(caller)


class World:
    """Callers and a server whose messages arrive at the next step of the clock."""

    def __init__(self, *words: str) -> None:
        self.clock = Clock()
        self.options = parse(["sip:4000@127.0.0.1", *words])
        self.callers, self.server = UserAgent(rng=random.Random(1)), UserAgent(rng=random.Random(2))
        self.media = Media()
        sip = SimpleNamespace(user_agent=self.callers, listeners=[("udp", CALLERS)], seconds=self.clock.seconds)
        self.calls = LoadCalls(
            self.clock,
            cast(SIPService, sip),
            cast(LoadMedia, self.media),
            self.options,
            SERVER,
            random.Random(3),
            monotonic=self.clock.seconds,
        )
        self.invited: list[Invited] = []
        self.invited_at: list[float] = []
        self.react: Callable[[Invited], None] = lambda event: event.session.accept(ANSWER, self.now)
        self.done: list[str] = []
        self.told: list[ReferralNews] = []

    @property
    def now(self) -> float:
        return self.clock.seconds()

    def refer(self, *calls: int, target: str = "sip:4000@127.0.0.9:5070;xconf=placed") -> None:
        """The server asks these to call another one."""
        for number in calls:
            self.invited[number].session.referrals.refer(URI.parse(target), self.now)

    def news(self, *calls: int) -> list[int]:
        """What it has been told last of each."""
        last = {event.session: event.status for event in self.told}
        return [last[self.invited[number].session] for number in calls]

    def dial(self) -> None:
        self.calls.dial().addCallback(lambda _: self.done.append("dialled"))

    def hang_up(self, rate: float = 0) -> None:
        self.calls.hang_up(rate).addCallback(lambda _: self.done.append("gone"))

    def run(self, seconds: float, step: float = 0.01) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.pump()

    def pump(self) -> None:
        for agent in (self.callers, self.server):
            agent.wake(self.now)
        while effects := [(True, e) for e in self.callers.drain()] + [(False, e) for e in self.server.drain()]:
            for ours, effect in effects:
                self.take(ours, effect)

    def take(self, ours: bool, effect: Transmit | Event) -> None:
        if isinstance(effect, Transmit) and ours:
            self.server.receive(effect.data, Flow("udp", SERVER, CALLERS), self.now)
        elif isinstance(effect, Transmit):
            self.callers.receive(effect.data, Flow("udp", CALLERS, SERVER), self.now)
        elif ours:
            self.calls.handle(effect)
        elif isinstance(effect, Invited):
            self.invited.append(effect)
            self.invited_at.append(self.now)
            self.react(effect)
        elif isinstance(effect, ReferralNews):
            self.told.append(effect)


def test_calls_are_dialled_at_the_rate_and_sound_starts_with_the_answer() -> None:
    world = World("--calls", "20", "--rate", "10")
    world.dial()
    world.run(1.0)
    assert len(world.invited) == pytest.approx(10, abs=1)
    assert world.done == []
    world.run(1.2)
    assert (world.calls.answered, world.calls.up, world.done) == (20, 20, ["dialled"])
    assert set(world.media.on) == set(range(20))
    assert set(world.media.on.values()) == {("127.0.0.1", 4000)}
    assert max(world.calls.set_up) <= 0.02


def test_the_last_callers_hang_up_first() -> None:
    world = World("--calls", "5", "--rate", "100")
    world.dial()
    world.run(1.0)
    world.hang_up(10)
    world.run(0.3)
    assert world.done == ["dialled"]
    world.run(1.0)
    assert world.media.stopped == [4, 3, 2, 1, 0]
    assert (world.done, world.calls.up, world.calls.failures) == (["dialled", "gone"], 0, {})


def test_all_at_once() -> None:
    world = World("--calls", "50", "--rate", "1000")
    world.dial()
    world.run(1.0)
    world.hang_up()
    world.run(0.02)
    assert (world.calls.up, world.done) == (0, ["dialled", "gone"])
    world.run(40, step=0.5)
    assert set(world.callers.sizes().values()) | set(world.server.sizes().values()) == {0}


def test_refusals_are_counted_by_status() -> None:
    world = World("--calls", "6", "--rate", "100")
    statuses = iter((503, 404, 404, 486, 486, 486))
    world.react = lambda event: event.session.refuse(next(statuses), now=world.now)
    world.dial()
    world.run(0.5)
    assert world.calls.failures == {"503 Service Unavailable": 1, "404 Not Found": 2, "486 Busy Here": 3}
    assert world.done == ["dialled"]
    world.hang_up()
    assert world.done == ["dialled", "gone"]


def test_no_answer_in_time_is_a_failure_and_the_call_is_cancelled() -> None:
    world = World("--calls", "2", "--rate", "100", "--answer-within", "3s")
    world.react = lambda event: event.session.ring(now=world.now)
    world.dial()
    world.run(3.5)
    assert world.calls.failures == {"no answer": 2}
    assert world.done == ["dialled"]
    assert all(event.session.ended for event in world.invited)


def test_an_answer_that_does_not_fit_is_a_failure_and_hung_up() -> None:
    world = World("--calls", "1")
    world.react = lambda event: event.session.accept(ANSWER.replace(b"AVP 0", b"AVP 8"), world.now)
    world.dial()
    world.run(1.0)
    (reason,) = world.calls.failures
    assert reason.startswith("answer of no use")
    assert world.invited[0].session.ended
    assert (world.media.on, world.calls.up) == ({}, 0)


def test_a_call_that_the_server_ends_has_failed() -> None:
    world = World("--calls", "3", "--rate", "100")
    world.dial()
    world.run(1.0)
    world.invited[1].session.hangup(world.now)
    world.run(0.1)
    assert world.calls.failures == {"hung up by the server": 1}
    assert (world.calls.up, world.media.stopped) == (2, [1])


def test_calls_take_the_place_of_calls_until_all_is_hung_up() -> None:
    world = World("--calls", "4", "--rate", "100", "--each", "1s")
    world.dial()
    world.run(5.0)
    assert world.calls.answered == pytest.approx(19, abs=4)
    assert world.calls.up <= 4
    world.hang_up()
    world.run(3.0)
    assert (world.calls.up, world.done, world.calls.failures) == (0, ["dialled", "gone"], {})


def test_the_server_may_change_the_address() -> None:
    world = World("--calls", "1")
    world.dial()
    world.run(1.0)
    world.invited[0].session.reinvite(ANSWER.replace(b"4000", b"4400"), world.now)
    world.run(0.2)
    assert world.media.on == {0: ("127.0.0.1", 4400)}
    assert not world.calls.failures


def test_credentials_are_given_when_they_are_asked_for() -> None:
    world = World("--calls", "1", "--user", "ann", "--password", "secret")
    challenge = 'Digest realm="x", nonce="n", qop="auth", algorithm=MD5'
    replies: list[Callable[[Any], None]] = [
        lambda event: event.session.challenge([challenge], world.now),
        lambda event: event.session.accept(ANSWER, world.now),
    ]
    world.react = lambda event: replies.pop(0)(event)
    world.dial()
    world.run(1.0)
    assert world.calls.answered == 1
    assert 'username="ann"' in (world.invited[1].request.headers.get("Authorization") or "")


THERE = ANSWER.replace(b"127.0.0.1", b"127.0.0.9")


def moved(*words: str) -> World:
    """Four calls, of which two have been asked to call another server; the answer of that is the test's."""
    world = World("--calls", "4", "--rate", "100", *words)
    world.dial()
    world.run(1.0)
    world.react = lambda event: None
    world.refer(0, 1)
    world.run(0.05)
    return world


def test_callers_go_where_the_server_tells_them_to() -> None:
    world = moved()
    assert str(world.invited[4].request.uri) == "sip:4000@127.0.0.9:5070;xconf=placed"
    assert set(world.media.on.values()) == {("127.0.0.1", 4000)}, "they listen here until they are there"
    for event in world.invited[4:]:
        event.session.accept(THERE, world.now)
    world.run(0.05)
    assert [world.media.on[caller][0] for caller in range(4)] == ["127.0.0.9"] * 2 + ["127.0.0.1"] * 2
    assert world.news(0, 1) == [200, 200] and [world.invited[number].session.ended for number in (0, 1)] == [True] * 2
    calls = world.calls
    assert (calls.moved, calls.not_moved, calls.up, calls.answered, calls.dialled) == (2, 0, 4, 4, 4)
    world.hang_up()
    world.run(1)
    assert (world.calls.up, world.done, world.calls.failures, world.media.on) == (0, ["dialled", "gone"], {}, {})
    world.run(40, step=0.5)
    assert set(world.callers.sizes().values()) | set(world.server.sizes().values()) == {0}


def test_callers_who_are_not_taken_there_stay() -> None:
    world = moved("--answer-within", "3s")
    world.invited[4].session.refuse(503, now=world.now)
    world.run(5)
    assert world.news(0, 1) == [503, 408]
    assert (world.calls.moved, world.calls.not_moved, world.calls.up, world.calls.failures) == (0, 2, 4, {})
    world.react = lambda event: event.session.accept(THERE, world.now)
    world.refer(0)
    world.run(0.1)
    assert (world.calls.moved, world.calls.up) == (1, 4), "and may be asked again"


def test_a_server_that_hangs_up_before_they_are_elsewhere() -> None:
    world = moved()
    for event in world.invited[:2]:
        event.session.hangup(world.now)
    world.run(0.1)
    assert (world.calls.up, world.calls.failures) == (4, {}), "they are on their way"
    world.invited[4].session.accept(THERE, world.now)
    world.invited[5].session.refuse(404, now=world.now)
    world.run(0.1)
    assert world.calls.up == 3
    assert world.calls.failures == {"hung up by the server, and not taken by the one that it named": 1}


def test_callers_hang_up_on_the_way() -> None:
    world = moved()
    world.invited[0].session.hangup(world.now)
    world.run(0.1)
    world.hang_up()
    world.run(1)
    assert (world.calls.up, world.done, world.calls.failures) == (0, ["dialled", "gone"], {})
    assert all(event.session.ended or event.session.incoming for event in world.invited)
    world.run(40, step=0.5)
    assert set(world.callers.sizes().values()) == {0}


def test_who_is_moved_hangs_up_when_he_would_have() -> None:
    world = World("--calls", "1", "--each", "3s")
    world.dial()
    world.run(2.0)
    world.refer(0)
    world.run(0.5)
    assert world.calls.moved == 1
    world.calls.renewing = False
    world.run(0.7)
    assert world.calls.up == 0 and world.invited[1].session.ended


@pytest.mark.parametrize("target", ["sip:4000@conference.example", "tel:4000", "sip:4000@127.0.0.9;transport=tcp"])
def test_where_callers_cannot_go_they_do_not(target: str) -> None:
    world = World("--calls", "1")
    world.dial()
    world.run(1.0)
    world.refer(0, target=target)
    world.run(0.2)
    assert world.news(0) == [603] and world.calls.up == 1
