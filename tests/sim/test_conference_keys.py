"""Keys and flags: what each does to what is heard, in virtual time."""

from __future__ import annotations

import pytest
from conference_world import PROMPT, FakeCall, World

from xconf.conference import events


def pair(world: World) -> tuple[FakeCall, FakeCall]:
    """Two speakers who hear one another."""
    ann, bob = world.settled(), world.settled()
    assert (ann.hears, bob.hears) == ("mix", "mix")
    return ann, bob


# The twelve of the default profile


def test_star_makes_deaf_and_hearing_again() -> None:
    world = World()
    ann, _ = pair(world)
    ann.press("*")
    assert ann.hears == "deaf.wav"
    world.wait(PROMPT + 0.1)
    assert (ann.hears, ann.leg.is_heard) == ("silence", True)
    ann.press("*")
    world.wait(PROMPT + 0.1)
    assert ann.hears == "mix"


def test_0_makes_deaf_and_mute_and_back() -> None:
    world = World()
    ann, _ = pair(world)
    ann.press("0")
    world.wait(2 * PROMPT + 0.2)
    assert (ann.hears, ann.leg.is_heard) == ("silence", False)
    ann.press("0")
    world.wait(2 * PROMPT + 0.2)
    assert (ann.hears, ann.leg.is_heard) == ("mix", True)
    assert ann.heard[-4:] == ["muted.wav", "deaf.wav", "unmuted.wav", "undeaf.wav"]


def test_0_sets_both_when_one_is_set() -> None:
    world = World()
    ann, _ = pair(world)
    ann.press("*0")
    assert (ann.leg.deaf, ann.leg.mute) == (True, True)
    ann.press("0")
    assert (ann.leg.deaf, ann.leg.mute) == (False, False)


@pytest.mark.parametrize(
    ("keys", "column", "values"),
    [
        ("9998", "vad_level", [400, 500, 600, 300]),
        ("7777", "vad_level", [200, 100, 0, 0]),
        ("9" * 20, "vad_level", [min(1800, 400 + 100 * n) for n in range(20)]),
        ("333332", "talk_gain", [1, 2, 3, 4, 4, 0]),
        ("11111", "talk_gain", [-1, -2, -3, -4, -4]),
        ("666665", "listen_gain", [1, 2, 3, 4, 4, 0]),
        ("44444", "listen_gain", [-1, -2, -3, -4, -4]),
    ],
)
def test_levels_and_volumes_go_in_steps_and_stop_at_their_ends(keys: str, column: str, values: list[int]) -> None:
    ann, bob = pair(World())
    seen = []
    for key in keys:
        ann.press(key)
        seen.append(getattr(ann.leg, column))
    assert seen == values
    assert getattr(bob.leg, column) == (300 if column == "vad_level" else 0)


def test_keys_that_mean_nothing_change_nothing() -> None:
    ann, _ = pair(World())
    ann.press("ABCDx\x00é")
    ann.member.digit("")
    ann.member.digit("99")
    assert ann.hears == "mix"


# Others


def test_a_controls_profile_of_its_own_for_admins_from_the_moment_that_one_is_an_admin() -> None:
    world = World({"admin_controls": "admins"}, {"admins": {"1": "mute", "12": "deaf"}})
    ann, _ = pair(world)
    ann.press("1")
    assert ann.leg.talk_gain == -1
    world.did(f"3000 member {ann.member.id} flags +admin")
    ann.press("1")
    world.wait(2.1)
    assert ann.leg.mute
    world.did(f"3000 member {ann.member.id} flags -admin")
    ann.press("1")
    assert ann.leg.talk_gain == -2


def test_who_stops_being_an_admin_half_way_through_a_command_gets_none() -> None:
    world = World({"admin_controls": "admins"}, {"admins": {"1": "mute", "12": "deaf"}})
    ann, _ = pair(world)
    ann.member.set_flag("admin", True)
    ann.press("1")
    ann.member.set_flag("admin", False)
    world.wait(3)
    assert (ann.leg.mute, ann.leg.talk_gain) == (False, 0)


