"""Names that people say when they come: asked for, heard by nobody until they are told, and the roll call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conference_world import PROMPT
from conference_world import World as Plain
from media_world import HOST, Wire, level
from node_world import TICK, Caller, Node

from xconf.conference import events
from xconf.conference.naming import LONGEST, MOST

RATE = 8000
QUIET = {"member_join": "", "member_leave": "", "alone_sound": False, "member_welcome": "", "cng": {"enable": False}}
NAME = 2500.0  # Hz of what they say
QUESTION = 3.54 + 0.2 + 0.1  # s


class World(Node):
    """Callers are asked for their names."""

    def __init__(self, **profile: object) -> None:
        super().__init__({**QUIET, "ask_names": True, **profile})
        self.wires: dict[Caller, Wire] = {}
        self.ticks = 0

    def phone(self) -> Caller:
        caller = self.call()
        wire = Wire(caller.leg)
        caller.leg.set_media(wire.media(), host=HOST, addressed=True)
        self.wires[caller] = wire
        return caller

    def says(self, caller: Caller, seconds: float, frequency: float, loud: float = 8000) -> None:
        """It sends a tone, or silence (0)."""
        wire = self.wires[caller]
        for _ in range(round(seconds / TICK)):
            time = (self.ticks * 160 + np.arange(160)) / RATE
            wire.timestamp = 160 * self.ticks
            wire.speak((loud * np.sin(2 * np.pi * frequency * time)).astype(np.int16))
            self.ticks += 1
            self.run(TICK)

    def named(self, frequency: float = NAME) -> Caller:
        """Somebody comes and says his name for a second."""
        caller = self.phone()
        self.says(caller, QUESTION, 0)
        self.says(caller, 1.0, frequency)
        self.says(caller, 1.6, 0)
        assert self.members() == sum(not each.ended for each in self.callers)
        return caller

    def members(self) -> int:
        return self.conferences.totals.members

    def roll_call(self, caller: Caller, seconds: float) -> np.ndarray:
        """What it hears then."""
        self.did(f"3000 member {caller.member.id} roll-call")
        self.run(seconds)
        return caller.heard(seconds)

    def close(self) -> None:
        for wire in self.wires.values():
            wire.socket.close()
        super().close()


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.close()


def seconds_of(sound: np.ndarray, frequency: float) -> float:
    """How long a tone is heard in it."""
    frames = sound[: len(sound) // 800 * 800].reshape(-1, 800)
    return sum(level(frame, frequency) > 4000 for frame in frames) * 0.1


def test_who_comes_is_asked_for_his_name_which_nobody_hears_meanwhile(world: World) -> None:
    ann = world.named(1900.0)
    before = len(ann.frames)
    bob = world.phone()
    world.run(2.0)
    assert np.abs(bob.heard(1.0)).mean() > 300, "the question is heard"
    world.says(bob, QUESTION - 2.0, 0)
    world.says(bob, 1.0, NAME)
    assert world.members() == 1
    world.says(bob, 1.6, 0)
    assert world.members() == 2
    assert not np.concatenate(ann.frames[before:]).any()
    world.says(bob, 1.0, 900.0)
    assert level(ann.heard(0.5), 900.0) == pytest.approx(8000, rel=0.1), "from then on he is heard"


def test_the_roll_call_says_how_many_there_are_and_all_names_to_who_asks_alone(world: World) -> None:
    ann, bob = world.named(1900.0), world.named(NAME)
    heard = world.roll_call(ann, 5.0)
    assert seconds_of(heard, 1900.0) == pytest.approx(1.0, abs=0.2)
    assert seconds_of(heard, NAME) == pytest.approx(1.0, abs=0.2)
    first = next(at for at in range(0, len(heard), 800) if level(heard[at : at + 800], 1900.0) > 4000)
    then = next(at for at in range(0, len(heard), 800) if level(heard[at : at + 800], NAME) > 4000)
    assert np.abs(heard[:first]).mean() > 300, "two members"
    assert first + 0.9 * RATE < then < first + 1.5 * RATE, "who came first is named first, and there is no long pause"
    assert not bob.heard(5.0).any()


def test_the_same_key_ends_the_roll_call(world: World) -> None:
    ann = world.named()
    world.roll_call(ann, 0.5)
    world.did(f"3000 member {ann.member.id} roll-call")
    world.run(0.1)
    assert ann.hears == "mix"


def test_who_has_left_is_in_no_roll_call(world: World) -> None:
    ann, bob = world.named(1900.0), world.named(NAME)
    bob.hang_up()
    world.run(0.1)
    heard = world.roll_call(ann, 4.0)
    assert seconds_of(heard, 1900.0) > 0.7
    assert seconds_of(heard, NAME) == 0


def test_the_name_is_told_to_all_when_he_comes_and_when_he_leaves() -> None:
    world = World(announce_names=True)
    ann = world.named(1900.0)
    bob = world.named(NAME)
    world.run(2.0)
    assert seconds_of(ann.heard(3.6), NAME) == pytest.approx(1.0, abs=0.2)
    bob.hang_up()
    world.run(3.0)
    assert seconds_of(ann.heard(3.0), NAME) == pytest.approx(1.0, abs=0.2)
    world.close()


def test_a_key_ends_the_name(world: World) -> None:
    ann = world.phone()
    world.says(ann, QUESTION, 0)
    world.says(ann, 0.6, NAME)
    ann.member.digit("#")
    assert world.members() == 1
    assert seconds_of(world.roll_call(ann, 3.0), NAME) == pytest.approx(0.6, abs=0.2)
    assert not [event for event in world.events if isinstance(event, events.DigitPressed)]


def test_the_key_after_the_pin_does_not_end_the_name() -> None:
    world = World(pin_auth=True, user_pin="456")
    ann = world.phone()
    world.run(0.5)
    for digit in "456#":
        ann.member.digit(digit)
        world.run(0.1)
    assert np.abs(ann.heard(0.1)).mean() > 100, "the question goes on"
    world.says(ann, QUESTION - 0.1, 0)
    world.says(ann, 0.6, NAME)
    ann.member.digit("#")
    assert world.members() == 1
    assert seconds_of(world.roll_call(ann, 3.0), NAME) > 0.4
    world.close()


def test_who_says_nothing_comes_in_without_a_name(world: World) -> None:
    ann = world.phone()
    world.says(ann, QUESTION, 0)
    world.says(ann, LONGEST - 0.5, 300.0, loud=50)
    assert world.members() == 0
    world.says(ann, 1.0, 0)
    assert world.members() == 1
    assert ann.member.spoken_name is None


def test_who_does_not_stop_is_stopped(world: World) -> None:
    ann = world.phone()
    world.says(ann, QUESTION, 0)
    world.says(ann, LONGEST + 0.5, NAME)
    assert world.members() == 1
    assert seconds_of(world.roll_call(ann, 8.0), NAME) == pytest.approx(LONGEST, abs=0.3)


@pytest.mark.parametrize("after", [1.0, QUESTION + 0.5])
def test_who_hangs_up_meanwhile_leaves_nothing_behind(world: World, after: float) -> None:
    ann = world.phone()
    world.says(ann, after, 0)
    ann.hang_up()
    world.run(0.1)
    assert world.conferences.sizes()["calls"] == 0


def test_a_conference_that_ends_meanwhile_ends_the_call(world: World) -> None:
    ann = world.phone()
    world.says(ann, QUESTION + 0.5, NAME)
    world.did("3000 term")
    world.run(0.1)
    assert ann.ended == "conference ended"


def test_packets_go_on_without_a_jump_when_he_comes_in(world: World) -> None:
    ann = world.named()
    wire = world.wires[ann]
    wire.receive()
    numbers = [int.from_bytes(packet[2:4]) for packet in wire.packets]
    sources = {packet[8:12] for packet in wire.packets}
    assert len(numbers) > 200
    assert {(b - a) % 65536 for a, b in zip(numbers, numbers[1:], strict=False)} == {1}
    assert len(sources) == 1


def names(heard: list[str]) -> list[str]:
    return [Path(spec).stem for spec in heard]


def test_listeners_are_not_asked_nor_who_comes_to_many() -> None:
    world = Plain({"ask_names": True})
    assert names(world.call(flags="").heard)[0] == "welcome"
    assert names(world.call().heard)[0] == "say-name"
    for _ in range(MOST - 2):
        world.call(flags="")
    assert names(world.call().heard)[0] == "welcome"
    world.node.shutdown()
    world.wait(1)
    world.assert_nothing_left()


def test_of_many_some_are_named() -> None:
    world = Plain({}, {"default": {"1": "roll-call"}})
    ann = world.settled()
    for _ in range(MOST + 9):
        world.call(flags="")
    world.wait(10)
    ann.heard.clear()
    ann.press("1")
    world.wait(PROMPT * (MOST + 5))
    assert names(ann.heard) == ["60", "members", *["somebody"] * MOST, "and-others"]
