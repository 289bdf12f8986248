"""What the user agent answers, message by message: a peer that is played by hand against one user agent."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sip_world import ANSWER, NOTHING, OFFER, OTHER_OFFER

from xconf.sip.flow import Flow
from xconf.sip.message import Message, Request, Response, parse
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.useragent import (
    AnswerArrived,
    Confirmed,
    Ended,
    Event,
    InfoReceived,
    Invited,
    Offered,
    Transmit,
    UserAgent,
)

UDP = Flow("udp", ("192.0.2.100", 5060), ("192.0.2.9", 5060))
TCP = Flow("tcp", ("192.0.2.100", 5060), ("192.0.2.9", 40_000), 7)
SDP = "Content-Type: application/sdp"


class Peer:
    """A caller who writes its own messages."""

    def __init__(self, flow: Flow = UDP, **settings: Any) -> None:
        self.ua = UserAgent(Settings(**settings), random.Random(1))
        self.flow = flow
        self.now = 0.0
        self.sent: list[tuple[float, Flow, Message]] = []
        self.events: list[Event] = []
        self.tag = ""
        self.call = "call-1"
        self.branches = 0
        self.contact = "<sip:ann@192.0.2.9:5060>"

    def send(
        self,
        method: str,
        *lines: str,
        seq: int = 1,
        body: bytes = b"",
        uri: str = "sip:bob@192.0.2.100",
        branch: str | None = None,
        via: str = "",
        version: str = "SIP/2.0",
        from_tag: str = ";tag=a",
    ) -> list[Message]:
        """Send a request; what comes back at once. lines: more header fields, in place of ours of the same name."""
        self.branches += 1
        named = {line.partition(":")[0].lower() for line in lines}
        to_tag = f";tag={self.tag}" if self.tag else ""
        usual = [
            f"Via: {via or f'SIP/2.0/{self.flow.transport.upper()} 192.0.2.9'};branch={branch or f'z9hG4bK{self.branches}'}",
            f"From: <sip:ann@example.com>{from_tag}",
            f"To: <sip:bob@example.net>{to_tag}",
            f"Call-ID: {self.call}",
            f"CSeq: {seq} {method}",
            "Max-Forwards: 70",
            f"Contact: {self.contact}",
            f"Content-Length: {len(body)}",
        ]
        head = [line for line in usual if line.partition(":")[0].lower() not in named]
        return self.raw("\r\n".join([f"{method} {uri} {version}", *head, *lines, "", ""]).encode() + body)

    def raw(self, data: bytes) -> list[Message]:
        self.ua.receive(data, self.flow, self.now)
        return self.drain()

    def drain(self) -> list[Message]:
        fresh = []
        for effect in self.ua.drain():
            if isinstance(effect, Transmit):
                message = parse(effect.data)
                fresh.append(message)
                self.sent.append((self.now, effect.flow, message))
            else:
                self.events.append(effect)
        return fresh

    def wait(self, seconds: float) -> list[Message]:
        """Let time pass; what was sent meanwhile."""
        until, count = self.now + seconds, len(self.sent)
        while (due := self.ua.next_wake()) is not None and due <= until:
            self.now = max(self.now, due)
            self.ua.wake(self.now)
            self.drain()
        self.now = until
        return [message for _, _, message in self.sent[count:]]

    def statuses(self, messages: list[Message]) -> list[int]:
        return [message.status for message in messages if isinstance(message, Response)]

    def reply(self, request: Message, status: int, *headers: tuple[str, str], sdp: bytes = b"") -> list[Message]:
        """Answer a request of the user agent."""
        assert isinstance(request, Request)
        kind = "application/sdp" if sdp else None
        return self.raw(request.response(status, headers=headers, body=sdp, content_type=kind, to_tag="x").to_bytes())

    # A call

    def invite(self, *lines: str, body: bytes = OFFER, **options: Any) -> Session:
        """An INVITE that is handed on; the session."""
        described = [SDP] if body and not any(line.startswith("Content-Type") for line in lines) else []
        messages = self.send("INVITE", *described, *lines, body=body, **options)
        assert self.statuses(messages) == []
        event = self.events[-1]
        assert isinstance(event, Invited)
        return event.session

    def accept(self, session: Session, sdp: bytes = ANSWER) -> Response:
        session.accept(sdp, self.now)
        message = self.drain()[-1]
        assert isinstance(message, Response)
        self.tag = message.to.tag or ""
        return message

    def connect(self, *lines: str, body: bytes = OFFER, **options: Any) -> Session:
        """A call that is up."""
        session = self.invite(*lines, body=body, **options)
        self.accept(session)
        self.send("ACK", *([] if body else [SDP]), body=b"" if body else ANSWER, seq=options.get("seq", 1))
        assert session.up
        return session

    def settle(self) -> None:
        """BYE for what is left; then nothing may be left."""
        if any(session.state.value == "up" for session in self.ua.sessions):
            assert self.statuses(self.send("BYE", seq=9999)) == [200]
        self.wait(120)
        assert self.ua.sizes() == NOTHING


def header(message: Message, name: str) -> str | None:
    return message.headers.get(name)


# What is looked at before anything else (section 8.2)

REFUSALS = [
    ("REGISTER", [], 405, {"Allow": "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY"}),
    ("SUBSCRIBE", ["Event: conference"], 405, {}),
    ("REFER", ["Refer-To: <sip:x@example.com>"], 403, {}),
    ("NOTIFY", ["Event: refer"], 481, {}),
    ("MESSAGE", [], 405, {}),
    ("UNHEARDOF", [], 405, {}),
    ("INVITE", ["Require: nothing, 100rel, timer, other"], 420, {"Unsupported": "nothing, other"}),
    ("OPTIONS", ["Require: nothing"], 420, {"Unsupported": "nothing"}),
    ("INVITE", [SDP, "Supported: timer", "Session-Expires: 60"], 422, {"Min-SE": "90"}),
    ("INVITE", [SDP, "Session-Expires: soon"], 400, {}),
    ("INVITE", [SDP, "Min-SE: -1"], 400, {}),
    ("INVITE", ["Max-Forwards: many"], 400, {}),
    (
        "INVITE",
        ["Content-Type: text/plain"],
        415,
        {"Accept": "application/sdp, multipart/mixed, multipart/alternative"},
    ),
    ("INVITE", [SDP, "Content-Encoding: gzip"], 415, {"Accept-Encoding": "identity"}),
    ("INVITE", ["Content-Disposition: session"], 400, {}),
    ("INVITE", [SDP, "Accept: text/html"], 406, {}),
    ("INVITE", ["CSeq: 1 OPTIONS"], 400, {}),
    ("BYE", [], 481, {}),
    ("INFO", [], 481, {}),
    ("UPDATE", [], 481, {}),
    ("PRACK", ["RAck: 1 1 INVITE"], 481, {}),
    ("INVITE", [SDP, "To: <sip:bob@example.net>;tag=unknown"], 481, {}),
    ("OPTIONS", ["To: <sip:bob@example.net>;tag=unknown"], 481, {}),
    ("CANCEL", [], 481, {}),
]


@pytest.mark.parametrize(("method", "lines", "status", "headers"), REFUSALS)
def test_what_is_refused_at_once(method: str, lines: list[str], status: int, headers: dict[str, str]) -> None:
    peer = Peer()
    (response,) = peer.send(method, *lines, body=b"some body" if method == "INVITE" else b"")
    assert isinstance(response, Response)
    assert response.status == status
    assert {name: header(response, name) for name in headers} == headers
    assert response.to.tag
    assert peer.ua.counters[f"stateless_{status}"] == 1
    assert not peer.events
    assert peer.ua.sizes() == NOTHING


def test_other_uri_schemes_and_versions() -> None:
    peer = Peer()
    assert peer.statuses(peer.send("INVITE", uri="tel:+15551234")) == [416]
    assert peer.statuses(peer.send("INVITE", uri="mailto:bob@example.net")) == [416]
    assert peer.statuses(peer.send("INVITE", version="SIP/3.0")) == [505]
    assert peer.statuses(peer.send("INVITE", uri="sips:bob@192.0.2.100")) == []


def test_options_tells_what_we_can() -> None:
    peer = Peer()
    (response,) = peer.send("OPTIONS", "Max-Forwards: 0")
    assert peer.statuses([response]) == [200]
    assert header(response, "Allow") == "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK, REFER, NOTIFY"
    assert header(response, "Supported") == "100rel, timer"
    assert "application/sdp" in (header(response, "Accept") or "")
    assert peer.ua.sizes() == NOTHING


def test_a_call_that_has_no_hops_left_has_arrived_all_the_same() -> None:
    """Max-Forwards concerns those who forward (RFC 4475, 3.3.11)."""
    peer = Peer()
    peer.accept(peer.invite("Max-Forwards: 0"))


def test_nothing_answers_an_ack_or_a_response_that_belongs_to_nothing() -> None:
    peer = Peer()
    assert peer.send("ACK") == []
    assert peer.raw(b"ACK sip:bob@192.0.2.100 SIP/2.0\r\nVia: nonsense\r\n\r\n") == []
    assert (
        peer.raw(
            b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.100;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
            b"To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
        )
        == []
    )
    assert peer.raw(b"\r\n\r\n") == peer.raw(b"") == peer.raw(b"\0\x01\0\0junk") == []
    assert dict(peer.ua.counters) == {"stray_ack": 1, "malformed": 2, "stray_response": 1, "keepalive": 2}


MIXED = (
    b"--xx\r\nContent-Type: text/html\r\nContent-Disposition: render;handling=optional\r\n\r\n<p>\r\n"
    b"--xx\r\nContent-Type: application/sdp\r\n\r\n" + OFFER + b"\r\n--xx--\r\n"
)


def test_the_session_description_among_other_parts_is_found() -> None:
    peer = Peer()
    for number, line in enumerate(
        ['Content-Type: multipart/mixed;boundary="xx"', "Content-Type: multipart/mixed;boundary=xx"]
    ):
        peer.call, peer.tag = f"call-{number}", ""
        session = peer.invite(line, body=MIXED.replace(b"SDP", b"sdp"))
        assert session.changes.remote_offer
        assert header(peer.accept(session), "Content-Type") == "application/sdp"
    assert peer.statuses(
        peer.send("INVITE", "Content-Type: multipart/mixed", "Call-ID: 3", "To: <sip:b@c>", body=MIXED)
    ) == [400]


def test_a_body_that_may_be_ignored_is_ignored() -> None:
    peer = Peer()
    session = peer.invite("Content-Type: image/jpeg", "Content-Disposition: icon;handling=optional", body=b"x")
    assert header(peer.accept(session, OFFER), "Content-Type") == "application/sdp"


def test_a_request_by_two_ways_is_merged() -> None:
    """Section 8.2.2.2; a retransmission, by contrast, is absorbed."""
    peer = Peer()
    peer.invite(branch="z9hG4bKone")
    assert peer.statuses(peer.send("INVITE", SDP, body=OFFER, branch="z9hG4bKone")) == []
    assert peer.statuses(peer.send("INVITE", SDP, body=OFFER, branch="z9hG4bKtwo")) == [482]
    assert len(peer.events) == 1


# Answering


def test_a_caller_that_is_not_answered_soon_hears_that_its_call_has_come() -> None:
    """Section 17.2.1: 100 within 200 ms, unless there is something better to say."""
    peer = Peer()
    session = peer.invite()
    assert peer.wait(0.19) == []
    assert peer.statuses(peer.wait(0.02)) == [100]
    peer.accept(session)
    peer.wait(0.1)
    peer.settle()
    prompt = Peer()
    prompt.accept(prompt.invite())
    assert prompt.statuses(prompt.wait(0.4)) == []


def test_who_is_who_in_the_answer() -> None:
    peer = Peer()
    session = peer.invite("Record-Route: <sip:p1.example.com;lr>, <sip:p2.example.com;lr>", "Record-Route: <sip:p3;lr>")
    response = peer.accept(session)
    assert header(response, "Contact") == "<sip:bob@192.0.2.100:5060>"
    assert response.headers.get_all("Record-Route") == [
        "<sip:p1.example.com;lr>",
        "<sip:p2.example.com;lr>",
        "<sip:p3;lr>",
    ]
    assert (response.status, response.body, header(response, "Server")) == (200, ANSWER, "xconf")
    assert header(response, "Supported") == "100rel, timer"


def test_the_contact_names_the_transport() -> None:
    peer = Peer(TCP)
    assert header(peer.accept(peer.invite()), "Contact") == "<sip:bob@192.0.2.100:5060;transport=tcp>"


def test_an_invite_of_rfc_2543_is_a_call_too() -> None:
    """No tag in From, no branch, no Contact: the ACK and the BYE find their dialog all the same."""
    peer = Peer()
    old = {"from_tag": "", "branch": "1"}
    session = peer.invite("Contact: <sip:ann@192.0.2.9>", **old)
    peer.accept(session)
    assert peer.send("ACK", **old) == []
    assert session.up
    assert peer.statuses(peer.send("BYE", seq=2, **old)) == [200]
    peer.settle()


def test_an_answer_that_is_not_acknowledged_in_a_transaction_of_its_own_counts_too() -> None:
    """Some phones send the ACK to a 2xx with the branch of the INVITE."""
    peer = Peer()
    session = peer.invite(branch="z9hG4bKsame")
    peer.accept(session)
    peer.send("ACK", branch="z9hG4bKsame")
    assert isinstance(peer.events[-1], Confirmed)
    peer.settle()


def test_a_challenge_and_the_next_try() -> None:
    peer = Peer()
    session = peer.invite()
    session.challenge(['Digest realm="x", nonce="1", algorithm=SHA-256', 'Digest realm="x", nonce="1"'], peer.now)
    (response,) = peer.drain()
    assert peer.statuses([response]) == [401]
    assert len(response.headers.values("WWW-Authenticate")) == 2
    assert isinstance(peer.events[-1], Ended)
    peer.connect("Authorization: Digest x=y", seq=2)
    peer.settle()


def test_what_comes_too_late_or_out_of_place_is_told_so() -> None:
    peer = Peer()
    session = peer.connect(seq=5)
    assert peer.statuses(peer.send("INFO", seq=4)) == [500]
    assert peer.statuses(peer.send("INVITE", SDP, seq=3, body=OFFER)) == [500]
    assert peer.statuses(peer.send("MESSAGE", seq=6)) == [405]
    assert peer.statuses(peer.send("PRACK", "RAck: 1 5 INVITE", seq=7)) == [481]
    assert peer.statuses(peer.send("OPTIONS", seq=8)) == [200]
    assert peer.statuses(peer.send("INFO", "Info-Package: nonsense", seq=9)) == [469]
    assert peer.statuses(peer.send("INFO", seq=10)) == [200]
    assert [type(event) for event in peer.events[-1:]] == [InfoReceived]
    assert session.up
    peer.settle()


def test_a_second_invite_before_the_first_is_answered() -> None:
    """Section 14.2: 500 with a Retry-After of up to 10 s."""
    peer = Peer()
    session = peer.invite()
    session.ring(now=peer.now)
    peer.tag = peer.drain()[-1].to.tag or ""
    response = peer.send("INVITE", SDP, body=OFFER, seq=2)[-1]
    assert peer.statuses([response]) == [500]
    assert 0 <= int(header(response, "Retry-After") or "") <= 10
    assert session.incoming


def test_an_update_with_an_offer_while_ours_waits_for_its_answer() -> None:
    """RFC 3311, section 5.2: 491."""
    peer = Peer()
    session = peer.invite(body=b"")
    peer.accept(session, OFFER)
    assert peer.statuses(peer.send("UPDATE", SDP, body=OTHER_OFFER, seq=2)) == [491]
    assert peer.statuses(peer.send("UPDATE", seq=3)) == [200]
    peer.send("ACK", SDP, body=ANSWER)
    assert [type(event) for event in peer.events[-2:]] == [AnswerArrived, Confirmed]
    peer.settle()


def test_an_update_with_an_offer_before_the_first_is_answered() -> None:
    peer = Peer()
    session = peer.invite()
    session.ring(now=peer.now)
    peer.tag = peer.drain()[-1].to.tag or ""
    assert peer.statuses(peer.send("UPDATE", SDP, body=OTHER_OFFER, seq=2)) == [500]


def test_a_bye_before_the_answer_ends_the_call() -> None:
    peer = Peer()
    session = peer.invite()
    session.ring(now=peer.now)
    peer.tag = peer.drain()[-1].to.tag or ""
    messages = peer.send("BYE", seq=2)
    assert [
        (message.cseq.method, status) for message, status in zip(messages, peer.statuses(messages), strict=True)
    ] == [
        ("BYE", 200),
        ("INVITE", 487),
    ]
    peer.send("ACK", branch="z9hG4bK1")
    peer.settle()


def test_a_reinvite_without_offer_gets_ours() -> None:
    peer = Peer()
    session = peer.connect()
    peer.send("INVITE", seq=2)
    event = peer.events[-1]
    assert isinstance(event, Offered)
    assert event.offer_sdp is None
    response = peer.accept(session, OTHER_OFFER)
    assert response.body == OTHER_OFFER
    peer.send("ACK", SDP, body=ANSWER, seq=2)
    last = peer.events[-1]
    assert isinstance(last, AnswerArrived)
    assert last.sdp == ANSWER
    assert sum(isinstance(event, Confirmed) for event in peer.events) == 1
    peer.settle()


# Reliable provisional responses (RFC 3262)


def rseq(message: Message) -> str:
    return header(message, "RSeq") or ""


def test_who_requires_100rel_gets_a_reliable_180_before_the_answer() -> None:
    peer = Peer()
    session = peer.invite("Require: 100rel")
    session.accept(ANSWER, peer.now)
    (ringing,) = peer.drain()
    assert peer.statuses([ringing]) == [180]
    assert header(ringing, "Require") == "100rel"
    peer.tag = ringing.to.tag or ""
    assert peer.statuses(peer.send("PRACK", f"RAck: {int(rseq(ringing)) + 1} 1 INVITE", seq=2)) == [481]
    messages = peer.send("PRACK", f"RAck: {rseq(ringing)} 1 INVITE", seq=3)
    assert [
        (message.cseq.method, status) for message, status in zip(messages, peer.statuses(messages), strict=True)
    ] == [
        ("PRACK", 200),
        ("INVITE", 200),
    ]
    assert messages[1].body == ANSWER
    peer.send("ACK")
    peer.settle()


def test_without_an_offer_ours_comes_in_the_reliable_response_and_the_answer_in_the_prack() -> None:
    """RFC 3262, section 5."""
    peer = Peer()
    session = peer.invite("Require: 100rel", body=b"")
    session.accept(OFFER, peer.now)
    (progress,) = peer.drain()
    assert (peer.statuses([progress]), progress.body) == ([183], OFFER)
    peer.tag = progress.to.tag or ""
    messages = peer.send("PRACK", f"RAck: {rseq(progress)} 1 INVITE", SDP, body=ANSWER, seq=2)
    assert peer.statuses(messages) == [200, 200]
    assert not messages[1].body
    assert isinstance(peer.events[-1], AnswerArrived)
    peer.send("ACK")
    assert isinstance(peer.events[-1], Confirmed)
    peer.settle()


def test_reliable_responses_come_one_after_the_other_and_again_until_prack() -> None:
    peer = Peer()
    session = peer.invite("Supported: 100rel")
    session.ring(183, sdp=ANSWER, now=peer.now, reliable=True)
    session.ring(180, now=peer.now, reliable=True)
    session.accept(ANSWER, peer.now)
    assert peer.statuses(peer.drain()) == [183]
    assert peer.statuses(peer.wait(4)) == [183, 183, 183]
    assert [when for when, _, message in peer.sent if rseq(message)] == [0.0, 0.5, 1.5, 3.5]
    peer.tag = peer.sent[-1][2].to.tag or ""
    first = int(rseq(peer.sent[-1][2]))
    assert peer.statuses(peer.send("PRACK", f"RAck: {first} 1 INVITE", seq=2)) == [180, 200]
    messages = peer.send("PRACK", f"RAck: {first + 1} 1 INVITE", seq=3)
    assert peer.statuses(messages) == [200, 200]
    assert not messages[1].body  # told already
    peer.send("ACK")
    peer.settle()


def test_a_reliable_response_that_is_never_acknowledged_ends_the_call() -> None:
    peer = Peer()
    session = peer.invite("Require: 100rel")
    session.accept(ANSWER, peer.now)
    messages = peer.wait(33)
    assert peer.statuses(messages)[:9] == [180] * 7 + [504] * 2
    event = peer.events[-1]
    assert isinstance(event, Ended)
    assert event.cause.value == "timeout"
    peer.settle()


def test_an_offer_in_a_prack_is_answered_before_the_call() -> None:
    peer = Peer()
    session = peer.invite("Require: 100rel")
    session.ring(183, sdp=ANSWER, now=peer.now)
    session.accept(ANSWER, peer.now)
    progress = peer.drain()[-1]
    peer.tag = progress.to.tag or ""
    assert peer.send("PRACK", f"RAck: {rseq(progress)} 1 INVITE", SDP, body=OTHER_OFFER, seq=2) == []
    event = peer.events[-1]
    assert isinstance(event, Offered)
    assert event.offer_sdp == OTHER_OFFER
    session.accept(ANSWER, peer.now)
    messages = peer.drain()
    assert [(message.cseq.method, len(message.body)) for message in messages] == [("PRACK", len(ANSWER)), ("INVITE", 0)]
    peer.send("ACK")
    peer.settle()


def test_cancel_while_a_prack_is_due() -> None:
    peer = Peer()
    session = peer.invite("Require: 100rel", branch="z9hG4bKone")
    session.accept(ANSWER, peer.now)
    peer.drain()
    assert peer.statuses(peer.send("CANCEL", branch="z9hG4bKone")) == [200, 487]
    peer.send("ACK", branch="z9hG4bKone")
    peer.settle()


# Session timers (RFC 4028)

TIMERS = [
    # what the INVITE says; Session-Expires and Require of the answer
    (["Supported: timer", "Session-Expires: 1200;refresher=uac"], "1200;refresher=uac", "timer"),
    (["Supported: timer", "Session-Expires: 1200;refresher=uas"], "1200;refresher=uas", None),
    (["Supported: timer", "Session-Expires: 1200"], "1200;refresher=uac", "timer"),
    (["Supported: timer", "x: 7200"], "1800;refresher=uac", "timer"),
    (["Supported: timer", "Session-Expires: 7200", "Min-SE: 3600"], "3600;refresher=uac", "timer"),
    (["Supported: timer"], "1800;refresher=uac", "timer"),
    (["Supported: timer", "Min-SE: 2000"], "2000;refresher=uac", "timer"),
    (["Session-Expires: 1200"], "1200;refresher=uas", None),
    (["Session-Expires: 10"], "90;refresher=uas", None),
    ([], "1800;refresher=uas", None),
]


@pytest.mark.parametrize(("lines", "expires", "require"), TIMERS)
def test_what_is_agreed_about_the_session_interval(lines: list[str], expires: str, require: str | None) -> None:
    peer = Peer()
    response = peer.accept(peer.invite(*lines))
    assert (header(response, "Session-Expires"), header(response, "Require")) == (expires, require)


def test_without_the_wish_there_is_no_session_timer() -> None:
    peer = Peer(session_expires=0)
    assert header(peer.accept(peer.invite("Supported: timer")), "Session-Expires") is None
    peer.send("ACK")
    assert peer.wait(10_000) == []
    peer.settle()


def test_a_session_that_is_not_refreshed_is_ended() -> None:
    """Section 10: the BYE comes a third of the interval, or 32 s, before the end."""
    peer = Peer()
    peer.connect("Supported: timer", "Session-Expires: 90")
    assert peer.wait(59) == []
    bye = peer.wait(2)[0]
    assert bye.start_line().startswith("BYE ")
    event = peer.events[-1]
    assert isinstance(event, Ended)
    assert event.cause.value == "session_timer"
    peer.settle()


def test_refreshes_keep_a_session_up() -> None:
    peer = Peer()
    session = peer.connect("Supported: timer", "Session-Expires: 90")
    for seq in range(2, 8):
        peer.wait(45)
        response = peer.send("UPDATE", "Supported: timer", "Session-Expires: 90;refresher=uac", seq=seq)[0]
        assert (peer.statuses([response]), header(response, "Session-Expires")) == ([200], "90;refresher=uac")
    peer.wait(45)
    peer.send("INVITE", SDP, "Supported: timer", "Session-Expires: 90;refresher=uac", body=OFFER, seq=8)
    assert header(peer.accept(session), "Session-Expires") == "90;refresher=uac"
    peer.send("ACK", seq=8)
    peer.wait(59)
    assert session.up
    peer.settle()


def test_we_refresh_by_update_where_it_is_allowed() -> None:
    peer = Peer()
    peer.connect("Allow: INVITE, ACK, BYE, UPDATE", "Supported: timer", "Session-Expires: 90;refresher=uas")
    for _ in range(4):
        (update,) = peer.wait(45)
        assert update.start_line() == "UPDATE sip:ann@192.0.2.9:5060 SIP/2.0"
        assert header(update, "Session-Expires") == "90;refresher=uac"
        assert not update.body
        peer.reply(update, 200, ("Session-Expires", "90;refresher=uac"))
    peer.settle()


def test_we_refresh_by_reinvite_where_not() -> None:
    peer = Peer()
    peer.connect("Allow: INVITE, ACK, BYE", "Supported: timer", "Session-Expires: 90;refresher=uas")
    (invite,) = peer.wait(45)
    assert invite.start_line() == "INVITE sip:ann@192.0.2.9:5060 SIP/2.0"
    assert invite.body == ANSWER  # as we last described ourselves
    (ack,) = peer.reply(invite, 200, ("Session-Expires", "90;refresher=uac"), sdp=OFFER)
    assert ack.start_line().startswith("ACK ")
    peer.settle()


def test_a_peer_without_timers_is_refreshed_all_the_same() -> None:
    peer = Peer(session_expires=90)
    peer.connect("Allow: INVITE, ACK, BYE, UPDATE")
    for _ in range(3):
        (update,) = peer.wait(45)
        peer.reply(update, 200)
    peer.settle()


def test_a_refresh_that_nobody_answers_ends_the_call() -> None:
    peer = Peer()
    peer.connect("Allow: UPDATE", "Supported: timer", "Session-Expires: 90;refresher=uas")
    peer.wait(61)
    event = peer.events[-1]
    assert isinstance(event, Ended)
    assert event.cause.value == "session_timer"
    peer.settle()


def test_a_refresh_that_is_refused_is_tried_again_until_the_session_expires() -> None:
    peer = Peer()
    session = peer.connect("Allow: UPDATE", "Supported: timer", "Session-Expires: 90;refresher=uas")
    (update,) = peer.wait(45)
    peer.reply(update, 503)
    (again,) = peer.wait(6)
    peer.reply(again, 200, ("Session-Expires", "90;refresher=uac"))
    assert peer.wait(44) == []
    assert session.up
    peer.settle()


# The way of our requests in a dialog (sections 12.2.1.1, 18)

ROUTES = [
    # what the INVITE says; Request-URI, Routes and destination of our BYE
    ([], "sip:ann@192.0.2.9:5060", [], ("udp", ("192.0.2.9", 5060))),
    (["Contact: <sip:ann@198.51.100.4:5080>"], "sip:ann@198.51.100.4:5080", [], ("udp", ("198.51.100.4", 5080))),
    (
        ["Contact: <sip:ann@198.51.100.4;transport=tcp>"],
        "sip:ann@198.51.100.4;transport=tcp",
        [],
        ("tcp", ("198.51.100.4", 5060)),
    ),
    (["Contact: <sip:ann@phone.example.com>"], "sip:ann@phone.example.com", [], ("udp", ("192.0.2.9", 5060))),
    # behind a translator: it says an address of its own network, and is answered where it speaks from
    (["Contact: <sip:ann@10.1.1.1:5062>"], "sip:ann@10.1.1.1:5062", [], ("udp", ("203.0.113.7", 6000))),
    (
        ["Record-Route: <sip:198.51.100.1;lr>", "Record-Route: <sip:198.51.100.2:5070;lr>"],
        "sip:ann@192.0.2.9:5060",
        ["<sip:198.51.100.1;lr>", "<sip:198.51.100.2:5070;lr>"],
        ("udp", ("198.51.100.1", 5060)),
    ),
    # a strict router at the front
    (
        ["Record-Route: <sip:198.51.100.1>, <sip:198.51.100.2;lr>"],
        "sip:198.51.100.1",
        ["<sip:198.51.100.2;lr>", "<sip:ann@192.0.2.9:5060>"],
        ("udp", ("198.51.100.1", 5060)),
    ),
]


@pytest.mark.parametrize(("lines", "uri", "routes", "place"), ROUTES)
def test_where_our_requests_go(
    lines: list[str], uri: str, routes: list[str], place: tuple[str, tuple[str, int]]
) -> None:
    peer = Peer()
    via = ""
    if place[1][0] == "203.0.113.7":
        peer.flow, via = Flow("udp", UDP.local, place[1]), "SIP/2.0/UDP 10.1.1.1:5062;rport"
    session = peer.connect(*lines, via=via)
    session.hangup(peer.now)
    (bye,) = peer.drain()
    assert isinstance(bye, Request)
    assert str(bye.uri) == uri
    assert bye.headers.get_all("Route") == routes
    flow = peer.sent[-1][1]
    assert (flow.transport, flow.remote) == place
    assert bye.via.host == "192.0.2.100"
    assert bye.via.wants_rport


def test_a_phone_that_asks_for_rport_is_answered_at_its_source() -> None:
    peer = Peer(Flow("udp", UDP.local, ("192.0.2.9", 33_333)))
    session = peer.connect(via="SIP/2.0/UDP 192.0.2.9;rport")
    session.hangup(peer.now)
    peer.drain()
    assert peer.sent[-1][1].remote == ("192.0.2.9", 33_333)


def test_a_reinvite_moves_the_target() -> None:
    peer = Peer()
    session = peer.connect()
    peer.contact = "<sip:ann@198.51.100.4:5080>"
    peer.send("INVITE", SDP, body=OFFER, seq=2)
    peer.accept(session)
    peer.send("ACK", seq=2)
    session.hangup(peer.now)
    peer.drain()
    assert peer.sent[-1][1].remote == ("198.51.100.4", 5080)


def test_a_dialog_on_a_connection_stays_on_it() -> None:
    peer = Peer(TCP)
    peer.contact = "<sip:ann@192.0.2.9:5060;transport=tcp>"
    session = peer.connect()
    session.options(peer.now)
    peer.drain()
    assert peer.sent[-1][1] == TCP
    assert peer.wait(31) == []  # nothing is repeated on a connection
    session.hangup(peer.now)
    peer.drain()
    peer.settle()


def test_a_connection_that_breaks_during_a_request_of_ours_ends_the_call() -> None:
    peer = Peer(TCP)
    session = peer.connect()
    session.options(peer.now)
    peer.ua.flow_failed(TCP, peer.now)
    peer.drain()
    event = peer.events[-1]
    assert isinstance(event, Ended)
    assert event.cause.value == "transport"
    peer.settle()


# Bounds


def test_over_the_bound_new_calls_are_put_off() -> None:
    peer = Peer(max_sessions=2, retry_after=7)
    sessions = []
    for number in range(2):
        peer.call, peer.tag = f"call-{number}", ""
        sessions.append(peer.connect())
    peer.call, peer.tag = "call-3", ""
    (response,) = peer.send("INVITE", SDP, body=OFFER)
    assert (peer.statuses([response]), header(response, "Retry-After")) == ([503], "7")
    assert peer.statuses(peer.send("OPTIONS")) == [200]
    sessions[0].hangup(peer.now)
    peer.drain()
    peer.connect()
    assert peer.ua.counters["stateless_503"] == 1


def test_transactions_are_bounded_too_but_a_bye_gets_through() -> None:
    peer = Peer(max_transactions=1)
    peer.connect()
    tag, peer.tag, peer.call = peer.tag, "", "call-2"
    assert peer.statuses(peer.send("INVITE", SDP, body=OFFER)) == [503]
    peer.tag, peer.call = tag, "call-1"
    assert peer.statuses(peer.send("INFO", seq=2)) == [503]
    assert peer.statuses(peer.send("BYE", seq=2)) == [200]
    peer.settle()


def test_thousands_of_calls_leave_nothing() -> None:
    peer = Peer(max_sessions=3000)
    sessions = []
    for number in range(2000):
        peer.call, peer.tag = f"call-{number}", ""
        sessions.append(peer.connect())
    assert peer.ua.sizes()["sessions"] == 2000
    for session in sessions:
        session.hangup(peer.now)
    byes = [message for message in peer.drain() if isinstance(message, Request)]
    assert len(byes) == 2000
    for bye in byes:
        peer.reply(bye, 200)
    peer.settle()
