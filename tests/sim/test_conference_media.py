"""Members in real media: the engine's tick drives prompts, music and keys; only the network is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conference_world import DTMF
from twisted.internet.task import Clock

from xconf.conference.controls import build
from xconf.conference.dispatch import dispatch, load_table
from xconf.conference.library import Library
from xconf.conference.member import Member
from xconf.conference.profile import resolve
from xconf.conference.registry import Conferences
from xconf.media.codecs import PCMU
from xconf.media.engine import Engine
from xconf.media.leg import Leg, LegMedia
from xconf.media.plane import SILENCE
from xconf.media.sounds import Sounds
from xconf.rtp.ports import MediaPorts

SOUNDS = Path(__file__).parents[2] / "sounds"


class Caller:
    """A call on a real leg."""

    def __init__(self, node: Node, number: int) -> None:
        conference = node.conferences.find_or_create("3000", "default")
        self.call_id, self.caller = f"call-{number}", f"<{number}>"
        self.ended = ""
        self.leg: Leg = node.engine.create_leg(conference.mix, ("127.0.0.1", 9 + number), "127.0.0.1")
        self.leg.set_media(
            LegMedia(PCMU, 0, 0, 101, ("127.0.0.1", 9 + number), ("127.0.0.1", 10 + number)),
            host="127.0.0.1",
            addressed=True,
        )
        self.member: Member = conference.join(self, {"speaker": True})

    def hangup(self, reason: str) -> None:
        if not self.ended:
            self.ended = reason
            self.leg.close()

    @property
    def hears(self) -> str:
        """What kind of source its packets are made of."""
        source = self.leg.source()
        if source == SILENCE:
            return "silence"
        return "mix" if self.leg.mix is not None and source == self.leg.mix.row else "sound"


class Node:
    def __init__(self) -> None:
        self.clock = Clock()
        self.engine = Engine(MediaPorts("127.0.0.1", 21000, 21099), 16, np.random.default_rng(1))
        table = load_table([DTMF])
        profiles = resolve({"default": {"member_welcome": "tone_stream://%(100,0,500)"}})
        sounds = Sounds(SOUNDS)
        library = Library(sounds)
        for spec in profiles["default"].sounds().values():
            sounds.prepare(spec, 8000)
        self.conferences = Conferences(self.clock, self.engine, library, profiles, build({}, table), table)
        self.callers: list[Caller] = []

    def call(self) -> Caller:
        self.callers.append(Caller(self, 1 + len(self.callers)))
        return self.callers[-1]

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            self.clock.advance(0.02)
            self.engine.tick(0, 1e9 + self.clock.seconds())
            self.engine.ports.settle()
            self.engine.deliver()

    def until(self, caller: Caller, hears: str, seconds: float) -> None:
        """Wait until it hears that; fails when that takes longer."""
        for _ in range(round(seconds * 50)):
            if caller.hears == hears:
                return
            self.run(0.02)
        raise AssertionError(f"still hears {caller.hears}")


@pytest.fixture
def node() -> Iterator[Node]:
    node = Node()
    yield node
    node.conferences.shutdown()
    node.run(0.1)
    node.engine.close()
    assert node.clock.getDelayedCalls() == []
    assert not any(node.engine.sizes().values()), node.engine.sizes()


def test_alone_music_mix_goodbye(node: Node) -> None:
    ann = node.call()
    node.run(8)
    assert ann.hears == "sound"  # the music
    bob = node.call()
    node.until(bob, "mix", 1)
    node.until(ann, "mix", 1)
    bob.leg.digit("#")
    assert bob.hears == "sound"
    node.run(3)
    assert bob.ended == "left by keypad"
    node.run(0.5)
    assert ann.hears == "sound"


def test_deaf_hears_the_prompt_then_silence_also_in_place_of_music(node: Node) -> None:
    ann = node.call()
    node.run(8)
    ann.leg.digit("*")
    assert ann.hears == "sound"
    node.until(ann, "silence", 4)
    node.run(2)
    assert ann.hears == "silence"


def test_a_conference_hears_a_file_that_was_named_and_term_ends_it(node: Node) -> None:
    ann, bob = node.call(), node.call()
    node.run(1)
    result = dispatch(node.conferences, "3000 playback locked.wav")
    assert result.ok, result.text
    node.run(1)
    assert node.engine.planes[8000, 1].pcm[ann.leg.mix.row].any()
    assert dispatch(node.conferences, "3000 playback nowhere.wav").text == "no sound 'nowhere.wav'"
    assert dispatch(node.conferences, "3000 term").ok
    node.run(3)
    assert (ann.ended, bob.ended) == ("conference ended", "conference ended")
    assert len(node.conferences) == 0
