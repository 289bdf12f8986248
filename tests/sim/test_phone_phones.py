"""Whole phones, SIP and sound, in virtual time: on networks that lose packets, and many at once."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from phone_world import FakeReactor

from xconf.phone.audio import tones
from xconf.phone.call import CallSettings, PhoneCall
from xconf.phone.options import Keys
from xconf.phone.outcome import Outcome
from xconf.phone.phone import Phone
from xconf.phone.report import Happening
from xconf.phone.session import PhoneError
from xconf.sip.uri import URI

SIP = 5060


class World:
    """A callee at 127.0.0.1 and callers at other addresses."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.told: dict[str, list[Happening]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.calls: dict[str, PhoneCall] = {}

    def phone(self, address: str) -> Phone:
        return Phone(self.reactor, address, SIP, rng=random.Random(address), monotonic=self.reactor.seconds)

    def settings(self, name: str, **settings: object) -> CallSettings:
        return CallSettings(tell=self.told.setdefault(name, []).append, **settings)  # type: ignore[arg-type]

    def keep(self, name: str, call: PhoneCall) -> None:
        self.calls[name] = call
        call.ended.addCallback(lambda outcome: self.outcomes.__setitem__(name, outcome))

    def wait(self, name: str, phone: Phone, **settings: object) -> None:
        phone.wait(self.settings(name, **settings)).addCallback(lambda call: self.keep(name, call))

    def dial(self, name: str, phone: Phone, address: str, **settings: object) -> None:
        call = phone.dial(URI.parse(f"sip:3000@{address}"), (address, SIP), self.settings(name, **settings))
        self.keep(name, call)

    def pair(self, **settings: object) -> tuple[Phone, Phone]:
        callee, caller = self.phone("127.0.0.1"), self.phone("127.0.0.2")
        self.wait("callee", callee, sound=tones((660.0,), -18.0))
        self.dial("caller", caller, "127.0.0.1", **settings)
        return callee, caller

    def events(self, name: str) -> list[str]:
        return [happening.event for happening in self.told[name]]

    def nothing_left(self, *phones: Phone) -> bool:
        """After all transactions have had their time, the phones keep nothing and the reactor has nothing to do."""
        self.reactor.run(70)
        sizes = [size for phone in phones for size in phone.sizes.values()]
        for phone in phones:
            phone.close()
        self.reactor.run(2)
        return not any(sizes) and not self.reactor.ports and not self.reactor.getDelayedCalls()


def test_a_call_from_dialling_to_hanging_up() -> None:
    world = World()
    callee, caller = world.pair(duration=3.0, keys=(Keys(1.0, "12"),))
    world.reactor.run(4)
    assert world.events("caller") == ["progress", "answered", "sound", "digit-sent", "digit-sent", "ended"]
    assert world.events("callee") == ["incoming", "answered", "digit-heard", "digit-heard", "ended"]
    assert world.outcomes == {"caller": Outcome(True, "hung up"), "callee": Outcome(True, "the other side hung up")}
    assert world.nothing_left(callee, caller)


@pytest.mark.parametrize("seed", range(5))
def test_calls_come_and_go_when_a_third_of_all_packets_is_lost(seed: int) -> None:
    world, rng = World(), random.Random(seed)
    world.reactor.lose = lambda data, port: rng.random() < 0.33
    callee, caller = world.pair(duration=10.0, keys=(Keys(1.0, "12345"),), digits_by="info")
    world.reactor.run(60)
    assert set(world.outcomes) == {"caller", "callee"}
    assert world.outcomes["caller"].normal and world.outcomes["callee"].normal
    summary = world.calls["caller"].summary()
    assert 0.2 < summary.lost / (summary.lost + summary.received) < 0.45
    assert world.calls["callee"].digits_heard == "12345"
    assert world.nothing_left(callee, caller)


