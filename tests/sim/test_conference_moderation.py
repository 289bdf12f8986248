"""Waiting for an administrator, ending without one, a limit of members, joining muted, and quiet in large conferences."""

from __future__ import annotations

import pytest
from conference_world import World

from xconf.conference import events
from xconf.conference.errors import ConferenceFull


def test_all_hear_music_until_an_administrator_comes() -> None:
    world = World({"wait_for_admin": True})
    ann, bob = world.settled(), world.settled(flags="")
    assert (ann.hears, bob.hears) == ("moh.wav", "moh.wav")
    chair = world.settled(flags="+speaker +admin")
    assert [call.hears for call in (ann, bob, chair)] == ["mix"] * 3
    chair.hang_up()
    world.wait(1)
    assert (ann.hears, bob.hears) == ("mix", "mix")
    for call in (ann, bob):
        call.hang_up()
    late = world.settled()
    assert late.hears == "moh.wav", "who comes after all have left waits anew"
    late.hang_up()
    world.assert_left(ann, bob, chair, late)


def test_a_member_that_becomes_an_administrator_ends_the_waiting() -> None:
    world = World({"wait_for_admin": True})
    ann, bob = world.settled(caller="Ann <1001>"), world.settled()
    world.did("3000 member ann flags +admin")
    world.wait(4)
    assert (ann.hears, bob.hears) == ("mix", "mix")


def test_a_conference_that_waits_can_end() -> None:
    world = World({"wait_for_admin": True, "conference_term_timer": 1})
    ann, bob = world.settled(), world.settled()
    world.did("3000 term")
    world.wait(20)
    assert ann.ended and bob.ended
    world.assert_nothing_left()


def test_without_an_administrator_it_ends_after_a_grace() -> None:
    world = World({"end_without_admin": True, "admin_grace": 30, "conference_term_timer": 1})
    ann, chair = world.settled(), world.settled(flags="+speaker +admin")
    chair.hang_up()
    world.wait(29)
    assert ann.ended is None
    world.wait(20)
    assert ann.ended == "conference ended"
    (ended,) = world.of(events.ConferenceEnded)
    assert ended.reason == "the last administrator left"
    world.assert_nothing_left()


def test_an_administrator_who_comes_back_within_the_grace_saves_it() -> None:
    world = World({"end_without_admin": True, "admin_grace": 30})
    ann, chair = world.settled(), world.settled(flags="+speaker +admin")
    chair.hang_up()
    world.wait(20)
    world.settled(flags="+speaker +admin")
    world.wait(60)
    assert ann.ended is None


def test_another_administrator_keeps_it_going_and_the_lost_flag_counts_as_leaving() -> None:
    world = World({"end_without_admin": True, "admin_grace": 0})
    ann = world.settled(flags="+admin", caller="Ann <1001>")
    world.settled(flags="+admin").hang_up()
    world.wait(20)
    assert ann.ended is None
    world.did("3000 member ann flags -admin")
    world.wait(20)
    assert ann.ended == "conference ended"


def test_no_more_than_so_many_members_come_in() -> None:
    world = World({"max_members": 2})
    ann = world.call()
    world.call()
    with pytest.raises(ConferenceFull, match="3000 has its 2 members") as refused:
        world.call()
    assert refused.value.status == 486
    ann.hang_up()
    assert world.call().ended is None


def test_who_joins_muted_is_not_heard_until_unmuted_administrators_are() -> None:
    world = World({"join_muted": True})
    ann, chair = world.settled(caller="Ann <1001>"), world.settled(flags="+speaker +admin")
    assert (ann.leg.is_heard, chair.leg.is_heard) == (False, True)
    world.did("3000 member ann flags -mute")
    assert ann.leg.is_heard


def test_in_a_large_conference_nobody_hears_who_comes_and_goes() -> None:
    world = World({"announce_limit": 2, "member_join": "in.wav", "member_leave": "out.wav"})
    calls = [world.settled() for _ in range(4)]
    (mix,) = world.media.mixes
    assert mix.played == ["in.wav", "in.wav"]
    calls.pop().hang_up()
    world.wait(3)
    assert mix.played == ["in.wav", "in.wav"]
    calls.pop().hang_up()
    assert mix.played == ["in.wav", "in.wav", "out.wav"]
