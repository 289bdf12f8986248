"""Profiles of conferences that run: shown, and changed key by key."""

from __future__ import annotations

import pytest
from conference_world import World

from xconf.conference import events
from xconf.conference.dispatch import Result, final
from xconf.conference.elsewhere import Alone, Share
from xconf.conference.tuning import FLAGS, KINDS, values


def row(world: World, key: str, line: str = "3000 show profile") -> tuple[str, str]:
    return next((row["value"], row["from"]) for row in world.do(line).data if row["key"] == key)


def test_a_key_is_changed_for_who_is_in_and_who_comes() -> None:
    world = World()
    ann, bob = world.settled(), world.settled()
    world.did(f"3000 member {bob.member.id} vad-level +400")
    assert world.did("3000 set vad.level 500") == "vad.level: 500 (was 300)"
    assert (ann.leg.vad_level, bob.leg.vad_level) == (500, 700), "who has a threshold of his own keeps it"
    assert world.settled().leg.vad_level == 500
    assert row(world, "vad.level") == ("500", "here")
    assert row(world, "vad.enable") == ("true", "default")
    (told,) = world.of(events.KeyChanged)
    assert (told.conference, told.key, told.value) == ("3000", "vad.level", "500")
    assert world.settled("4000").leg.vad_level == 300, "other conferences are as they were"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ("", "set needs an argument: set KEY VALUE"),
        ("vad.level", "set: 'vad.level' is not like vad.level 500"),
        ("vad.level 5000", "set: vad.level: must be in 0..1800"),
        ("vad.level loud", "set: vad.level: must be in 0..1800"),
        ("vad.levl 5", "set: no key 'vad.levl'; did you mean vad.level"),
        ("alone_sound maybe", "set: alone_sound: must be true or false"),
        ("sample_rate 16000", "set: sample_rate cannot be changed while a conference runs; change profiles.default and reload"),
        ("ptime 25", "set: ptime: must be 10 or 20 or 30 or 40 or 60"),
        ("pin_auth true", "set: pin_auth: is true, but there is no PIN; give admin_pin or user_pin"),
        ("user_pin 12a", "set: user_pin: must be 1 to 10 digits"),
        ("transcoding false", "set: transcoding: is false, so codecs must name the one codec"),
        ("codecs speex", "set: codecs: no codec 'speex'"),
        ("user_controls none", "set: no controls 'none'; there is default"),
        ("member_join no-such.wav", "set: member_join: sound 'no-such.wav' is not there"),
    ],
)  # fmt: skip
def test_what_is_wrong_changes_nothing_and_is_said(change: str, text: str) -> None:
    world = World()
    world.settled()
    before = world.do("3000 show profile").data
    result = world.do(f"3000 set {change}")
    if result.later is not None:
        outcomes: list[Result] = []
        result.later.then(lambda outcome: outcomes.append(final(outcome)))
        (result,) = outcomes
    assert not result.ok
    assert result.text.startswith(text) and "\n" not in result.text
    assert world.do("3000 show profile").data == before
    assert not world.of(events.KeyChanged)


def test_every_key_of_a_profile_can_be_set_to_what_it_is() -> None:
    world = World({"admin_pin": "123", "user_pin": "456"})
    world.settled()
    shown = values(world.node.named("3000").profile)
    assert list(shown) == list(KINDS)
    assert shown["admin_pin"] == "(secret)"
    for key, value in shown.items():
        if key not in ("inherit", "sample_rate", "channels", "admin_pin", "user_pin"):
            assert world.do(["3000", "set", key, value]).ok, key
    assert values(world.node.named("3000").profile) == shown


def test_a_profile_is_shown_with_where_each_key_is_from() -> None:
    world = World({"vad": {"level": 400}})
    assert row(world, "vad.level", "profile pin") == ("400", "default")
    assert row(world, "pin_auth", "profile pin") == ("true", "pin")
    assert row(world, "user_pin", "profile pin") == ("(secret)", "pin")
    assert row(world, "cng.level", "profile pin") == ("120", "-")
    assert world.do("profile pni").text == "no profile 'pni'; did you mean pin?"