def test_agc_level_and_playback_on_keys() -> None:
    world = World(
        {"agc": {"enable": True, "data": "600:100:3:20"}},
        {"default": {"1": "agc-level:+100", "2": "agc-level:0", "3": "playback:locked.wav", "4": "playback:stop"}},
    )
    ann, bob = pair(world)
    ann.press("11")
    assert (ann.leg.agc.level, ann.leg.agc.low_level, bob.leg.agc.level) == (800, 100, 600)
    ann.press("2")
    assert ann.leg.agc.level == 600
    ann.press("3")
    assert (ann.hears, bob.hears) == ("locked.wav", "mix")
    ann.press("4")
    assert ann.hears == "mix"


def test_a_command_that_fails_is_told_and_the_call_goes_on() -> None:
    world = World(None, {"default": {"1": "admin", "2": "playback:no-file.wav"}})
    ann, _ = pair(world)
    ann.press("12")
    assert [event.error for event in world.of(events.CommandRun)] == [
        "the conference has no admin PIN",
        "no sound 'no-file.wav'",
    ]
    assert ann.heard[-2:] == ["refused.wav", "refused.wav"]
    world.wait(PROMPT + 0.1)
    assert ann.hears == "mix"


# Flags


@pytest.mark.parametrize("flag", ["speaker", "admin", "deaf"])
def test_a_changed_flag_is_announced_once(flag: str) -> None:
    world = World()
    ann = world.settled(flags="")
    world.settled()
    for sign, prompt in (("+", f"{flag}.wav"), ("+", ""), ("-", f"un{flag}.wav"), ("-", "")):
        before = len(ann.heard)
        world.did(f"3000 member {ann.member.id} flags {sign}{flag}")
        assert ann.heard[before:] == ([prompt] if prompt else [])
        world.wait(PROMPT + 0.1)


def test_who_only_listens_is_not_heard_and_a_speaker_is() -> None:
    world = World()
    ann = world.settled(flags="")
    world.settled()
    assert not ann.leg.is_heard
    world.did(f"3000 member {ann.member.id} flags +speaker")
    assert ann.leg.is_heard
    ann.leg.on_talk(True)
    world.did(f"3000 member {ann.member.id} flags -speaker")
    assert not ann.leg.is_heard
    assert world.kinds().count("talk-stopped") == 1


def test_a_muted_listener_is_shown_as_such_but_not_told() -> None:
    world = World()
    ann = world.settled(flags="")
    world.settled()
    world.did(f"3000 member {ann.member.id} flags +mute")
    assert ann.hears == "mix"
    assert "mute" in world.do(f"3000 member {ann.member.id} status").data["flags"]
    world.did(f"3000 member {ann.member.id} flags +speaker")
    assert not ann.leg.is_heard


def test_flags_of_the_dial_plan_are_what_a_member_starts_with() -> None:
    world = World()
    ann = world.settled(flags="+speaker +mute +deaf +admin -vad")
    world.settled()
    assert (ann.leg.is_heard, ann.hears, ann.leg.vad_level, ann.member.role) == (False, "silence", 0, "admin")
    assert [prompt for prompt in ann.heard if prompt not in ("welcome.wav", "alone.wav")] == []


def test_flags_of_the_conference_hold_for_those_who_have_none_of_their_own() -> None:
    world = World()
    ann, bob = pair(world)
    mix = world.media.mixes[0]
    assert mix.comfort_noise == 120
    world.did(f"3000 member {bob.member.id} flags +vad")
    assert world.did("3000 flags -vad +agc -cng") == "flags: transcoding status-xchg alone-snd agc"
    assert (ann.leg.vad_level, bob.leg.vad_level, mix.comfort_noise) == (0, 300, 0)
    assert ann.leg.agc is not None
    late = world.settled()
    assert late.leg.vad_level == 0
    world.did("3000 flags +vad -agc +cng")
    assert (ann.leg.vad_level, ann.leg.agc, mix.comfort_noise) == (300, None, 120)


def test_the_alone_sound_can_be_switched_while_somebody_hears_it() -> None:
    world = World()
    ann = world.settled()
    world.did("3000 flags -alone-snd")
    assert ann.hears == "mix"
    world.did("3000 flags +alone-snd")
    assert ann.hears == "alone.wav"


