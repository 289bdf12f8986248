"""Whatever callers and operators do, in whatever order: nothing breaks, and nothing is left behind."""

from __future__ import annotations

from typing import Any

from conference_world import FakeCall, World
from hypothesis import given, settings
from hypothesis import strategies as st

from xconf.conference import events

CONFERENCES = ("3000", "3001", "5000")
FLAGS = [f"{sign}{name}" for sign in "+-" for name in ("speaker", "admin", "auth", "mute", "deaf", "vad", "agc")]
MEMBER_COMMANDS = [
    *(f"flags {flag}" for flag in FLAGS),
    "kick",
    "playback a.wav",
    "playback queue b.wav async",
    "playback queue broken.wav",
    "playback stop",
    "playback pause",
    "playback resume",
    "playback seek 1.5",
    "playback volume -1",
    "admin",
    "deaf-mute",
]
CONFERENCE_COMMANDS = [
    "term",
    "playback b.wav",
    "playback broken.wav",
    "playback queue a.wav",
    "playback stop",
    "playback pause",
    "playback resume",
    "playback seek +1",
    *(f"flags {sign}{name}" for sign in "+-" for name in ("alone-snd", "vad", "cng", "agc")),
]
STEPS = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(CONFERENCES), st.sampled_from(["", "+speaker", "+deaf", "+auth +mute"])),
    st.tuples(st.just("press"), st.integers(0, 9), st.text("0123456789*#AD", min_size=1, max_size=6)),
    st.tuples(st.just("pin"), st.integers(0, 9), st.sampled_from(["123", "456#", "999#", "#"])),
    st.tuples(st.just("talk"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("hang up"), st.integers(0, 9)),
    st.tuples(st.just("member"), st.integers(0, 9), st.sampled_from(MEMBER_COMMANDS)),
    st.tuples(st.just("conference"), st.sampled_from(CONFERENCES), st.sampled_from(CONFERENCE_COMMANDS)),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.5, 2.0, 4.5, 12.0])),
    st.tuples(st.just("decode")),
)


class Story:
    """Plays steps, and checks after each what must always be so."""

    def __init__(self, timer: int, slow: bool, asks: bool) -> None:
        self.world = World(
            {"conference_term_timer": timer, "admin_pin": "123", "ask_names": asks},
            {"default": {"1": "admin", "12": "mute", "#": "hangup"}},
        )
        self.world.library.slow = slow
        self.calls: list[FakeCall] = []

    def caller(self, number: int) -> FakeCall | None:
        up = [call for call in self.calls if call.ended is None]
        return up[number % len(up)] if up else None

    def play(self, step: tuple[Any, ...]) -> None:
        kind, *rest = step
        if kind == "call":
            profile = "pin" if rest[0] == "5000" else "default"
            self.calls.append(self.world.call(rest[0], rest[1], profile=profile))
        elif kind == "wait":
            self.world.wait(rest[0])
        elif kind == "decode":
            self.world.library.decode()
        elif kind == "conference":
            self.world.do(f"{rest[0]} {rest[1]}")
        else:
            call = self.caller(rest[0])
            if call is not None:
                self.of_caller(call, kind, rest[1:])

    def of_caller(self, call: FakeCall, kind: str, rest: list[Any]) -> None:
        if kind in ("press", "pin"):
            call.press(rest[0])
        elif kind == "hang up":
            call.hang_up()
        elif kind == "member":
            self.world.do(f"{call.member.conference.name} member {call.member.id} {rest[0]}")
        elif call.leg.on_talk is not None and call.leg.speaker:
            call.leg.on_talk(rest[0])

    def check(self) -> None:
        up = [call for call in self.calls if call.ended is None]
        assert self.world.node.sizes()["calls"] == len(up)
        for call in up:
            assert call.hears
            if call.leg.is_heard:
                assert call.member.stage == "in"
        music = [player for player in self.world.media.broadcasts if player.on]
        waiting = [call for call in up if call.leg.broadcast]
        assert len(music) == bool(waiting), "all who wait hear the same"
        assert all(len(call.member.conference.members) == 1 for call in waiting)

    def end(self) -> None:
        for call in self.calls:
            if call.ended is None:
                call.hang_up()
        self.check()


@settings(max_examples=200, deadline=None)
@given(steps=st.lists(STEPS, max_size=40), timer=st.sampled_from([0, 1]), slow=st.booleans(), asks=st.booleans())
def test_nothing_is_left_behind(steps: list[tuple[Any, ...]], timer: int, slow: bool, asks: bool) -> None:
    story = Story(timer, slow, asks)
    for step in steps:
        story.play(step)
        story.check()
    story.end()
    world = story.world
    world.wait(60)
    world.library.decode()
    assert world.clock.getDelayedCalls() == []
    assert len(world.node) == 0 or timer == 0
    world.node.shutdown()
    world.assert_nothing_left()
    assert len(world.of(events.MemberJoined)) == len(world.of(events.MemberLeft))
    assert len(world.of(events.TalkStarted)) == len(world.of(events.TalkStopped))
    assert len(world.of(events.PlaybackStarted)) == len([e for e in world.of(events.PlaybackEnded) if not e.error])
    assert len(world.of(events.ConferenceStarted)) == len(world.of(events.ConferenceEnded))
    assert [event.sequence for event in world.events] == list(range(1, len(world.events) + 1))


@settings(max_examples=50, deadline=None)
@given(
    before=st.lists(st.sampled_from(["456", "9#", "*", "wait", "kick", "term"]), max_size=4),
    delay=st.integers(0, 60),
)
def test_a_caller_may_hang_up_at_any_moment(before: list[str], delay: int) -> None:
    world = World()
    call = world.call("5000", profile="pin")
    for step in before:
        if step == "wait":
            world.wait(2.5)
        elif step == "kick":
            world.do(f"5000 member {call.member.id} kick")
        elif step == "term":
            world.do("5000 term")
        else:
            call.press(step)
    world.wait(delay / 10)
    if call.ended is None:
        call.hang_up()
    assert world.clock.getDelayedCalls() == []
    assert world.node.sizes()["calls"] == 0
