"""Playback: one after the other, stopped, paused, wound, louder and softer; to one and to all."""

from __future__ import annotations

import pytest
from conference_world import PROMPT, World

from xconf.conference import events
from xconf.conference.commands import Reply
from xconf.conference.errors import CommandError


class Audience:
    """One that hears what is played: a member alone, or a whole conference."""

    def __init__(self, scope: str) -> None:
        self.world = World()
        self.ann, self.bob = self.world.settled(), self.world.settled()
        self.scope = scope
        self.place = "3000" if scope == "conference" else f"3000 member {self.ann.member.id}"

    def did(self, words: str) -> str:
        return self.world.did(f"{self.place} playback {words}")

    def refused(self, words: str) -> str:
        result = self.world.do(f"{self.place} playback {words}")
        assert not result.ok
        return result.text

    def later(self, words: str) -> list[str]:
        """What a command says when it is done waiting; filled in as time goes by."""
        said: list[str] = []
        later = self.world.do(f"{self.place} playback {words}").later
        assert later is not None

        def told(outcome: Reply | CommandError) -> None:
            said.append(f"error: {outcome}" if isinstance(outcome, CommandError) else outcome.text)

        later.then(told)
        return said

    @property
    def hears(self) -> str:
        """What is played, or empty."""
        if self.scope == "conference":
            return " ".join(self.world.media.mixes[0].sounds)
        return "" if self.ann.hears == "mix" else self.ann.hears

    @property
    def volume(self) -> int:
        player = self.ann.leg.player or next(p for p in self.world.media.mixes[0].players if p.on)
        return player.volume

    def told(self) -> list[tuple[str, str, bool, str]]:
        """Events of playback, without their beginnings."""
        return [
            (event.member, event.sound, event.stopped, event.error) for event in self.world.of(events.PlaybackEnded)
        ]


@pytest.fixture(params=["member", "conference"])
def audience(request: pytest.FixtureRequest) -> Audience:
    return Audience(request.param)


def test_sounds_that_are_queued_are_heard_one_after_the_other(audience: Audience) -> None:
    assert audience.did("queue a.wav") == "playing a.wav"
    assert audience.did("queue b.wav") == "queued b.wav"
    audience.did("queue no-such.wav")
    audience.did("queue c.wav")
    heard = []
    for _ in range(70):
        if audience.hears and audience.hears not in heard[-1:]:
            heard.append(audience.hears)
        audience.world.wait(0.1)
    assert heard == ["a.wav", "b.wav", "c.wav"]
    assert audience.hears == ""
    who = audience.ann.member.id if audience.scope == "member" else ""
    assert audience.told() == [
        (who, "a.wav", False, ""),
        (who, "b.wav", False, ""),
        (who, "no-such.wav", False, "no sound 'no-such.wav'"),
        (who, "c.wav", False, ""),
    ]


def test_a_sound_that_is_played_at_once_ends_all_that_waits_and_so_does_stop(audience: Audience) -> None:
    for words in ("queue a.wav", "queue b.wav", "queue c.wav", "now.wav async"):
        audience.did(words)
    assert audience.hears == "now.wav"
    assert {sound for _, sound, stopped, _ in audience.told() if stopped} == {"a.wav"}
    audience.did("queue d.wav")
    assert audience.did("stop") == "stopped"
    audience.world.wait(5)
    assert audience.hears == ""
    assert audience.did("stop") == "nothing was played"
    assert all(stopped for _, _, stopped, _ in audience.told())


def test_what_is_paused_goes_on_where_it_was(audience: Audience) -> None:
    audience.did("a.wav async")
    audience.world.wait(0.5)
    assert audience.did("pause") == "paused a.wav at 0.5 s"
    assert audience.hears == ""
    assert audience.refused("pause") == "a.wav is paused already"
    audience.world.wait(10)
    assert audience.did("resume") == "playing a.wav from 0.5 s on"
    assert audience.refused("resume") == "a.wav is not paused"
    audience.world.wait(1.4)
    assert audience.hears == "a.wav"
    audience.world.wait(0.2)
    assert audience.hears == ""


def test_what_is_paused_can_be_stopped_and_replaced(audience: Audience) -> None:
    audience.did("a.wav async")
    audience.did("pause")
    audience.did("b.wav async")
    assert audience.hears == "b.wav"
    audience.did("pause")
    assert audience.did("stop") == "stopped"
    audience.world.wait(3)
    assert audience.hears == ""
    assert len(audience.told()) == 2


