"""The phone is told by the server that it has called to call another one (REFER), in virtual time."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from phone_world import FakeReactor

from xconf.phone.audio import tones
from xconf.phone.call import CallSettings, PhoneCall
from xconf.phone.options import Keys
from xconf.phone.outcome import Outcome
from xconf.phone.phone import Phone
from xconf.phone.report import Happening
from xconf.sip.session import Session
from xconf.sip.uri import URI

SIP = 5060
OLD, NEW, CALLER = "127.0.0.1", "127.0.0.2", "127.0.0.3"
NEW_URI = f"sip:3000@{NEW};xconf=placed"


class World:
    """A caller who is in a call with the old server, and a new one that waits."""

    def __init__(self, *, answers: bool = True, **settings: object) -> None:
        self.reactor = FakeReactor()
        self.told: dict[str, list[Happening]] = {}
        self.outcomes: dict[str, Outcome] = {}
        self.calls: dict[str, PhoneCall] = {}
        self.news: list[int] = []
        self.phones = {
            name: Phone(self.reactor, name, SIP, rng=random.Random(name), monotonic=self.reactor.seconds)
            for name in (OLD, NEW, CALLER)
        }
        self.reactor.lose = self.sniff
        self.wait(OLD, 440.0)
        if answers:
            self.wait(NEW, 660.0)
        mine = CallSettings(tell=self.told.setdefault(CALLER, []).append, record=True, **settings)  # type: ignore[arg-type]
        self.keep(CALLER, self.phones[CALLER].dial(URI.parse(f"sip:3000@{OLD}"), (OLD, SIP), mine))
        self.reactor.run(2)

    def sniff(self, data: bytes, port: int) -> bool:
        """Nothing is lost; what the old server is told of its REFER is kept."""
        if port == SIP and re.search(rb"(?m)^CSeq: \d+ (NOTIFY|REFER)\r$", data):
            told = re.match(rb"NOTIFY .*\r\n\r\nSIP/2.0 (\d+)", data, re.DOTALL) or re.match(
                rb"SIP/2.0 ([3-6]\d+)", data
            )
            self.news += [int(told[1])] if told else []
        return False

    def wait(self, name: str, hertz: float) -> None:
        settings = CallSettings(tell=self.told.setdefault(name, []).append, sound=tones((hertz,), -18.0))
        self.phones[name].wait(settings).addCallback(lambda call: self.keep(name, call))

    def keep(self, name: str, call: PhoneCall) -> None:
        self.calls[name] = call
        call.ended.addCallback(lambda outcome: self.outcomes.__setitem__(name, outcome))

    def session(self, name: str) -> Session:
        session = self.calls[name].session
        assert session is not None
        return session

    def refer(self, target: str = NEW_URI, seconds: float = 2, name: str = OLD) -> None:
        session = self.session(name)
        session.referrals.refer(URI.parse(target), self.reactor.seconds())
        self.reactor.run(seconds)

    def events(self, name: str = CALLER) -> list[str]:
        return [happening.event for happening in self.told[name]]

    def nothing_left(self) -> bool:
        self.reactor.run(70)
        sizes = [size for phone in self.phones.values() for size in phone.sizes.values()]
        for phone in self.phones.values():
            phone.close()
        self.reactor.run(2)
        return not any(sizes) and not self.reactor.ports and not self.reactor.getDelayedCalls()


def pitches(samples: np.ndarray) -> list[int]:
    """Of each tenth of a second: Hz of what is loudest, 0 for silence."""
    pieces = samples[: len(samples) // 800 * 800].reshape(-1, 800)
    spectra = np.abs(np.fft.rfft(pieces * np.hanning(800)))
    return [int(10 * spectrum.argmax()) if piece.any() else 0 for piece, spectrum in zip(pieces, spectra, strict=True)]


def test_it_calls_there_and_hangs_up_here_and_the_recording_goes_on() -> None:
    world = World(keys=(Keys(3.0, "7"),), duration=6.0, sound=tones((1000.0,), -18.0))
    world.refer()
    assert world.news == [100, 180, 200]
    assert world.outcomes == {OLD: Outcome(True, "the other side hung up")}, "the old call ends, the new one goes on"
    assert world.session(CALLER).remote.uri.params == {"xconf": "placed"}
    world.reactor.run(3)
    assert world.calls[NEW].digits_heard == "7", "keys are pressed in the new call"
    assert world.calls[NEW].summary().level == pytest.approx(-18, abs=0.3)
    assert world.outcomes[CALLER] == Outcome(True, "hung up"), "as long as it was to be, counted from the first answer"
    assert world.events() == ["progress", "answered", "sound", "referred", "moved", "digit-sent", "ended"]
    recorder = world.calls[CALLER].recorder
    assert recorder is not None and recorder.seconds == pytest.approx(6, abs=0.1)
    heard = pitches(recorder.samples)
    first = heard.index(660)
    assert heard[1 : first - 1] == pytest.approx([440] * (first - 2), abs=10)
    assert heard[first:-1] == pytest.approx([660] * (len(heard) - first - 1), abs=10)
    assert world.nothing_left()


@pytest.mark.parametrize("seed", range(5))
def test_a_third_of_all_packets_is_lost_meanwhile(seed: int) -> None:
    rng = random.Random(seed)
    world = World()
    world.reactor.lose = lambda data, port: rng.random() < 0.33
    world.refer(seconds=40)
    assert "moved" in world.events() and OLD in world.outcomes and not {NEW, CALLER} & set(world.outcomes)
    world.calls[CALLER].hangup()
    world.reactor.run(40)
    assert set(world.outcomes) == {OLD, NEW, CALLER}
    assert world.nothing_left()


def test_where_it_is_not_taken_it_stays() -> None:
    world = World(answers=False)
    world.refer()
    assert world.news == [100, 486]
    assert "not-moved" in world.events() and not world.outcomes
    before = world.calls[CALLER].summary().received
    world.wait(NEW, 660.0)
    world.refer()
    assert world.calls[CALLER].summary().received > before + 90, "sound went on"
    assert world.news[-1] == 200, "and it may be asked again"
    assert OLD in world.outcomes


def test_a_server_that_hangs_up_at_once_has_it_go_on_elsewhere() -> None:
    world = World()
    world.refer(seconds=0.012)
    world.session(OLD).hangup(world.reactor.seconds())
    world.reactor.run(2)
    assert "moved" in world.events() and CALLER not in world.outcomes
    world.calls[CALLER].hangup()
    world.reactor.run(1)
    assert world.outcomes[CALLER] == Outcome(True, "hung up") and world.nothing_left()


def test_a_server_that_hangs_up_with_nowhere_to_go_ends_the_call() -> None:
    world = World(answers=False)
    world.refer(seconds=0.012)
    world.session(OLD).hangup(world.reactor.seconds())
    world.reactor.run(2)
    assert not world.outcomes[CALLER].normal and "486" in world.outcomes[CALLER].text
    assert world.nothing_left()


def test_hanging_up_on_the_way() -> None:
    world = World()
    world.refer(seconds=0.025)
    world.calls[CALLER].hangup()
    world.reactor.run(2)
    assert world.outcomes[CALLER] == Outcome(True, "hung up")
    assert set(world.outcomes) == {OLD, NEW, CALLER}, "the new call is over, too"
    assert world.nothing_left()


def test_who_wants_to_stay_does() -> None:
    world = World(stay=True)
    world.refer()
    assert world.news == [603] and not world.outcomes


def test_who_has_called_us_does_not_have_us_call_others() -> None:
    world = World()
    world.refer(NEW_URI, name=CALLER)
    assert "not-referred" in world.events(OLD) and NEW not in world.calls and not world.outcomes


@pytest.mark.parametrize(
    "target", ["tel:+49301111", "sips:3000@127.0.0.2", f"sip:3000@{NEW}?Replaces=a", f"sip:3000@{NEW};method=BYE"]
)
def test_what_is_no_plain_call_is_not_followed(target: str) -> None:
    world = World()
    world.refer(target)
    assert world.news == [603]
    assert "not-referred" in world.events() and not world.outcomes
