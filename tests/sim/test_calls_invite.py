"""People who are called into a conference: who gets in, what is told of the others, and that nothing is left."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from invite_world import InvitingOffice

from xconf.conference import events
from xconf.conference.dispatch import dispatch


@pytest.fixture
def office() -> Iterator[InvitingOffice]:
    office = InvitingOffice()
    yield office
    office.close()


def test_who_answers_is_in_the_conference_and_hears_it(office: InvitingOffice) -> None:
    (ann,) = office.phones_in(1)
    bob = office.callee()
    (row,) = office.invite(bob)
    assert row["state"] == "answered"
    members = office.conferences.named("3000").members
    assert members[row["member"]].settings.speaker
    ann.tone, bob.tone = 500.0, 900.0
    office.run(0.5)
    ann.forget()
    bob.forget()
    office.run(0.7)
    assert ann.hears(900.0) and bob.hears(500.0)
    assert bob.called_by.startswith("<sip:3000@127.0.0.1>")
    assert [event.kind for event in office.events if isinstance(event, events.InvitationEvent)] == [
        "invitation-calling",
        "invitation-ended",
    ]


def test_a_conference_is_made_for_those_who_are_called(office: InvitingOffice) -> None:
    office.invite(office.callee(), options="profile=wide flags=+admin,+mute", conference="board")
    conference = office.conferences.named("board")
    assert conference.profile_name == "wide"
    (member,) = conference.members.values()
    assert (member.role, member.flags) == ("admin", ["admin", "auth", "mute"])


@pytest.mark.parametrize(
    ("status", "result"),
    [(486, "busy"), (600, "busy"), (480, "no-answer"), (408, "no-answer"), (603, "rejected"), (404, "rejected")],
)
def test_what_is_told_of_who_does_not_come(office: InvitingOffice, status: int, result: str) -> None:
    phone = office.callee()
    phone.reaction = phone.refusing(status)
    (row,) = office.invite(phone)
    assert (row["state"], row["status"]) == (result, status)
    assert office.endings[0].result == result


def test_who_lets_it_ring_too_long_is_cancelled(office: InvitingOffice) -> None:
    phone = office.callee()
    phone.reaction = phone.ring
    assert office.invite(phone, options="timeout=10")[0]["state"] == "ringing"
    office.sleep(9)
    assert office.states == ["ringing"]
    office.sleep(2)
    assert office.states == ["no-answer"]
    assert phone.ending is not None and phone.ending.cause.value == "cancelled"


def test_who_is_not_there_is_unreachable(office: InvitingOffice) -> None:
    office.did("invite 3000 sip:nobody@127.0.0.77 timeout=20")
    office.sleep(21)
    assert office.states == ["unreachable"]


def test_an_answer_that_crosses_our_giving_up_is_hung_up(office: InvitingOffice) -> None:
    phone = office.callee()
    phone.reaction = phone.ring
    office.invite(phone)
    office.did("invite cancel all")
    phone.answer_now()
    office.run(0.5)
    assert office.states == ["cancelled"]
    assert phone.session is not None and phone.session.ended


def test_retries_and_the_pause_between_them(office: InvitingOffice) -> None:
    phone = office.callee()
    phone.reaction = phone.refusing(486)
    office.invite(phone, options="retries=2 pause=10")
    assert (office.states, len(phone.invites)) == (["waiting"], 1)
    office.sleep(9)
    assert len(phone.invites) == 1
    office.sleep(2)
    assert len(phone.invites) == 2
    phone.reaction = phone.pick_up
    office.sleep(10)
    assert (office.states, office.rows[0]["attempts"]) == (["answered"], 3)


def test_only_the_results_that_are_named_call_for_another_try(office: InvitingOffice) -> None:
    phone = office.callee()
    phone.reaction = phone.refusing(486)
    office.invite(phone, options="retries=2 retry-on=no-answer,rejected")
    assert office.states == ["busy"]


def test_a_list_is_called_at_its_pace() -> None:
    office = InvitingOffice(lists={"board": [f"sip:phone@127.0.0.{at}" for at in (2, 3, 4, 5)]})
    phones = [office.callee() for _ in range(4)]
    office.did("invite 3000 @board pace=2")
    called = []
    for _ in range(4):
        office.run(0.1)
        called.append(sum(len(phone.invites) for phone in phones))
        office.run(0.4)
    assert called == [1, 2, 3, 4]
    office.run(0.2)
    assert office.states == ["answered"] * 4
    office.close()


def test_no_more_ring_at_once_than_may() -> None:
    from xconf.calls.outbound_list import Limits

    office = InvitingOffice(Limits(rate=100, at_once=2, pending=3))
    phones = [office.callee() for _ in range(3)]
    for phone in phones:
        phone.reaction = phone.ring
    office.invite(*phones)
    assert office.states == ["ringing", "ringing", "waiting"]
    assert dispatch(office.conferences, f"invite 3000 {phones[0].uri}").text.endswith("invite.pending = 3")
    phones[0].answer_now()
    office.run(0.2)
    assert office.states == ["answered", "ringing", "ringing"]
    office.did("3000 invite cancel all")
    assert office.states == ["answered", "cancelled", "cancelled"]
    office.close()


def test_calls_wait_while_the_server_has_no_time_for_them(office: InvitingOffice) -> None:
    phone = office.callee()
    office.overloaded = True
    assert office.invite(phone)[0]["state"] == "waiting"
    office.sleep(5)
    office.overloaded = False
    office.sleep(2)
    assert office.states == ["answered"]
    office.overloaded = True
    office.invite(phone)
    office.sleep(65)
    assert office.rows[-1]["state"] == "refused"
    assert "late" in office.rows[-1]["reason"]


# Confirmation


def test_only_who_presses_1_comes_in(office: InvitingOffice) -> None:
    bob, machine = office.callee(), office.callee()
    office.invite(bob, machine, options="confirm=yes")
    assert office.states == ["confirming", "confirming"]
    assert office.conferences.named("3000").members == {}
    bob.forget()
    office.run(1)
    assert bob.hears(900.0) or len(bob.packets) > 40  # the prompt
    bob.press("5")
    office.run(0.5)
    assert office.states[0] == "confirming"
    bob.press("1")
    office.run(0.5)
    assert office.states == ["answered", "confirming"]
    office.sleep(40, 0.1)
    assert office.states == ["answered", "not-confirmed"]
    assert machine.session is not None and machine.session.ended
    assert len(office.conferences.named("3000").members) == 1


def test_who_hangs_up_instead_is_not_confirmed(office: InvitingOffice) -> None:
    bob = office.callee()
    office.invite(bob, options="confirm=yes")
    bob.hang_up()
    office.run(0.2)
    assert office.states == ["not-confirmed"]


# Early media


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("reliable", [True, False])
def test_sound_before_the_answer_is_heard_or_ignored(office: InvitingOffice, heard: bool, reliable: bool) -> None:
    (ann,) = office.phones_in(1)
    bob = office.callee()
    bob.reaction = lambda event: event.session.ring(183, sdp=bob.sdp(), now=office.now, reliable=reliable)
    bob.tone, ann.tone = 900.0, 500.0
    office.invite(bob, options="early=heard" if heard else "")
    office.run(0.5)
    ann.forget()
    bob.forget()
    office.run(0.7)
    assert ann.hears(900.0) is heard
    assert not bob.hears(500.0)  # nobody has answered yet
    assert len(office.conferences.named("3000").members) == 1
    assert office.states == ["ringing"]
    bob.answer_now()
    office.run(0.5)
    ann.forget()
    bob.forget()
    office.run(0.7)
    assert office.states == ["answered"]
    assert ann.hears(900.0) and bob.hears(500.0)


def test_early_sound_of_a_call_that_is_not_answered_ends_with_it(office: InvitingOffice) -> None:
    office.phones_in(1)
    bob = office.callee()
    bob.reaction = lambda event: event.session.ring(183, sdp=bob.sdp(), now=office.now)
    bob.tone = 900.0
    office.invite(bob, options="early=heard timeout=3")
    office.run(4)
    assert office.states == ["no-answer"]
    assert len(office.conferences.named("3000").members) == 1


# Who may be called


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (
            "sip:ann@192.0.2.9",
            "sip:ann@192.0.2.9 may not be called: 192.0.2.9 is neither a trunk's nor in invite.allow",
        ),
        ("sip:ann@example.com", "example.com is neither a trunk's nor in invite.allow"),
        ("sip:ann@127.0.0.9;maddr=192.0.2.9", "it has a maddr"),
        ("sip:ann@127.0.0.9?Route=%3csip:192.0.2.9%3e", "or headers"),
        ("0900'1", "may not be called: invite.numbers is"),
        ("tel:110", "is not a SIP URI"),
        ("@nobody", "no list 'nobody' in invite.lists"),
        ("sip:ann@127.0.0.9 trunk=carrier", "there is no trunk carrier"),
    ],
)
def test_who_may_not_be_called_is_not(office: InvitingOffice, target: str, why: str) -> None:
    answer = dispatch(office.conferences, ["invite", "3000", *target.split()])
    assert not answer.ok and why in answer.text
    assert office.rows == [] and office.sent("INVITE") == []


def test_what_makes_no_sense_is_told_so(office: InvitingOffice) -> None:
    for line, why in {
        "invite 3000": "name a conference, and whom to call into it",
        "invite 3000 timeout=5": "name whom to call",
        "invite 3000 1001 timeout=0": "timeout: '0' is not in 1..300",
        "invite 3000 1001 wait=5": "no option 'wait'",
        "invite 3000 1001 retry-on=answered": "no result 'answered'",
        "invite cancel 7": "no invitation 7 waits or rings",
    }.items():
        answer = dispatch(office.conferences, line)
        assert not answer.ok and why in answer.text, answer.text


# Redirection


def test_a_redirection_is_followed(office: InvitingOffice) -> None:
    away, home = office.callee(), office.callee()
    away.reaction = away.redirecting("sip:elsewhere@192.0.2.9;q=0.9", home.uri)
    assert office.invite(away)[0]["state"] == "answered"
    assert len(home.invites) == 1
    (member,) = office.conferences.named("3000").members.values()
    assert member.caller == "phone"


def test_redirections_in_a_circle_end(office: InvitingOffice) -> None:
    one, two = office.callee(), office.callee()
    one.reaction, two.reaction = one.redirecting(two.uri), two.redirecting(one.uri, two.uri)
    (row,) = office.invite(one)
    assert (row["state"], row["status"]) == ("rejected", 302)
    assert len(office.sent("INVITE")) == 2


def test_a_redirection_to_who_may_not_be_called_is_not_followed(office: InvitingOffice) -> None:
    phone = office.callee()
    phone.reaction = phone.redirecting("sip:0900@192.0.2.9")
    (row,) = office.invite(phone)
    assert row["state"] == "refused" and "invite.allow" in row["reason"]
    assert len(office.sent("INVITE")) == 1


# Others


def test_the_other_side_may_make_the_offer(office: InvitingOffice) -> None:
    (ann,) = office.phones_in(1)
    bob = office.callee()
    assert office.invite(bob, options="late-offer=yes")[0]["state"] == "answered"
    assert bob.invites[0].request.body == b""
    ann.tone, bob.tone = 500.0, 900.0
    office.run(0.5)
    ann.forget()
    bob.forget()
    office.run(0.7)
    assert ann.hears(900.0) and bob.hears(500.0)


def test_who_calls_is_shown_as_wished(office: InvitingOffice) -> None:
    bob = office.callee()
    office.did(f'invite 3000 "Bob Ray <{bob.uri}>" "caller-id=Board Room <4711>"')
    office.run(0.2)
    assert bob.called_by.startswith('"Board Room" <sip:4711@127.0.0.1>')
    (member,) = office.conferences.named("3000").members.values()
    assert member.caller == "Bob Ray <phone>"


def test_a_key_calls_somebody(office: InvitingOffice) -> None:
    bob = office.callee()
    ann = office.phones_in(1)[0]
    (member,) = office.conferences.named("3000").members.values()
    office.did(f"3000 member {member.id} invite {bob.uri} flags=+speaker")
    office.run(0.2)
    assert office.states == ["answered"]
    assert office.endings[0].by == member.id
    ann.hang_up()


def test_ending_the_conference_cancels_its_invitations(office: InvitingOffice) -> None:
    office.phones_in(1)
    bob, cat = office.callee(), office.callee()
    bob.reaction = bob.ring
    office.invite(bob)
    office.invite(cat, options="pace=1", conference="1600")
    office.did("3000 term")
    office.run(1)
    assert office.states == ["cancelled", "answered"]


def test_an_answer_that_nobody_understands_is_hung_up(office: InvitingOffice) -> None:
    bob = office.callee()
    bob.reaction = lambda event: event.session.accept(bob.sdp(formats="18", maps=""), office.now)
    (row,) = office.invite(bob)
    assert row["state"] == "rejected"
    assert bob.session is not None and bob.session.ended


def test_a_stop_calls_nobody_any_more(office: InvitingOffice) -> None:
    bob, cat = office.callee(), office.callee()
    bob.reaction = bob.ring
    office.invite(bob, cat, options="pace=0.01")
    office.invitations.stop()
    office.run(1)
    assert office.states == ["cancelled", "cancelled"]
    assert cat.invites == []
    assert not dispatch(office.conferences, f"invite 3000 {cat.uri}").ok
