"""Becoming an administrator by the keypad, and what only administrators may do with theirs."""

from __future__ import annotations

import pytest
from conference_world import PROMPT, FakeCall, World

from xconf.conference import events
from xconf.conference.door import GUESSES

KEYS = {"default": {"1": "admin", "2": "mute"}}


def two(**profile: object) -> tuple[World, FakeCall]:
    """Somebody with a key for `admin`, who is not alone."""
    world = World({"admin_pin": "123", **profile}, KEYS)
    ann = world.settled()
    world.settled()
    return world, ann


def test_the_right_pin_makes_an_admin_who_is_told_and_has_the_keys_of_admins() -> None:
    world = World({"admin_pin": "123", "admin_controls": "admins"}, {**KEYS, "admins": {"1": "deaf"}})
    ann = world.settled()
    world.settled()
    ann.press("1")
    assert (ann.hears, ann.member.role) == ("enter-pin.wav", "speaker")
    ann.press("123")
    assert (ann.hears, ann.member.role) == ("admin.wav", "admin")
    ann.press("#")  # belongs to the PIN still
    world.wait(PROMPT + 0.1)
    assert ann.hears == "mix"
    ann.press("1")
    assert ann.leg.deaf


def test_a_wrong_pin_is_said_to_be_wrong_and_asked_for_again_three_times() -> None:
    world, ann = two()
    ann.press("1")
    for _ in range(3):
        assert "enter-pin.wav" in ann.hears
        ann.press("2#")
        assert (ann.hears, ann.leg.mute) == ("bad-pin.wav", False)
        world.wait(PROMPT + 0.1)
    assert (ann.hears, ann.member.role, ann.ended) == ("mix", "speaker", None)
    assert [event.attempt for event in world.of(events.PinFailed)] == [1, 2, 3]
    ann.press("2")
    assert ann.leg.mute, "the keys are commands again"


def test_who_says_nothing_when_asked_stays_what_it_is() -> None:
    world, ann = two()
    ann.press("1#")
    assert ann.hears == "mix"
    ann.press("1")
    world.wait(PROMPT + 9.8)
    assert ann.heard[-1] == "enter-pin.wav"
    ann.press("12")
    world.wait(0.3)
    assert ann.hears == "bad-pin.wav", "its ten seconds are over"
    world.wait(PROMPT + 0.1 + PROMPT + 10.1)
    ann.press("2")
    assert (ann.leg.mute, ann.member.role) == (True, "speaker")


def test_no_pin_is_found_by_trying_them_all_in_one_call() -> None:
    world, ann = two()
    for guess in range(GUESSES):
        if guess % 3 == 0:
            ann.press("1")
        ann.press("9#")
        world.wait(PROMPT + 0.1)
    ann.press("1")
    assert ann.hears == "refused.wav"
    assert world.of(events.CommandRun)[-1].error == "9 wrong PINs were tried already"
    ann.press("123#")
    assert ann.member.role == "speaker"


def test_without_an_admin_pin_nobody_becomes_one_and_is_told_so() -> None:
    world, ann = two(admin_pin=None)
    ann.press("1")
    assert ann.hears == "refused.wav"
    assert world.of(events.CommandRun)[-1].error == "the conference has no admin PIN"
    world.wait(PROMPT + 0.1)
    assert ann.hears == "mix"


def test_who_is_an_admin_is_not_asked() -> None:
    world, ann = two()
    ann.press("1123#")
    world.wait(PROMPT + 0.1)
    ann.press("1")
    assert ann.hears == "mix"


def test_the_conference_goes_on_while_one_types_its_pin() -> None:
    world, ann = two()
    ann.press("1")
    assert ann.leg.is_heard
    world.wait(PROMPT + 0.1)
    assert ann.hears == "mix"


def test_who_hangs_up_half_way_through_leaves_nothing() -> None:
    world, ann = two()
    ann.press("112")
    ann.hang_up()
    world.wait(60)
    assert world.node.sizes()["calls"] == 1


@pytest.mark.parametrize("action", ["kick", "flags:+speaker", "flags:+admin", "flags:-vad +auth"])
def test_what_is_for_admins_is_refused_to_others(action: str) -> None:
    world = World(controls={"default": {"1": action}})
    ann = world.settled(flags="")
    world.settled()
    ann.press("1")
    assert ann.hears == "refused.wav"
    assert world.of(events.CommandRun)[-1].error == "only administrators may do that"
    assert (ann.member.role, ann.ended) == ("listener", None)


@pytest.mark.parametrize("action", ["flags:+mute -vad", "set:agc 600:100:3:20", "status"])
def test_everyone_may_do_to_oneself_what_touches_nobody_else(action: str) -> None:
    world = World(controls={"default": {"1": action}})
    ann = world.settled()
    ann.press("1")
    assert world.of(events.CommandRun)[-1].error == ""
