"""Calls of ours, against a called side that is played by hand: forks, challenges, reliable ringing, timers."""

from __future__ import annotations

import random
from typing import Any

from sip_world import ANSWER, NOTHING, OFFER, OTHER_OFFER

from xconf.sip.digest import Challenger
from xconf.sip.flow import Flow
from xconf.sip.message import Message, Request, Response, parse
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.useragent import (
    AnswerArrived,
    Answered,
    ChangeRefused,
    Ended,
    Event,
    Offered,
    Progress,
    Transmit,
    UserAgent,
)

UDP = Flow("udp", ("192.0.2.1", 5060), ("192.0.2.9", 5060))
TCP = Flow("tcp", ("192.0.2.1", 5060), ("192.0.2.9", 5060))


class Called:
    """Gets our messages and answers them as told."""

    def __init__(self, flow: Flow = UDP, **settings: Any) -> None:
        self.ua = UserAgent(Settings(**settings), random.Random(1))
        self.flow = flow
        self.now = 0.0
        self.events: list[Event] = []
        self.flows: list[Flow] = []
        self.session: Session
        self.invites: list[Request] = []

    def call(self, **options: Any) -> Request:
        options = {"sdp": OFFER, "from_": '"Ann" <sip:ann@example.com>', "flow": self.flow} | options
        self.session = self.ua.invite("sip:bob@example.net", now=self.now, **options)
        (invite,) = self.drain()
        assert isinstance(invite, Request)
        return invite

    def drain(self) -> list[Message]:
        messages = []
        for effect in self.ua.drain():
            if isinstance(effect, Transmit):
                messages.append(parse(effect.data))
                self.flows.append(effect.flow)
            else:
                self.events.append(effect)
        return messages

    def reply(
        self, request: Request, status: int, *headers: tuple[str, str], tag: str = "b", sdp: bytes = b""
    ) -> list[Message]:
        items = [*headers]
        if request.method == "INVITE" and 100 < status < 300 and "Contact" not in dict(headers):
            items.append(("Contact", f"<sip:bob-{tag}@192.0.2.9:5060>"))
        kind = "application/sdp" if sdp else None
        response = request.response(status, headers=items, to_tag=tag, body=sdp, content_type=kind)
        return self.raw(response.to_bytes())

    def raw(self, data: bytes) -> list[Message]:
        self.ua.receive(data, self.flow, self.now)
        return self.drain()

    def wait(self, seconds: float) -> list[Message]:
        until, messages = self.now + seconds, []
        while (due := self.ua.next_wake()) is not None and due <= until:
            self.now = due
            self.ua.wake(due)
            messages += self.drain()
        self.now = until
        return messages

    @property
    def told(self) -> list[type[Event]]:
        return [type(event) for event in self.events]

    @property
    def ending(self) -> tuple[str, str]:
        event = self.events[-1]
        assert isinstance(event, Ended)
        return event.cause.value, event.by

    def settle(self) -> None:
        self.wait(300)
        assert self.ua.sizes() == NOTHING
        assert self.told.count(Ended) == 1


def names(messages: list[Message]) -> list[str]:
    return [message.method if isinstance(message, Request) else str(message.cseq) for message in messages]


def test_our_invite() -> None:
    invite = Called().call(headers=[("Subject", "conference")])
    assert (str(invite.uri), str(invite.to)) == ("sip:bob@example.net", "<sip:bob@example.net>")
    assert (invite.from_.display, invite.from_.tag is not None) == ("Ann", True)
    assert invite.headers.get("Contact") == "<sip:ann@192.0.2.1:5060>"
    assert invite.headers.get("Session-Expires") == "1800"
    assert invite.headers.get("Supported") == "100rel, timer"
    assert (invite.headers.get("Subject"), invite.headers.get("User-Agent")) == ("conference", "xconf")
    assert (invite.via.host, invite.via.port, invite.via.wants_rport) == ("192.0.2.1", 5060, True)
    assert (invite.body, invite.content_type, invite.max_forwards) == (OFFER, "application/sdp", 70)


def test_ringing_early_media_answer() -> None:
    bob = Called()
    invite = bob.call()
    bob.reply(invite, 100)
    bob.reply(invite, 180)
    bob.reply(invite, 183, sdp=ANSWER)
    (ack,) = bob.reply(invite, 200, sdp=ANSWER)
    assert isinstance(ack, Request)
    assert (ack.method, str(ack.uri), ack.to.tag) == ("ACK", "sip:bob-b@192.0.2.9:5060", "b")
    assert ack.cseq.number == invite.cseq.number
    assert ack.via.branch != invite.via.branch
    assert [(event.status, event.sdp) for event in bob.events[:2] if isinstance(event, Progress)] == [
        (180, None),
        (183, ANSWER),
    ]
    assert bob.told[2:] == [AnswerArrived, Answered]
    (again,) = bob.reply(invite, 200, sdp=ANSWER)
    assert again.to_bytes() == ack.to_bytes()
    assert len(bob.events) == 4
    bob.session.hangup(bob.now)
    (bye,) = bob.drain()
    assert isinstance(bye, Request)
    bob.reply(bye, 200)
    bob.settle()


