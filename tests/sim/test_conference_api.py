"""Management commands and applications on keys: what they do, and with whose rights."""

from __future__ import annotations

import pytest
from conference_world import FakeCall, World

from xconf.conference import events

ONLY_ADMINS = "only administrators may do that"


def with_key(action: str, **profile: object) -> tuple[World, FakeCall, FakeCall]:
    world = World(profile, {"default": {"1": action}})
    return world, world.settled(caller="Ann <1001>"), world.settled(caller="Bob <1002>")


def outcome(world: World, call: FakeCall) -> str:
    """Of the key."""
    call.press("1")
    error: str = world.of(events.CommandRun)[-1].error
    return error


@pytest.mark.parametrize(
    "line",
    [
        "list",
        "help",
        "{conference} show members",
        "{conference} member {member} mute",
        "3000 member {member} vol-talk +1",
        "{conference} member {member} flags -vad",
        "{conference} member 1002 status",
    ],
)
def test_everyone_may_look_and_change_oneself(line: str) -> None:
    world, ann, _ = with_key(f"api:{line}")
    assert outcome(world, ann) == ""


@pytest.mark.parametrize(
    "line",
    [
        "{conference} lock",
        "{conference} term",
        "{conference} playback a.wav",
        "{conference} flags -vad",
        "{conference} member 1002 mute",
        "{conference} member 1002 kick",
        "{conference} member {member} kick",
        "{conference} member {member} flags +speaker",
        "{conference} member {member} flags -vad +admin",
    ],
)
def test_only_administrators_touch_others_and_their_conference(line: str) -> None:
    world, ann, bob = with_key(f"api:{line}")
    ann.heard.clear()
    flags = world.node.get("3000").flags
    assert outcome(world, ann) == ONLY_ADMINS
    assert ann.hears == "refused.wav"
    assert (bob.hears, bob.leg.mute, world.node.get("3000").flags) == ("mix", False, flags)
    world.wait(6)
    ann.member.set_flag("admin", True)
    assert outcome(world, ann) == ""


def test_an_administrator_mutes_another_by_name_or_number() -> None:
    world, ann, bob = with_key("api:{conference} member bob mute")
    ann.member.set_flag("admin", True)
    assert outcome(world, ann) == ""
    assert bob.leg.mute
    bob.hang_up()
    assert outcome(world, ann) == "no member 'bob' in 3000; there is " + ", ".join(
        sorted(["1001", "ann", "ann <1001>", ann.member.id])
    )


def test_nobody_touches_another_conference() -> None:
    world, ann, _ = with_key("api:3001 lock")
    other = world.settled("3001")
    ann.member.set_flag("admin", True)
    assert outcome(world, ann) == "3001 is another conference"
    assert not world.node.get("3001").locked
    assert other.hears != "is-locked.wav"


def test_an_operator_runs_it_with_the_rights_of_the_member() -> None:
    world, ann, _ = with_key("mute")
    assert world.do(f"3000 member {ann.member.id} api 3000 lock").text == ONLY_ADMINS
    assert not world.do(f"3000 member {ann.member.id} api term").ok


# Applications


@pytest.mark.parametrize(
    ("application", "heard"),
    [("playback a.wav", "a.wav"), ("flags +deaf", "deaf.wav"), ("hangup", "bye.wav"), ("mute", "muted.wav")],
)
def test_applications_run_on_the_call(application: str, heard: str) -> None:
    world, ann, bob = with_key(f"exec:{application}")
    assert outcome(world, ann) == ""
    assert (ann.hears, bob.leg.player) == (heard, None)


def test_applications_have_the_rights_of_who_presses_the_key() -> None:
    world, ann, _ = with_key("exec:flags +speaker")
    assert outcome(world, ann) == ONLY_ADMINS


def test_a_playback_that_fails_later_is_told() -> None:
    world, ann, _ = with_key("exec:playback broken.wav")
    world.library.slow = True
    assert outcome(world, ann) == ""
    world.library.decode()
    assert ann.hears == "refused.wav"


def test_a_transfer_that_fails_is_told_and_the_member_stays() -> None:
    world, ann, bob = with_key("exec:transfer sip:cat@127.0.0.9")
    assert outcome(world, ann) == ""
    assert (ann.referred, ann.hears) == ("sip:cat@127.0.0.9", "mix")
    ann.tell_of_referral("486 Busy Here")
    assert (ann.hears, ann.ended) == ("refused.wav", None)
    world.wait(6)
    assert (ann.hears, bob.hears) == ("mix", "mix")


@pytest.mark.parametrize(
    ("error", "told"),
    [("", "{member} has gone to sip:cat@127.0.0.9"), ("603 Decline", "sip:cat@127.0.0.9: 603 Decline")],
)
def test_an_operator_is_told_what_came_of_a_transfer(error: str, told: str) -> None:
    world, ann, _ = with_key("mute")
    reply = world.do(f"3000 member {ann.member.id} transfer sip:cat@127.0.0.9")
    heard: list[str] = []
    assert reply.later is not None
    reply.later.then(lambda outcome: heard.append(getattr(outcome, "text", str(outcome))))
    assert heard == []
    ann.tell_of_referral(error)
    assert heard == [told.format(member=ann.member.id)]


@pytest.mark.parametrize("target", ["cat", "tel:1001", "http://127.0.0.1"])
def test_only_sip_uris_can_be_gone_to(target: str) -> None:
    world, ann, _ = with_key("mute")
    result = world.do(f"3000 member {ann.member.id} transfer {target}")
    assert result.text == f"transfer: '{target}' is not a SIP URI like sip:1001@192.0.2.10"
    assert not ann.referred


def test_a_key_posts_to_the_web_server() -> None:
    world, ann, _ = with_key("exec:webhook help is needed")
    world.node.posts = True
    assert outcome(world, ann) == ""
    (signal,) = world.of(events.WebhookCalled)
    assert (signal.member, signal.conference, signal.text) == (ann.member.id, "3000", "help is needed")


def test_nothing_is_posted_elsewhere() -> None:
    world, ann, _ = with_key("exec:webhook help")
    assert outcome(world, ann) == "there is no webhook.url, or webhook.only leaves out webhook-called"
    assert ann.hears == "refused.wav"
    world.node.posts = True
    result = world.do(f"3000 member {ann.member.id} webhook http://127.0.0.1/hook")
    assert result.text == "webhook: posts to the configured webhook.url only: a text is needed, and no address"
    assert not world.of(events.WebhookCalled)