def test_own_gain_settings() -> None:
    world = World()
    ann, _ = pair(world)
    world.did(f"3000 member {ann.member.id} set agc 700:50:5:10")
    assert (ann.leg.agc.level, ann.leg.agc.margin) == (700, 10)
    world.did(f"3000 member {ann.member.id} agc-level +50")
    assert ann.leg.agc.level == 750
    world.did(f"3000 member {ann.member.id} flags -agc")
    assert ann.leg.agc is None


def test_announcements_are_heard_one_after_the_other_and_the_latest_of_a_flag_counts() -> None:
    world = World()
    ann, _ = pair(world)
    before = len(ann.heard)
    ann.member.set_flag("mute", True)
    ann.member.set_flag("deaf", True)
    ann.member.set_flag("deaf", False)
    ann.member.set_flag("admin", True)
    world.wait(4 * PROMPT)
    assert ann.heard[before:] == ["muted.wav", "undeaf.wav", "admin.wav"]


# Playback


def test_a_sound_is_played_to_all_also_to_one_who_is_alone() -> None:
    world = World()
    ann = world.settled()
    world.did("3000 playback locked.wav async")
    assert (ann.hears, world.media.mixes[0].sounds) == ("mix", ["locked.wav"])
    world.wait(PROMPT + 0.1)
    assert ann.hears == "moh.wav"
    assert ann.heard.count("alone.wav") == 1
    ended = world.of(events.PlaybackEnded)[-1]
    assert (ended.sound, ended.member, ended.stopped) == ("locked.wav", "", False)


def test_a_second_playback_takes_the_place_of_the_first_and_stop_ends_it() -> None:
    world = World()
    pair(world)
    world.did("3000 playback one.wav")
    world.did("3000 playback two.wav")
    assert world.media.mixes[0].sounds == ["two.wav"]
    assert world.do("3000 show status").data["playback"] == "two.wav"
    assert world.did("3000 playback stop") == "stopped"
    assert world.media.mixes[0].sounds == []
    assert world.did("3000 playback stop") == "nothing was played"
    assert [event.stopped for event in world.of(events.PlaybackEnded)] == [True, True]


def test_a_playback_to_a_member_pauses_for_announcements() -> None:
    world = World()
    ann, _ = pair(world)
    world.did(f"3000 member {ann.member.id} playback long.wav")
    world.wait(1.5)
    ann.member.set_flag("admin", True)
    assert ann.hears == "admin.wav"
    world.wait(PROMPT + 0.1)
    assert ann.hears == "long.wav"
    world.wait(0.6)
    assert ann.hears == "mix"
    assert [event.stopped for event in world.of(events.PlaybackEnded)] == [False]


def test_a_file_is_decoded_aside_and_what_has_changed_meanwhile_is_safe() -> None:
    world = World()
    ann, bob = pair(world)
    world.library.slow = True
    for line in ("3000 playback a.wav", f"3000 member {ann.member.id} playback b.wav", "3000 playback broken.wav"):
        world.did(line)
    assert world.media.mixes[0].sounds == []
    ann.hang_up()
    bob.hang_up()
    world.library.decode()
    assert not world.of(events.PlaybackStarted) + world.of(events.PlaybackEnded)
    world.assert_left(ann, bob)


def test_a_missing_file_and_an_empty_conference_are_refused() -> None:
    world = World()
    ann = world.settled()
    assert world.do("3000 playback no-such.wav").text == "no sound 'no-such.wav'"
    ann.hang_up()
    assert world.do("3000 playback a.wav").text == "nobody is in 3000"


def test_comfort_noise_for_one_member_or_all_but_one() -> None:
    world = World()
    ann, bob = pair(world)
    world.did(f"3000 member {bob.member.id} flags -cng")
    assert (ann.leg.own_noise, bob.leg.own_noise) == (None, 0)
    world.did("3000 flags -cng")
    assert (ann.leg.own_noise, bob.leg.own_noise) == (None, None)
    world.did(f"3000 member {ann.member.id} flags +cng")
    assert ann.leg.own_noise == 120
    world.did("3000 set cng.level 200")
    assert ann.leg.own_noise == 200
    world.did("3000 flags +cng")
    assert (ann.leg.own_noise, bob.leg.own_noise) == (None, 0)
    assert "cng" not in world.did(f"3000 member {bob.member.id} flags").split()