def test_of_the_answers_to_a_fork_the_first_is_taken() -> None:
    """Section 13.2.2.4: each 2xx is acknowledged; the others are hung up."""
    bob = Called()
    invite = bob.call()
    for tag in ("b1", "b2", "b3"):
        bob.reply(invite, 180, tag=tag)
    assert bob.ua.sizes()["dialogs"] == 3
    assert names(bob.reply(invite, 200, tag="b2", sdp=ANSWER)) == ["ACK"]
    assert bob.ua.sizes()["dialogs"] == 1
    bob.now = 1.0
    other = bob.reply(invite, 200, tag="b3", sdp=ANSWER)
    assert names(other) == ["ACK", "BYE"]
    assert {message.to.tag for message in other} == {"b3"}
    assert [str(message.uri) for message in other if isinstance(message, Request)] == ["sip:bob-b3@192.0.2.9:5060"] * 2
    assert names(bob.reply(invite, 200, tag="b3", sdp=ANSWER)) == ["ACK"]
    assert bob.session.remote.tag == "b2"
    assert bob.told.count(Answered) == 1
    bob.session.hangup(bob.now)
    (bye,) = bob.drain()
    assert bye.to.tag == "b2"
    assert names(bob.reply(invite, 200, tag="b2", sdp=ANSWER)) == ["ACK"]
    bob.settle()


def test_the_routes_of_the_answer_are_used_in_reverse() -> None:
    bob = Called()
    invite = bob.call()
    routes = [("Record-Route", "<sip:198.51.100.2;lr>"), ("Record-Route", "<sip:198.51.100.1:5070;lr>")]
    (ack,) = bob.reply(invite, 200, *routes, sdp=ANSWER)
    assert ack.headers.get_all("Route") == ["<sip:198.51.100.1:5070;lr>", "<sip:198.51.100.2;lr>"]
    assert bob.flows[-1].remote == ("198.51.100.1", 5070)
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


def test_refusals() -> None:
    for status in (302, 404, 486, 503, 603):
        bob = Called()
        invite = bob.call()
        (ack,) = bob.reply(invite, status, ("Contact", "<sip:carol@example.org>"))
        assert (names([ack]), ack.via.branch) == (["ACK"], invite.via.branch)
        assert names(bob.reply(invite, status)) == ["ACK"]
        event = bob.events[-1]
        assert isinstance(event, Ended)
        assert event.response is not None
        assert (bob.ending, event.response.status) == (("rejected", "remote"), status)
        assert event.response.contact is not None
        bob.settle()


def test_a_connection_that_cannot_be_made() -> None:
    bob = Called(TCP)
    bob.call()
    bob.ua.flow_failed(TCP, 1.0)
    bob.drain()
    assert bob.ending == ("transport", "local")
    bob.settle()


def test_credentials_are_given_when_asked_for() -> None:
    for status, ask, answer in (
        (401, "WWW-Authenticate", "Authorization"),
        (407, "Proxy-Authenticate", "Proxy-Authorization"),
    ):
        bob = Called()
        challenger = Challenger("here", b"secret")
        first = bob.call(credentials=("ann", "s3cret"))
        challenges = [(ask, value) for value in challenger.challenge(0.0)]
        ack, second = bob.reply(first, status, *challenges)
        assert isinstance(second, Request)
        assert names([ack, second]) == ["ACK", "INVITE"]
        assert (second.cseq.number, second.call_id) == (first.cseq.number + 1, first.call_id)
        assert (second.from_.tag, second.body) == (first.from_.tag, OFFER)
        assert second.via.branch != first.via.branch
        assert len(second.vias) == 1
        assert b"s3cret" not in second.to_bytes()
        if status == 401:
            assert challenger.verify(second, {"ann": "s3cret"}.get, 0.1).accepted
        (ack,) = bob.reply(second, 200, sdp=ANSWER)
        assert ack.headers.get(answer) == second.headers.get(answer)
        bob.session.hangup(bob.now)
        (bye,) = bob.drain()
        assert isinstance(bye, Request)
        (bye_again,) = bob.reply(bye, status, *challenges)
        assert bye_again.cseq.number == bye.cseq.number + 1
        assert answer in bye_again.headers
        bob.settle()


