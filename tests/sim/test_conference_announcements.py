"""Who comes and leaves, told to all: tones, names and numbers."""

from __future__ import annotations

import pytest
from conference_world import PROMPT, FakeSound, FakeSounds, World

from xconf.conference.library import SAY, spoken


@pytest.fixture
def speech(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is an engine that speaks."""
    plain = FakeSounds.open

    def opened(self: FakeSounds, spec: str, rate: int, *, loop: bool = False) -> FakeSound:
        return FakeSound(spec, PROMPT) if spec.startswith("say:") else plain(self, spec, rate, loop=loop)

    monkeypatch.setattr(FakeSounds, "open", opened)


def with_two(**profile: object) -> tuple[World, list[str]]:
    """A conference of two, and what is heard by all from then on."""
    world = World({"member_join": "ding.wav", "member_leave": "dong.wav", **profile})
    for caller in ("Ann <1001>", "Bob <1002>"):
        world.settled(caller=caller)
    world.wait(20)
    heard = world.media.mixes[0].played
    heard.clear()
    return world, heard


def words(heard: list[str]) -> list[str]:
    """What is spoken, as words."""
    return [spoken(spec)[2] if spec.startswith(SAY) else spec for spec in heard]


@pytest.mark.usefixtures("speech")
def test_names_are_told_after_the_tone() -> None:
    world, heard = with_two(announce_names=True)
    eve = world.call(caller='"Eve Jones" <1003>')
    world.wait(10)
    assert words(heard) == ["ding.wav", "Eve Jones", "has-joined.wav"]
    heard.clear()
    eve.hang_up()
    world.wait(10)
    assert words(heard) == ["dong.wav", "Eve Jones", "has-left.wav"]


def test_who_cannot_be_named_is_somebody() -> None:
    world, heard = with_two(announce_names=True)
    world.call(caller="Eve <1003>")
    world.wait(10)
    assert heard == ["ding.wav", "somebody.wav", "has-joined.wav"]


def test_how_many_there_are_now() -> None:
    world, heard = with_two(announce_count=True)
    eve = world.call()
    world.wait(10)
    assert heard == ["ding.wav", "digits/3.wav", "members.wav"]
    heard.clear()
    eve.hang_up()
    world.wait(10)
    assert heard == ["dong.wav", "digits/2.wav", "members.wav"]


def test_of_a_rush_one_is_told_and_at_the_end_how_many_there_are() -> None:
    world, heard = with_two(announce_count=True)
    for _ in range(5):
        world.call()
        world.wait(0.5)
    world.wait(20)
    assert heard == ["ding.wav", "digits/3.wav", "members.wav", "digits/7.wav", "members.wav"]


def test_nothing_of_it_above_the_limit() -> None:
    world, heard = with_two(announce_count=True, announce_names=True, announce_limit=2)
    world.call()
    world.wait(20)
    assert len(heard) == 5
    heard.clear()
    world.call().hang_up()
    world.wait(20)
    assert heard == []


def test_who_is_left_alone_hears_who_left_and_then_music() -> None:
    world, heard = with_two(announce_names=True)
    ann, bob = (world.node.named("3000").members[key] for key in world.node.named("3000").members)
    bob.leave("hung up")
    world.wait(2 * PROMPT + 1)
    assert ann.leg.hears == "mix"
    assert heard == ["dong.wav", "somebody.wav", "has-left.wav"]
    world.wait(6)
    assert ann.leg.hears == "moh.wav"


def test_words_that_are_ready_when_all_have_left_are_not_heard() -> None:
    world, heard = with_two(announce_names=True, conference_term_timer=1)
    world.library.slow = True
    eve = world.call()
    world.wait(1)
    world.did("3000 term")
    world.wait(60)
    assert eve.ended
    world.library.decode()
    assert "has-joined.wav" not in heard
    world.assert_nothing_left()


def test_prompts_for_all_wait_for_one_another() -> None:
    world, heard = with_two()
    world.node.named("3000").tell_all("recorded.wav")
    world.did("3000 mute-all")
    world.did("3000 unmute-all")
    world.did("3000 mute-all")
    world.wait(10)
    assert heard == ["recorded.wav", "all-muted.wav", "all-unmuted.wav"]
