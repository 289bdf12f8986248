"""What administrators do to all: lock, remove who came last, mute everybody."""

from __future__ import annotations

from conference_world import PROMPT, FakeCall, World

from xconf.conference import events

KEYS = {"default": {"1": "lock", "2": "kick-last", "3": "mute-all", "4": "unmute-all", "5": "mute", "6": "unmute-all"}}


def with_admin(**profile: object) -> tuple[World, FakeCall, FakeCall]:
    world = World(profile, KEYS)
    admin, bob = world.settled(flags="+speaker +admin"), world.settled()
    return world, admin, bob


# Lock


def test_who_comes_to_a_locked_conference_is_told_so_and_hung_up() -> None:
    world, admin, bob = with_admin()
    admin.press("1")
    assert (admin.hears, bob.hears) == ("is-locked.wav", "mix")
    late = world.call()
    assert late.hears == "locked.wav"
    assert not late.leg.is_heard
    assert world.node.get("3000").members.keys() == {admin.member.id, bob.member.id}
    world.wait(PROMPT + 0.5)
    assert late.ended == "conference locked"
    assert [event.reason for event in world.of(events.CallEnded)] == ["conference locked"]
    assert world.media.mixes[0].sounds == [], "the others hear no tone"
    assert (admin.ended, bob.ended) == (None, None)


def test_it_is_opened_with_the_same_key_and_both_are_shown() -> None:
    world, admin, _ = with_admin()
    admin.press("1")
    assert "locked" in world.did("list")
    assert "locked" in world.node.get("3000").flags
    admin.press("1")
    assert admin.hears == "is-open.wav"
    assert "locked" not in world.did("3000 show status")
    assert world.settled().hears == "mix"
    assert [(event.flag, event.on) for event in world.of(events.FlagChanged)] == [("locked", True), ("locked", False)]


def test_admins_come_into_a_locked_conference_by_dial_plan_and_by_pin() -> None:
    world = World(controls=KEYS)
    admin = world.call("5000", flags="+speaker +admin +auth", profile="pin")
    admin.press("1")
    assert world.call("5000", flags="+speaker +admin +auth", profile="pin").member.admitted
    another, user = world.call("5000", profile="pin"), world.call("5000", profile="pin")
    another.press("123#")
    user.press("456#")
    assert another.member.role == "admin"
    assert (user.hears, user.member.admitted) == ("locked.wav", False)
    user.hang_up()
    assert world.node.get("5000").locked


def test_the_last_one_who_leaves_opens_it() -> None:
    world, admin, bob = with_admin()
    admin.press("1")
    admin.hang_up()
    assert world.node.get("3000").locked
    bob.hang_up()
    assert world.settled().member.admitted


def test_operators_lock_and_open() -> None:
    world, _, _ = with_admin()
    assert world.did("3000 lock") == "3000 is locked"
    assert world.call().hears == "locked.wav"
    assert world.did("3000 unlock") == "3000 is open"
    assert world.did("3000 flags +locked") == "flags: transcoding status-xchg alone-snd vad cng locked"


# Remove who came last


def test_who_came_last_is_removed_with_the_prompt() -> None:
    world, admin, bob = with_admin()
    carl = world.settled()
    admin.press("2")
    assert carl.hears == "kicked.wav"
    world.wait(PROMPT + 0.5)
    assert (carl.ended, bob.ended) == ("kicked", None)
    admin.press("2")
    world.wait(PROMPT + 0.5)
    assert bob.ended == "kicked"


def test_neither_oneself_nor_other_admins_are_removed() -> None:
    world, admin, bob = with_admin()
    bob.member.set_flag("admin", True)
    admin.press("2")
    assert admin.hears == "refused.wav"
    world.wait(PROMPT + 0.5)
    assert (admin.ended, bob.ended) == (None, None)


# Mute all


def test_all_but_admins_are_muted_and_hear_one_prompt_together() -> None:
    world, admin, bob = with_admin()
    carl, listener = world.settled(), world.settled(flags="")
    admin.press("3")
    assert [call.leg.is_heard for call in (admin, bob, carl)] == [True, False, False]
    assert world.media.mixes[0].sounds == ["all-muted.wav"]
    assert (bob.hears, carl.hears, listener.hears) == ("mix", "mix", "mix")
    assert not listener.member.settings.mute
    bob.press("5")
    assert bob.leg.is_heard, "who has something to say says it"
    world.wait(PROMPT + 0.1)
    admin.press("4")
    assert [call.leg.is_heard for call in (admin, bob, carl)] == [True, True, True]
    assert world.media.mixes[0].sounds == ["all-unmuted.wav"]


def test_users_cannot() -> None:
    world, admin, bob = with_admin()
    for key in "1234":
        bob.press(key)
    assert {event.error for event in world.of(events.CommandRun)} == {"only administrators may do that"}
    assert admin.leg.is_heard
    assert not world.node.get("3000").locked


def test_thousands_are_muted_in_short_turns() -> None:
    world = World({"alone_sound": False}, KEYS)
    admin = world.call(flags="+speaker +admin")
    crowd = [world.call() for _ in range(350)]
    admin.press("3")
    assert 0 < sum(call.leg.mute for call in crowd) <= 100, "the others in the next turns of the reactor"
    world.clock.advance(0)
    assert all(call.leg.mute for call in crowd)
    assert world.of(events.CommandRun)[-1].error == ""


def test_operators_mute_and_unmute_all() -> None:
    world, _, bob = with_admin()
    assert world.did("3000 mute-all") == "muted 1 of 2 members"
    assert not bob.leg.is_heard
    assert world.did("3000 unmute-all") == "unmuted 1 of 2 members"
    assert bob.leg.is_heard