def test_a_wrong_password_or_none_ends_the_call() -> None:
    challenges = [("WWW-Authenticate", value) for value in Challenger("here", b"secret").challenge(0.0)]
    bob = Called()
    assert names(bob.reply(bob.call(), 401, *challenges)) == ["ACK"]
    assert bob.ending == ("rejected", "remote")
    bob = Called()
    _, second = bob.reply(bob.call(credentials=("ann", "wrong")), 401, *challenges)
    assert isinstance(second, Request)
    assert names(bob.reply(second, 401, *challenges)) == ["ACK"]
    assert bob.ending == ("rejected", "remote")
    bob.settle()


def test_a_stale_nonce_is_answered_anew_but_not_for_ever() -> None:
    bob, challenger = Called(), Challenger("here", b"secret")
    request = bob.call(credentials=("ann", "s3cret"))
    tries = 1
    while True:
        stale = [("WWW-Authenticate", value) for value in challenger.challenge(float(tries), stale=True)]
        messages = bob.reply(request, 401, *stale)
        if len(messages) == 1:
            break
        assert isinstance(messages[1], Request)
        request, tries = messages[1], tries + 1
    assert 2 <= tries <= 5
    bob.settle()


def test_a_longer_session_interval_is_taken_when_asked_for() -> None:
    bob = Called(session_expires=120)
    first = bob.call()
    assert first.headers.get("Session-Expires") == "120"
    ack, second = bob.reply(first, 422, ("Min-SE", "600"))
    assert isinstance(second, Request)
    assert (second.headers.get("Session-Expires"), second.headers.get("Min-SE")) == ("600", "600")
    assert second.cseq.number == first.cseq.number + 1
    assert names(bob.reply(second, 422, ("Min-SE", "600"))) == ["ACK"]
    assert bob.ending == ("rejected", "remote")
    bob.settle()


def test_who_refreshes_our_call_is_for_the_answer_to_say() -> None:
    for role, methods in (("uac", ["UPDATE"]), ("uas", ["BYE"])):
        bob = Called()
        answer = [("Session-Expires", f"90;refresher={role}"), ("Require", "timer"), ("Allow", "INVITE, UPDATE")]
        bob.reply(bob.call(), 200, *answer, sdp=ANSWER)
        assert bob.wait(44) == []
        messages = bob.wait(17)
        assert names(messages[:1]) == methods
        bob.session.hangup(bob.now)
        bob.drain()
        bob.settle()
    bob = Called()
    bob.reply(bob.call(), 200, sdp=ANSWER)
    assert bob.wait(10_000) == []  # the peer knows no session timers
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


def test_reliable_ringing_is_acknowledged_in_order_and_once() -> None:
    bob = Called()
    invite = bob.call()
    (prack,) = bob.reply(invite, 183, ("Require", "100rel"), ("RSeq", "7"), sdp=ANSWER)
    assert isinstance(prack, Request)
    assert (prack.method, prack.headers.get("RAck")) == ("PRACK", f"7 {invite.cseq.number} INVITE")
    assert prack.cseq.number == invite.cseq.number + 1
    assert bob.told == [AnswerArrived, Progress]
    assert bob.reply(invite, 183, ("Require", "100rel"), ("RSeq", "7"), sdp=ANSWER) == []
    assert bob.reply(invite, 180, ("Require", "100rel"), ("RSeq", "9")) == []
    assert bob.reply(invite, 180, ("Require", "100rel"), ("RSeq", "x")) == []
    bob.reply(prack, 200)
    (second,) = bob.reply(invite, 180, ("Require", "100rel"), ("RSeq", "8"))
    assert isinstance(second, Request)
    bob.reply(second, 200)
    assert names(bob.reply(invite, 200)) == ["ACK"]
    assert bob.told == [AnswerArrived, Progress, Progress, Answered]
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


def reliable(number: str) -> list[tuple[str, str]]:
    return [("Require", "100rel"), ("RSeq", number)]


def test_the_answer_of_the_telephone_that_was_picked_up_counts_and_not_that_of_the_first_that_rang() -> None:
    """Sound once went to the telephone of a fork that had answered our offer first, in a reliable 183."""
    bob = Called()
    invite = bob.call()
    bob.reply(invite, 183, *reliable("1"), tag="b1", sdp=ANSWER)
    bob.reply(invite, 183, *reliable("1"), tag="b2", sdp=OTHER_OFFER)
    bob.reply(invite, 200, tag="b2")
    assert [event.sdp for event in bob.events if isinstance(event, AnswerArrived)] == [ANSWER, OTHER_OFFER]
    bob.session.hangup(bob.now)
    bob.drain()

    cat = Called()
    invite = cat.call()
    cat.reply(invite, 183, *reliable("1"), tag="c1", sdp=ANSWER)
    cat.reply(invite, 200, tag="c2", sdp=OTHER_OFFER)
    assert [event.sdp for event in cat.events if isinstance(event, AnswerArrived)] == [ANSWER, OTHER_OFFER]


