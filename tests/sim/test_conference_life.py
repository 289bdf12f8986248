"""A caller's way through a conference, from the PIN menu to the goodbye, in virtual time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import count

import pytest
from conference_world import PROMPT, TONE, World

from xconf.conference import events
from xconf.conference.errors import ConferenceError
from xconf.conference.member import HEARD_OUT


def test_a_caller_is_welcomed_told_that_it_is_alone_and_hears_music() -> None:
    world = World()
    ann = world.call()
    assert ann.hears == "welcome.wav"
    world.wait(PROMPT + 0.1)
    assert ann.hears == "alone.wav"
    world.wait(PROMPT + 0.1)
    assert ann.hears == "moh.wav"
    world.wait(3600)
    assert ann.hears == "moh.wav"


def test_the_music_ends_when_a_second_one_comes_and_both_hear_the_mix() -> None:
    world = World()
    ann = world.settled()
    bob = world.call()
    assert ann.hears == "mix"
    assert world.media.mixes[0].sounds == ["tone_stream://%(150,0,660)"]
    assert bob.hears == "welcome.wav"
    world.wait(PROMPT + 0.1)
    assert bob.hears == "mix"
    assert "alone.wav" not in bob.heard
    assert not world.media.broadcasts[0].on


def test_who_is_told_that_it_is_alone_is_not_kept_waiting_by_the_prompt() -> None:
    world = World()
    ann = world.call()
    world.wait(PROMPT + 1)
    assert ann.hears == "alone.wav"
    world.call()
    assert ann.hears == "mix"


def test_when_the_others_leave_a_tone_is_heard_then_one_is_alone_again() -> None:
    world = World()
    ann, bob = world.settled(), world.settled()
    bob.hang_up()
    assert ann.hears == "mix"
    assert world.media.mixes[0].sounds == ["tone_stream://%(150,0,440)"]
    world.wait(TONE + 0.1)
    assert ann.hears == "alone.wav"
    world.wait(PROMPT + 0.1)
    assert ann.hears == "moh.wav"


def test_of_a_rush_of_callers_one_tone_is_heard() -> None:
    world = World()
    world.settled()
    for _ in range(50):
        world.call()
    assert len(world.media.mixes[0].sounds) == 1


def test_tones_prompts_and_music_can_be_left_out() -> None:
    silent = ("member_join", "member_leave", "member_welcome", "member_alone", "moh", "member_bye")
    world = World(dict.fromkeys(silent, ""))
    ann = world.call()
    assert ann.hears == "mix"
    bob = world.call()
    bob.press("#")
    assert (bob.ended, ann.heard, bob.heard, world.media.mixes[0].played) == ("left by keypad", [], [], [])


def test_without_the_alone_sound_who_is_alone_hears_the_mix() -> None:
    world = World({"alone_sound": False})
    assert world.settled().hears == "mix"


def test_hash_says_goodbye_then_hangs_up() -> None:
    world = World()
    ann, bob = world.settled(), world.settled()
    ann.press("#")
    assert ann.hears == "bye.wav"
    assert not ann.leg.is_heard
    assert len(world.node.get("3000").members) == 1
    world.wait(PROMPT)
    assert ann.ended is None
    world.wait(2 * HEARD_OUT)
    assert ann.ended == "left by keypad"
    bob.hang_up()
    world.assert_left(ann, bob)


def test_a_goodbye_that_never_ends_does_not_keep_the_call() -> None:
    world = World()
    ann = world.settled()
    ann.press("#")
    ann.leg.stop()
    world.wait(15.1)
    assert ann.ended == "left by keypad"


def test_a_kicked_member_is_told_then_its_call_ends() -> None:
    world = World()
    ann = world.settled()
    world.did(f"3000 member {ann.member.id} kick")
    assert ann.hears == "kicked.wav"
    assert world.did("3000 show members") == "no members"
    world.wait(PROMPT + HEARD_OUT + 0.1)
    assert ann.ended == "kicked"


def test_a_broken_prompt_is_skipped() -> None:
    world = World()
    world.node.reload(
        {"default": type(world.profiles["default"])(member_welcome="broken.wav", member_bye="no-bye.wav")},
        world.controls,
    )
    ann = world.call()
    assert ann.hears == "alone.wav"
    ann.press("#")
    assert ann.ended == "left by keypad"


# The PIN menu


def test_the_user_pin_lets_in_a_user_and_the_admin_pin_an_admin() -> None:
    world = World()
    user, admin = world.call("5000", profile="pin"), world.call("5000", profile="pin")
    assert (user.hears, admin.hears) == ("enter-pin.wav", "enter-pin.wav")
    world.wait(PROMPT + 0.1)
    user.press("456")
    admin.press("123#")
    assert (user.hears, admin.hears) == ("welcome.wav", "welcome.wav")
    assert (user.member.role, admin.member.role) == ("speaker", "admin")


def test_who_is_in_the_pin_menu_is_no_member_but_is_shown_as_waiting() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("456")
    world.wait(6)
    bob = world.call("5000", profile="pin")
    assert ann.hears == "moh.wav"
    assert world.media.mixes[0].played == []
    status = world.do("5000 show status").data
    assert (status["members"], status["waiting"]) == (1, 1)
    assert bob.member.id not in world.did("5000 show members")
    assert bob.member.id in world.did("5000 show waiting")
    assert not bob.leg.is_heard


def test_three_wrong_pins_end_the_call_when_the_last_prompt_has_been_heard() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    world.wait(PROMPT + 0.1)
    for _ in range(2):
        ann.press("999#")
        assert ann.hears == "bad-pin.wav"
        world.wait(PROMPT + 0.1)
        assert ann.hears == "enter-pin.wav"
    ann.press("999#")
    assert ann.hears == "bad-pin.wav"
    ann.press("456#")
    world.wait(PROMPT - 0.1)
    assert (ann.hears, ann.ended) == ("bad-pin.wav", None)
    world.wait(0.2)
    assert ann.ended == "wrong PIN"
    assert [event.attempt for event in world.of(events.PinFailed)] == [1, 2, 3]
    assert world.of(events.MemberJoined) == []
    world.assert_left(ann)


def test_who_types_nothing_is_asked_three_times_for_ten_seconds_each() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    world.wait(3 * (PROMPT + 10) + 2 * PROMPT)
    assert ann.ended is None
    world.wait(PROMPT + 1)
    assert ann.ended == "wrong PIN"
    assert ann.heard == ["enter-pin.wav", "bad-pin.wav"] * 3


def test_a_pin_menu_ends_even_if_its_prompts_never_do() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    for _ in range(2000):
        ann.leg.stop()
        world.clock.advance(0.1)
    assert ann.ended == "wrong PIN"


def test_typing_cuts_the_prompt_short() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("4")
    assert ann.hears == "silence"
    ann.press("56")
    assert ann.hears == "welcome.wav"


def test_typing_during_the_bad_pin_prompt_is_the_next_try() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("9#456")
    assert ann.hears == "welcome.wav"


def test_star_begins_the_pin_anew() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("99*456")
    assert ann.hears == "welcome.wav"


def test_the_hash_after_a_complete_pin_belongs_to_it() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("456#")
    world.wait(5)
    assert ann.ended is None
    ann.press("#")
    assert ann.hears == "bye.wav"


def test_a_pin_that_begins_another_waits_for_the_hash() -> None:
    world = World({"admin_pin": "12", "user_pin": "1234", "pin_auth": True})
    admin, user, slow = (world.call() for _ in range(3))
    admin.press("12")
    assert admin.hears == "silence"
    admin.press("#")
    user.press("1234")
    slow.press("12")
    world.wait(10.1)
    assert [call.member.role for call in (admin, user, slow)] == ["admin", "speaker", "admin"]


def test_endless_digits_are_one_wrong_pin() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("7" * 5000)
    ann.press("#")
    assert ann.hears == "bad-pin.wav"
    assert len(world.of(events.PinFailed)) == 1


def test_an_operator_can_let_a_caller_in_who_has_no_pin() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    world.did(f"5000 member {ann.member.id} flags +auth")
    assert ann.hears == "welcome.wav"
    assert world.call("5000", flags="+auth", profile="pin").hears == "welcome.wav"


def test_a_member_can_be_asked_for_its_pin_anew() -> None:
    world = World()
    ann, bob = world.call("5000", profile="pin"), world.call("5000", flags="+auth", profile="pin")
    ann.press("456#")
    world.wait(6)
    assert ann.hears == "mix" and ann.leg.is_heard
    world.did(f"5000 member {ann.member.id} flags -auth")
    assert ann.hears == "enter-pin.wav"
    assert not ann.leg.is_heard and not world.call("5000", profile="pin").leg.is_heard
    ann.press("999#")
    world.wait(5)
    ann.press("456#")
    assert ann.hears == "mix" and ann.leg.is_heard
    assert "auth" in world.did(f"5000 member {ann.member.id} flags").split()
    world.did(f"5000 member {ann.member.id} flags -auth")
    world.did(f"5000 member {ann.member.id} flags +auth")
    assert ann.hears == "mix", "an operator can do without"
    world.did(f"5000 member {ann.member.id} flags -auth")
    world.wait(100)
    assert ann.ended == "wrong PIN"
    assert bob.hears != "mix", "who is left is alone"


def test_where_no_pin_is_asked_for_the_flag_alone_is_taken() -> None:
    world = World()
    ann = world.settled(flags="+speaker +auth")
    world.settled()
    world.did(f"3000 member {ann.member.id} flags -auth")
    assert ann.hears == "mix" and ann.leg.is_heard
    assert "auth" not in world.did(f"3000 member {ann.member.id} flags").split()


def test_no_digit_of_a_pin_is_told_to_anybody() -> None:
    world = World()
    ann = world.call("5000", profile="pin")
    ann.press("99#456")
    assert world.of(events.DigitPressed) == []
    assert "456" not in re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", str(world.events))  # ids may have any digits


# Conferences begin and end


def test_a_conference_without_a_timer_lives_for_ever() -> None:
    world = World()
    world.settled().hang_up()
    world.wait(3600)
    assert world.node.get("3000") is not None


def test_an_empty_conference_ends_after_its_timer() -> None:
    world = World({"conference_term_timer": 60})
    ann = world.settled()
    world.wait(120)
    ann.hang_up()
    world.wait(50)
    world.settled().hang_up()
    world.wait(59)
    assert world.node.get("3000") is not None
    world.wait(1.1)
    assert world.node.get("3000") is None
    assert world.kinds()[-1] == "conference-ended"
    world.assert_nothing_left()


def test_a_conference_does_not_end_under_a_call_that_is_being_set_up() -> None:
    world = World({"conference_term_timer": 1})
    conference = world.node.find_or_create("3000", "default")
    world.wait(35)
    assert world.node.get("3000") is conference
    world.wait(6)
    assert world.node.get("3000") is None
    world.assert_nothing_left()


def test_who_comes_into_a_conference_that_has_ended_is_hung_up() -> None:
    world = World()
    conference = world.node.find_or_create("3000", "default")
    world.did("3000 term")
    call = world.caller()
    call.member = conference.join(call)
    assert call.ended == "conference ended"
    world.assert_nothing_left()


def test_term_says_goodbye_to_all_at_once_and_ends() -> None:
    world = World()
    calls = [world.settled() for _ in range(3)]
    waiting = world.call()
    world.did("3000 term")
    assert all(call.hears == "mix" for call in calls)
    assert world.media.mixes[0].sounds == ["bye.wav"]
    assert not any(call.leg.is_heard for call in calls)
    assert world.do("3000 show status").ok is False
    world.wait(PROMPT + HEARD_OUT + 0.2)
    assert {call.ended for call in [*calls, waiting]} == {"conference ended"}
    world.assert_nothing_left()


def test_a_name_is_free_as_soon_as_its_conference_ends() -> None:
    world = World()
    old = world.settled()
    world.did("3000 term")
    new = world.call()
    world.wait(PROMPT + 0.5)
    assert (old.ended, new.ended) == ("conference ended", None)


def test_thousands_are_hung_up_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    calls = [world.call(flags="") for _ in range(1000)]
    world.did("3000 term")
    world.wait(PROMPT - 0.1)
    assert not any(call.ended for call in calls)
    turns = count_turns(world, monkeypatch)
    world.wait(0.8)
    assert all(call.ended for call in calls)
    assert len(turns) == 100 and set(turns.values()) == {10}
    world.assert_nothing_left()


def count_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """How many members have left in each turn of the clock, by its number."""
    turns, turn, later = Counter[int](), count(), world.clock.callLater
    now = [0]

    def in_a_turn(do: Callable[..., object], *arguments: object) -> None:
        now[0] = next(turn)
        do(*arguments)

    monkeypatch.setattr(world.clock, "callLater", lambda delay, *call: later(delay, in_a_turn, *call))
    world.node.events.subscribe(lambda event: turns.update([now[0]] if isinstance(event, events.MemberLeft) else []))
    return turns


def test_shutdown_ends_everything_at_once() -> None:
    world = World()
    calls = [world.settled("3000"), world.settled("3000"), world.call("3001"), world.call("5000", profile="pin")]
    calls[0].press("#")
    world.settled("3002")
    world.did("3002 term")
    world.node.shutdown()
    assert all(call.ended for call in calls)
    world.assert_nothing_left()


def test_profiles_are_reloaded_for_new_conferences() -> None:
    world = World()
    old = world.settled()
    world.configure({"member_welcome": "hello.wav"})
    world.node.reload(world.profiles, world.controls)
    assert world.call("3001").hears == "hello.wav"
    assert world.call("3000").hears == "welcome.wav"
    assert old.ended is None


def test_at_the_limit_the_oldest_empty_conference_gives_way() -> None:
    world = World(limit=2)
    world.settled("3000").hang_up()
    ann = world.settled("3001")
    world.wait(60)
    world.call("3002")
    assert (world.node.get("3000"), ann.ended) == (None, None)
    with pytest.raises(ConferenceError, match="no more than 2"):
        world.call("3003")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "x" * 65])
def test_a_name_that_could_not_be_shown_is_refused(name: str) -> None:
    world = World()
    with pytest.raises(ConferenceError, match="no name"):
        world.call(name)
    with pytest.raises(ConferenceError, match="no profile 'defalt'; did you mean default"):
        world.call("3000", profile="defalt")


def test_what_happens_is_told_in_numbered_events() -> None:
    world = World()
    failing = world.node.events.subscribe(lambda event: 1 / 0)
    ann = world.settled()
    ann.leg.on_talk(True)
    ann.press("*")
    ann.hang_up()
    assert world.kinds() == [
        "conference-started",
        "member-joined",
        "talk-started",
        "digit-pressed",
        "member-flag-changed",
        "command-run",
        "talk-stopped",
        "member-left",
    ]
    assert [event.sequence for event in world.events] == list(range(1, 9))
    left = world.events[-1].as_dict()
    assert (left["event"], left["reason"], left["call_id"], left["seconds"]) == ("member-left", "hung up", "call-1", 6)
    assert world.node.events.after(6) == world.events[6:]
    failing()
