"""Each sound that a profile names is heard, by whom it is for."""

from __future__ import annotations

from conference_world import FakeCall, World

from xconf.conference.profile import SOUNDS

ELSEWHERE = {"member_invited", "member_recorded", "member_unrecorded", "member_say_name"}
"""Sounds of calls that we make, of recordings and of names: see test_calls_invite.py, test_conference_recording.py and
test_conference_names.py.
"""


def a_long_day() -> tuple[World, list[FakeCall]]:
    """All that callers and operators can do, once."""
    sounds = {key: f"{key}.wav" for key in SOUNDS}
    pins = {"admin_pin": "123", "user_pin": "456", "pin_auth": True}
    world = World(
        {**sounds, **pins, "announce_names": True}, {"default": {"1": "lock", "2": "kick-last", "#": "hangup"}}
    )
    ann = world.call()
    world.wait(3)
    ann.press("999#")
    world.wait(6)
    ann.press("456#")
    world.wait(20)
    bob, eve = world.call(flags="+speaker +auth"), world.call(flags="+speaker +auth")
    world.wait(20)
    for flag in ("mute", "deaf", "speaker", "admin"):
        for sign in "-+-" if flag == "speaker" else "+-":
            world.did(f"3000 member {ann.member.id} flags {sign}{flag}")
            world.wait(3)
    world.did(f"3000 member {ann.member.id} flags +speaker")
    ann.press("1")
    world.wait(3)
    world.did(f"3000 member {ann.member.id} flags +admin")
    world.wait(6)
    ann.press("1")
    world.wait(3)
    late = world.call(flags="+speaker +auth")
    world.wait(3)
    ann.press("1")
    world.wait(3)
    world.did("3000 mute-all")
    world.wait(3)
    world.did("3000 unmute-all")
    world.wait(3)
    ann.press("2")
    world.wait(10)
    bob.press("#")
    world.wait(10)
    return world, [ann, bob, eve, late]


def test_every_sound_of_a_profile_is_heard() -> None:
    world, calls = a_long_day()
    heard = {spec.removesuffix(".wav") for call in calls for spec in call.heard}
    heard |= {spec.removesuffix(".wav") for mix in world.media.mixes for spec in mix.played}
    heard |= {player.sound.spec.removesuffix(".wav") for player in world.media.broadcasts}
    assert set(SOUNDS) - heard == ELSEWHERE


def test_what_is_for_one_is_heard_by_that_one_alone_and_what_is_for_all_by_all() -> None:
    world, calls = a_long_day()
    (mix,) = world.media.mixes
    for_all = {"member_join", "member_leave", "member_has_joined", "member_has_left"}
    for_all |= {"member_all_muted", "member_all_unmuted"}
    assert {spec.removesuffix(".wav") for spec in mix.played} - {"somebody"} == for_all
    ann, bob, eve, late = calls
    assert eve.heard[-1] == "member_kicked.wav"
    assert bob.heard[-1] == "member_bye.wav"
    assert late.heard == ["member_barred.wav"]
    assert all("member_refused.wav" not in call.heard for call in (bob, eve, late))