def test_an_update_in_an_early_dialog() -> None:
    bob = Called()
    invite = bob.call()
    (prack,) = bob.reply(invite, 183, ("Require", "100rel"), ("RSeq", "7"), sdp=ANSWER)
    assert isinstance(prack, Request)
    bob.reply(prack, 200)
    update = (
        f"UPDATE sip:ann@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKu\r\nFrom: {invite.to};tag=b\r\n"
        f"To: {invite.from_}\r\nCall-ID: {invite.call_id}\r\nCSeq: 1 UPDATE\r\nContact: <sip:bob@192.0.2.9>\r\n"
        "Content-Type: application/sdp\r\n\r\n"
    ).encode() + OTHER_OFFER
    assert bob.raw(update) == []
    event = bob.events[-1]
    assert isinstance(event, Offered)
    bob.session.accept(ANSWER, bob.now)
    (response,) = bob.drain()
    assert isinstance(response, Response)
    assert (response.status, response.body) == (200, ANSWER)
    assert names(bob.reply(invite, 200)) == ["ACK"]
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


def test_hanging_up_after_a_fork_was_cancelled_acknowledges_what_still_answers() -> None:
    bob = Called()
    invite = bob.call()
    bob.reply(invite, 180)
    bob.session.hangup(bob.now)
    (cancel,) = bob.drain()
    assert isinstance(cancel, Request)
    assert (cancel.method, cancel.via.branch, cancel.cseq.number) == ("CANCEL", invite.via.branch, invite.cseq.number)
    bob.reply(cancel, 200)
    assert names(bob.reply(invite, 200, sdp=ANSWER)) == ["ACK", "BYE"]
    assert bob.ending == ("cancelled", "local")
    assert names(bob.reply(invite, 200, tag="late", sdp=ANSWER)) == ["ACK", "BYE"]
    bob.settle()


def test_a_change_that_meets_no_dialog_ends_the_session() -> None:
    for status, cause in ((481, ("timeout", "remote")), (408, ("timeout", "local"))):
        bob = Called()
        bob.reply(bob.call(), 200, sdp=ANSWER)
        bob.session.reinvite(OTHER_OFFER, bob.now)
        (change,) = bob.drain()
        assert isinstance(change, Request)
        assert (change.method, change.to.tag, change.headers.get("Contact")) == (
            "INVITE",
            "b",
            "<sip:ann@192.0.2.1:5060>",
        )
        bob.reply(change, status)
        assert bob.ending == cause
        bob.settle()


def test_a_refused_change_is_told() -> None:
    bob = Called()
    bob.reply(bob.call(), 200, sdp=ANSWER)
    bob.session.update(OTHER_OFFER, bob.now)
    (change,) = bob.drain()
    assert isinstance(change, Request)
    bob.reply(change, 405)
    event = bob.events[-1]
    assert isinstance(event, ChangeRefused)
    assert event.status == 405
    bob.session.reinvite(OTHER_OFFER, bob.now)
    bob.drain()
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


def test_an_answer_without_a_description_is_told_as_it_is() -> None:
    bob = Called()
    bob.reply(bob.call(), 200)
    assert bob.told == [Answered]
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


# A called side that means harm


def test_endless_forks_are_not_followed() -> None:
    bob = Called()
    invite = bob.call()
    for number in range(200):
        bob.reply(invite, 180, tag=f"b{number}")
    assert bob.ua.sizes()["dialogs"] == 32
    bob.reply(invite, 200, tag="b0", sdp=ANSWER)
    byes = [bob.reply(invite, 200, tag=f"c{number}", sdp=ANSWER) for number in range(200)]
    assert sum(bool(messages) for messages in byes) == 31
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()


def test_endless_wishes_for_longer_sessions_are_not_followed() -> None:
    bob = Called()
    request, tries = bob.call(), 1
    while len(messages := bob.reply(request, 422, ("Min-SE", str(2000 + tries)))) == 2:
        assert isinstance(messages[1], Request)
        request, tries = messages[1], tries + 1
    assert tries == 2
    bob.settle()


def test_endless_collisions_end_in_a_refusal() -> None:
    bob = Called()
    bob.reply(bob.call(), 200, sdp=ANSWER)
    bob.session.reinvite(OTHER_OFFER, bob.now)
    tries, changes = 0, bob.drain()
    while not isinstance(bob.events[-1], ChangeRefused):
        change = changes[0]  # the others are its retransmissions
        assert isinstance(change, Request)
        tries += 1
        bob.reply(change, 491)
        changes = [message for message in bob.wait(4.1) if message.start_line().startswith("INVITE")]
    assert tries == 11
    bob.session.hangup(bob.now)
    bob.drain()
    bob.settle()