def test_each_flag_of_a_conference_is_a_key_of_its_profile() -> None:
    world = World({"codecs": ["pcmu"]})
    ann = world.settled()
    for flag, key in FLAGS.items():
        world.did(f"3000 flags -{flag}")
        assert row(world, key)[0] == "false", flag
        assert flag not in world.did("3000 flags").split()
        world.did(f"3000 set {key} on")
        assert flag in world.did("3000 flags").split()
    world.did("3000 flags -transcoding")
    assert world.media.mixes[0].passing, "who speaks alone is passed on"
    ann.hang_up()


def test_a_flag_that_cannot_be_set_says_why() -> None:
    world = World()
    world.settled()
    result = world.do("3000 flags -transcoding")
    assert not result.ok
    assert result.text.startswith("transcoding: is false, so codecs must name the one codec")


def test_another_sound_is_read_first_and_heard_from_then_on() -> None:
    world = World()
    ann = world.settled()
    world.settled()
    assert world.do("3000 set member_join chime.wav").text == "member_join is made ready"
    world.settled()
    assert "chime.wav" in world.media.mixes[0].played
    world.did("3000 set member_join ''")
    played = len(world.media.mixes[0].played)
    world.settled()
    assert len(world.media.mixes[0].played) == played
    assert ann.hears == "mix"


def test_a_pin_that_is_set_is_asked_of_the_next_who_comes() -> None:
    world = World()
    world.settled()
    assert world.did("3000 set user_pin 4711") == "user_pin: (secret) (was none)"
    world.did("3000 set pin_auth on")
    bob = world.call()
    assert bob.hears == "enter-pin.wav"
    bob.press("4711#")
    world.wait(4)
    assert bob.hears == "mix"
    assert "4711" not in str([event.as_dict() for event in world.events])


def test_who_waits_for_an_administrator_is_let_in_when_nobody_is_waited_for() -> None:
    world = World({"wait_for_admin": True})
    ann, bob = world.settled(), world.settled()
    assert ann.hears == "moh.wav"
    assert world.do("3000 show status").data["state"] == ["waits-for-admin"]
    world.did("3000 set wait_for_admin off")
    world.wait(1)
    assert (ann.hears, bob.hears) == ("mix", "mix")


def test_an_empty_conference_that_was_to_live_for_ever_ends() -> None:
    world = World()
    ann = world.settled()
    ann.hang_up()
    world.wait(100)
    world.did("3000 set conference_term_timer 5")
    world.wait(6)
    assert world.did("list") == "no conferences"
    world.assert_nothing_left()


def test_who_is_alone_here_is_not_alone_while_somebody_is_on_another_node() -> None:
    class Cluster(Alone):
        count = 1

        def shares(self, conference: str) -> list[Share]:
            return [Share("b", self.count, 0, 0.0)]

    world = World()
    cluster = world.node.elsewhere = Cluster("a")
    ann = world.settled()
    assert ann.hears == "mix"
    cluster.count = 0
    world.node.named("3000").elsewhere_changed()
    world.wait(3)
    assert ann.hears == "moh.wav"


def test_what_is_so_and_no_flag_is_shown_as_state() -> None:
    world = World()
    ann, bob = world.settled("3000", profile="pin", flags="+speaker +auth"), world.settled(flags="+auth")
    ann.leg.on_talk(True)
    world.did("3000 playback song.wav async")
    world.did(f"3000 member {bob.member.id} playback song.wav async")
    assert world.do("3000 show status").data["state"] == ["auth", "playback"]
    assert world.do(f"3000 member {ann.member.id} status").data["state"] == ["speaking"]
    assert world.do(f"3000 member {bob.member.id} status").data["state"] == ["playback"]
    world.did(f"3000 member {bob.member.id} kick")
    assert world.do(f"3000 member {bob.member.id} status").data["state"] == ["kick"]