def test_many_calls_at_once_from_one_phone() -> None:
    world = World()
    caller = world.phone("127.0.0.1")
    callees = [world.phone(f"127.0.1.{number}") for number in range(1, 21)]
    for callee in callees:
        world.wait(callee.address, callee)
        world.dial(f"to {callee.address}", caller, callee.address, sound=tones((440.0,), -18.0), duration=2.0)
    world.reactor.run(3)
    assert len(world.outcomes) == 40 and all(outcome.normal for outcome in world.outcomes.values())
    assert all(world.calls[callee.address].summary().sounding > 1.8 for callee in callees)
    assert world.nothing_left(caller, *callees)


def test_hanging_up_while_the_answer_is_on_its_way() -> None:
    world = World()
    callee, caller = world.pair()
    world.reactor.run(0.005)
    world.calls["caller"].hangup()
    world.reactor.run(5)
    assert world.outcomes["caller"].text == "cancelled before the call was answered"
    assert set(world.outcomes) == {"caller", "callee"}
    assert world.nothing_left(callee, caller)


def test_hold_and_resume() -> None:
    world = World()
    world.pair(sound=tones((440.0,), -18.0))
    world.reactor.run(1)
    call = world.calls["callee"]
    assert call.session is not None
    for direction in (b"a=sendonly", b"a=sendrecv"):
        before = call.summary().received
        call.session.reinvite(call.offer().replace(b"a=sendrecv", direction), world.reactor.seconds())
        world.reactor.run(2)
        grown = call.summary().received - before
        assert grown == pytest.approx(0 if direction == b"a=sendonly" else 100, abs=4)
    texts = [happening.text for happening in world.told["caller"]]
    assert [text for text in texts if "changed the call" in text] == [
        "the other side changed the call: now recvonly",
        "the other side changed the call: now sendrecv",
    ]


def test_a_change_that_cannot_be_is_refused_and_the_call_goes_on() -> None:
    world = World()
    world.pair(codecs=("pcmu",))
    world.reactor.run(1)
    call = world.calls["callee"]
    assert call.session is not None
    call.session.reinvite(call.offer().replace(b"PCMU/8000", b"OPUS/48000").replace(b" 0 ", b" 99 "), 1.0)
    world.reactor.run(2)
    assert not world.outcomes and world.calls["caller"].summary().received > 100


def test_a_key_that_is_refused_is_told_and_the_others_go_on() -> None:
    world = World()
    world.pair(keys=(Keys(1.0, "1"),), digits_by="info")
    world.reactor.run(0.5)
    session = world.calls["callee"].session
    assert session is not None
    session.ua.settings = replace(session.ua.settings, info_types=())
    world.reactor.run(1)
    assert "key 1 did not arrive: 415" in "\n".join(happening.text for happening in world.told["caller"])
    assert not world.outcomes


def test_nobody_answers() -> None:
    world = World()
    caller = world.phone("127.0.0.2")
    world.dial("caller", caller, "127.0.0.1")
    world.reactor.run(5)
    assert world.events("caller") == ["nothing-yet"]
    world.reactor.run(30)
    assert world.outcomes["caller"].text == "no answer" and world.nothing_left(caller)


def test_a_caller_that_vanishes_before_its_ack() -> None:
    world = World()
    callee, caller = world.pair()
    world.reactor.lose = lambda data, port: port == SIP and data.startswith(b"ACK")
    world.reactor.run(40)
    assert "did not acknowledge" in world.outcomes["callee"].text and not world.outcomes["callee"].normal
    assert world.nothing_left(callee, caller)


def test_a_port_in_use_is_said() -> None:
    world = World()
    world.phone("127.0.0.1")
    with pytest.raises(PhoneError, match=r"SIP port 5060 on 127\.0\.0\.1: .*in use"):
        world.phone("127.0.0.1")


def test_no_ports_for_sound_are_left() -> None:
    world = World()
    caller = world.phone("127.0.0.1")
    for number in range(20_000, 32_000):
        world.reactor.ports["127.0.0.1", number] = world.reactor.ports["127.0.0.1", SIP]
    with pytest.raises(PhoneError, match="no UDP port for sound"):
        world.dial("caller", caller, "127.0.0.2")
