"""What is spoken to who asks: how many there are, and what the keys do."""

from __future__ import annotations

from pathlib import Path

import pytest
from conference_world import DTMF, PROMPT, FakeCall, World

from xconf.conference import events, spoken
from xconf.conference.controls import DEFAULT, Action
from xconf.conference.dispatch import load_table

SOUNDS = Path(__file__).parents[2] / "sounds"


def with_keys(keys: dict[str, str], **profile: object) -> tuple[World, FakeCall, FakeCall]:
    world = World(profile, {"default": keys})
    ann, bob = world.settled(), world.settled()
    ann.heard.clear()
    bob.heard.clear()
    return world, ann, bob


def names(call: FakeCall) -> list[str]:
    return [Path(spec).stem for spec in call.heard]


def test_how_many_members_there_are_is_told_to_who_asks_alone() -> None:
    world, ann, bob = with_keys({"1": "count"})
    ann.press("1")
    world.wait(3 * PROMPT)
    assert names(ann) == ["2", "members"]
    assert (ann.hears, bob.heard) == ("mix", [])
    bob.hang_up()
    world.wait(6)
    ann.heard.clear()
    ann.press("1")
    world.wait(2 * PROMPT + 0.1)
    assert names(ann) == ["1", "member"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (7, "7"),
        (13, "13"),
        (20, "20"),
        (42, "40 2"),
        (100, "1 hundred"),
        (219, "2 hundred 19"),
        (1000, "1 thousand"),
        (5021, "5 thousand 20 1"),
        (12_300, "12 thousand 3 hundred"),
    ],
)
def test_numbers(value: int, words: str) -> None:
    assert [Path(word).stem for word in spoken.number(value)] == words.split()
    assert all((SOUNDS / "8000" / word).is_file() for word in spoken.members(value))


def test_help_says_each_key_and_what_it_does() -> None:
    world, ann, bob = with_keys({"1": "mute", "*#": "vol-talk:+1", "2": "lock", "9": "help"})
    ann.press("9")
    world.wait(20 * PROMPT)
    assert names(ann) == ["press", "1", "mute", "press", "star", "hash", "vol-talk-up", "press", "9", "help"]
    assert bob.heard == []
    bob.member.set_flag("admin", True)
    world.wait(PROMPT + 0.1)
    bob.heard.clear()
    bob.press("9")
    world.wait(20 * PROMPT)
    assert "lock" in names(bob), "who may lock is told how"


def test_the_same_key_ends_the_help_and_others_do_what_they_do() -> None:
    world, ann, _ = with_keys({"1": "mute", "9": "help"})
    ann.press("9")
    world.wait(1)
    ann.press("1")
    assert ann.leg.mute
    ann.press("9")
    assert ann.hears == "muted.wav"
    world.wait(PROMPT + 0.1)
    assert ann.hears == "mix"


def test_the_keys_as_delivered_and_the_commands_for_them_have_their_words() -> None:
    table = load_table([DTMF])
    others = ["mute", "agc-level:+1", "admin", "lock", "kick-last", "mute-all", "unmute-all", "count", "help"]
    for rate in ("8000", "16000"):
        for text in (*DEFAULT.values(), *others, "playback:stop", "flags:+mute"):
            said = next(path for path in Action.parse(text, table).helps if (SOUNDS / rate / path).is_file())
            assert said != "help/other.wav", text
        for word in spoken.keys("0123456789*#ABCD"):
            assert (SOUNDS / rate / word).is_file()


def test_who_hangs_up_while_the_words_are_made_ready_hears_none() -> None:
    world, ann, _ = with_keys({"1": "count"})
    world.library.slow = True
    ann.press("1")
    ann.hang_up()
    world.library.decode()
    assert ann.heard == []
    assert world.of(events.CommandRun)[-1].error == ""
