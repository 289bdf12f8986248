"""From one conference to another, in the same call."""

from __future__ import annotations

from conference_world import PROMPT, FakeCall, World

from xconf.conference import events

MOVE = {"default": {"1": "exec:move 3001", "2": "move:5001 pin", "3": "mute", "4": "vol-talk:+1"}}


def pair(world: World) -> tuple[FakeCall, FakeCall]:
    return world.settled(), world.settled()


def test_who_moves_is_in_the_other_conference_with_all_that_is_its_own() -> None:
    world = World(controls=MOVE)
    ann, bob = pair(world)
    carl = world.settled("3001")
    before = ann.member
    ann.press("34")
    ann.press("1")
    assert ann.ended is None
    assert ann.hears == "welcome.wav"
    assert ann.leg.mix is carl.leg.mix
    assert (ann.member.conference.name, ann.member.settings.mute, ann.leg.talk_gain) == ("3001", True, 1)
    assert list(world.node.get("3000").members.values()) == [bob.member]
    (left,) = world.of(events.MemberLeft)
    assert (left.member, left.reason) == (before.id, "moved to 3001")
    assert world.of(events.MemberJoined)[-1].member == ann.member.id
    world.wait(PROMPT + 0.1)
    assert (ann.hears, carl.hears) == ("mix", "mix")
    ann.press("3")
    assert not ann.leg.mute, "the keys work there"
    for call in (ann, bob, carl):
        call.hang_up()
    world.assert_left(ann, bob, carl)


def test_a_conference_that_is_not_there_is_made() -> None:
    world = World(controls=MOVE)
    ann, bob = pair(world)
    ann.press("1")
    assert world.node.get("3001").profile_name == "default"
    world.wait(6)
    assert (ann.hears, bob.hears) == ("moh.wav", "moh.wav")


def test_rights_of_one_conference_are_none_in_another_profile_and_the_pin_is_asked_there() -> None:
    world = World(controls=MOVE)
    ann, _ = pair(world)
    ann.member.set_flag("admin", True)
    ann.press("2")
    assert (ann.hears, ann.member.role, ann.member.admitted) == ("enter-pin.wav", "speaker", False)
    ann.press("456#")
    assert (ann.member.role, ann.member.conference.name) == ("speaker", "5001")


def test_wrong_pins_are_counted_over_all_conferences_of_a_call() -> None:
    world = World(controls={"default": {"1": "move:5001 pin", "2": "move:3000 default"}})
    ann, bob = pair(world)
    for tries in (2, 2, 2, 2):
        ann.press("1")
        ann.press("999#" * tries + "456#")
        assert ann.member.admitted
        ann.press("2")
    ann.press("1")
    ann.press("999#")
    assert (ann.hears, ann.ended) == ("bad-pin.wav", None)
    world.wait(15)
    assert ann.ended == "wrong PIN", "the ninth was the last"
    bob.hang_up()
    world.assert_left(ann, bob)


def test_an_admin_stays_one_where_the_profile_is_the_same() -> None:
    world = World(controls=MOVE)
    ann, _ = pair(world)
    ann.member.set_flag("admin", True)
    ann.press("1")
    assert ann.member.role == "admin"


def test_who_may_not_come_in_stays_where_it_is() -> None:
    world = World(controls=MOVE)
    ann, bob = pair(world)
    world.settled("3001")
    world.did("3001 lock")
    ann.press("1")
    assert world.of(events.CommandRun)[-1].error == "3001 is locked"
    assert (ann.hears, ann.member.conference.name) == ("refused.wav", "3000")
    world.wait(PROMPT + 0.1)
    assert (ann.hears, bob.hears) == ("mix", "mix")
    bob.hang_up()
    assert world.do(f"3000 member {ann.member.id} move 3000").text == f"{ann.member.id} is in 3000 already"


def test_a_full_house_and_a_profile_that_is_not_there_are_refused() -> None:
    world = World(controls=MOVE, limit=1)
    ann = world.settled()
    assert world.do(f"3000 member {ann.member.id} move 3001").text == "no more than 1 conferences at once"
    world = World(controls=MOVE)
    ann = world.settled()
    assert world.do(f"3000 member {ann.member.id} move 3001 pim").text == "no profile 'pim'; did you mean pin?"
    assert ann.member.conference.name == "3000"


def test_operators_move_members() -> None:
    world = World(controls=MOVE)
    ann, _ = pair(world)
    before = ann.member.id
    result = world.do(f"3000 member {before} move 3001")
    assert result.ok
    assert result.text == f"{before} is {ann.member.id} in 3001"
    assert result.data == {"member": ann.member.id}