def test_it_is_wound_to_a_place_and_by_a_stretch(audience: Audience) -> None:
    audience.did("a.wav async")
    assert audience.did("seek 1.5") == "playing a.wav from 1.5 s on"
    assert audience.did("seek -1") == "playing a.wav from 0.5 s on"
    assert audience.did("seek +0.7") == "playing a.wav from 1.2 s on"
    assert audience.did("seek -0:10") == "playing a.wav from 0.0 s on"
    audience.did("seek 1")
    audience.world.wait(0.9)
    assert audience.hears == "a.wav"
    audience.world.wait(0.2)
    assert audience.hears == ""


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("1:00:05", 3605), ("0:0.5", 0.5)])
def test_times_are_written_as_people_do(audience: Audience, text: str, seconds: float) -> None:
    audience.did("long-a.wav async")
    sound = audience.world.library.opened[-1]
    sound.seconds = 10_000.0
    audience.did(f"seek {text}")
    assert sound.position == seconds


def test_the_volume_is_for_what_is_played_now_and_next(audience: Audience) -> None:
    audience.did("a.wav async")
    assert audience.did("volume -1") == "volume: -1"
    assert audience.volume == -1
    audience.did("b.wav async")
    assert audience.volume == -1
    assert audience.did("volume +9") == "volume: +4"
    assert audience.volume == 4
    audience.did("volume 0")
    assert audience.volume == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("pause", "nothing is played"),
        ("resume", "nothing is played"),
        ("seek 10", "nothing is played"),
        ("seek ten", "playback: 'ten' is not like 90, 1:30, +10 or -10"),
        ("volume loud", "playback: 'loud' is not like +1, -1 or 0"),
        ("queue", "playback: name a sound"),
        ("no-such.wav", "no sound 'no-such.wav'"),
        ("queue no-such.wav", "no sound 'no-such.wav'"),
        ("broken.wav", "playing broken.wav"),
    ],
)
def test_what_cannot_be_done_is_said(audience: Audience, words: str, text: str) -> None:
    result = audience.world.do(f"{audience.place} playback {words}")
    assert result.text == text
    assert audience.hears == ""


def test_who_waits_is_told_when_it_is_over_others_when_it_begins(audience: Audience) -> None:
    at_once, at_last = audience.later("a.wav async"), []
    assert at_once == ["playing a.wav"]
    audience.world.wait(PROMPT + 0.1)
    at_last = audience.later("b.wav")
    audience.world.wait(PROMPT - 0.1)
    assert at_last == []
    audience.world.wait(0.2)
    assert at_last == ["played b.wav"]
    stopped = audience.later("c.wav")
    audience.did("stop")
    assert stopped == ["stopped c.wav"]
    assert audience.later("broken.wav async") == ["error: sound 'broken.wav' cannot be read"]
    assert audience.later("queue d.wav") == []


def test_who_waits_is_told_when_everybody_leaves(audience: Audience) -> None:
    said = audience.later("a.wav")
    waiting = audience.later("queue b.wav")
    for call in (audience.ann, audience.bob):
        call.hang_up()
    assert (said, waiting) == (["stopped a.wav"], ["stopped b.wav"])
    audience.world.assert_left(audience.ann, audience.bob)
    assert all(sound.closed for sound in audience.world.library.opened)


def test_what_is_stopped_while_it_is_made_ready_is_not_heard(audience: Audience) -> None:
    audience.world.library.slow = True
    said = audience.later("a.wav")
    assert audience.did("stop") == "stopped"
    assert said == ["stopped a.wav"]
    audience.world.library.decode()
    assert audience.hears == ""
    assert all(sound.closed for sound in audience.world.library.opened)


def test_of_two_that_are_made_ready_the_later_one_is_heard(audience: Audience) -> None:
    audience.did("before.wav async")
    audience.world.library.slow = True
    audience.did("a.wav async")
    audience.did("b.wav async")
    assert audience.hears == "before.wav"
    audience.world.library.decode()
    assert audience.hears == "b.wav"


def test_no_more_than_a_hundred_wait(audience: Audience) -> None:
    audience.did("a.wav async")
    for _ in range(100):
        audience.did("queue b.wav async")
    assert audience.refused("queue b.wav") == "100 sounds wait already"


def test_a_member_that_is_paused_hears_the_conference() -> None:
    audience = Audience("member")
    audience.did("a.wav async")
    assert audience.ann.hears == "a.wav"
    audience.did("pause")
    assert audience.ann.hears == "mix"


def test_keys_steer_what_the_member_hears() -> None:
    keys = {"1": "playback:a.wav", "2": "playback:queue b.wav", "3": "playback:seek +1", "4": "playback:pause"}
    world = World(None, {"default": {**keys, "5": "playback:resume", "6": "playback:volume -2", "7": "playback:stop"}})
    ann, _ = world.settled(), world.settled()
    ann.press("126")
    assert (ann.hears, ann.leg.player.volume) == ("a.wav", -2)
    ann.press("3")
    world.wait(1.2)
    assert ann.hears == "b.wav"
    ann.press("4")
    assert ann.hears == "mix"
    ann.press("5")
    assert ann.hears == "b.wav"
    ann.press("7")
    assert ann.hears == "mix"
    assert [event.error for event in world.of(events.CommandRun)] == [""] * 7
