"""Calling in: who may, where to, and what is agreed on."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from calls_world import Office, Phone

from xconf.calls.addresses import media_host, number_of, plausible
from xconf.calls.identity import caller_of
from xconf.sip.digest import respond
from xconf.sip.message import Request, Response
from xconf.sip.sdp import SessionDescription
from xconf.sip.uri import URI


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office(limit=6)
    yield office
    office.close()


def refused(phone: Phone) -> Response:
    phone.office.run(0.1)
    assert phone.refusal is not None
    return phone.refusal


# Where to


def test_a_number_that_leads_nowhere_is_404(office: Office) -> None:
    phone = office.phone()
    phone.dial("1234")
    assert refused(phone).status == 404
    assert office.logged("call from Ann <1001> at 127.0.0.2 refused with 404: no rule of the dial plan fits '1234'")
    assert len(office.conferences) == 0


@pytest.mark.parametrize("number", ["9%31%23", "9;phone-context=example.com%23", "9#"])
def test_escapes_and_parameters_in_the_dialled_number(office: Office, number: str) -> None:
    phone = office.phone()
    if ";" in number:
        phone.dial(number)
        assert refused(phone).status == 404  # the number is 9 alone
    elif "%" in number:
        phone.call(number)
        assert [conference.name for conference in office.conferences] == ["nine"]


def test_the_parameters_of_a_telephone_number_are_no_part_of_it(office: Office) -> None:
    office.phone().call("3000;phone-context=example.com")
    assert number_of(URI.parse("sip:3000;isub=1@127.0.0.1;user=phone")) == "3000"
    assert number_of(URI.parse("sip:127.0.0.1")) == ""


def test_a_tel_uri_is_416(office: Office) -> None:
    assert office.answers_to(office.invite_by_hand("tel:+493000")) == [416]


def test_a_profile_that_is_gone_is_503_and_nothing_else_happens(office: Office) -> None:
    phone = office.phone()
    phone.dial("none")
    assert refused(phone).status == 503
    assert office.logged("no profile 'no such profile'")


# Room


def test_one_call_more_than_there_may_be_is_503_with_a_time(office: Office) -> None:
    office.phones_in(6)
    late = office.phone("127.0.0.99")
    late.dial()
    answer = refused(late)
    assert (answer.status, answer.headers.get("Retry-After")) == (503, "10")
    office.phones[0].hang_up()
    office.run(0.1)
    late.call()


def test_a_server_that_stops_takes_no_calls(office: Office) -> None:
    office.calls.shutdown()
    phone = office.phone()
    phone.dial()
    answer = refused(phone)
    assert (answer.status, answer.headers.get("Retry-After")) == (503, "10")


def test_no_media_port_left_is_503(office: Office) -> None:
    office.engine.ports._numbers = iter(())
    phone = office.phone()
    phone.dial()
    assert refused(phone).status == 503
    assert office.logged("widen the range")


# Who may


@pytest.fixture
def guarded(office: Office) -> Office:
    office.rules.allow = lambda host: False
    office.rules.users = {"ann": "right"}
    return office


def test_a_stranger_is_asked_for_a_password_in_both_ways_and_let_in_with_it(guarded: Office) -> None:
    phone = guarded.phone().call(credentials=("ann", "right"))
    challenge = guarded.sent("SIP/2.0 401")[0].headers.values("WWW-Authenticate")
    assert [value.rpartition("algorithm=")[2] for value in challenge] == ["SHA-256", "MD5"]
    assert phone.is_up
    assert not any("right" in line for line in guarded.lines)


def test_a_phone_that_knows_md5_alone_is_let_in(guarded: Office) -> None:
    phone = guarded.phone()
    phone.dial()
    challenge = refused(phone).headers.values("WWW-Authenticate")[1]
    answer = respond(challenge, "INVITE", "sip:3000@127.0.0.1", "ann", "right")
    phone.call(headers=[("Authorization", answer)])


def test_a_wrong_password_is_401_again_and_logged_without_it(guarded: Office) -> None:
    phone = guarded.phone()
    phone.dial(credentials=("ann", "guess"))
    assert refused(phone).status == 401
    assert "stale" not in (refused(phone).headers.get("WWW-Authenticate") or "")
    assert len(guarded.sent("SIP/2.0 401")) == 2
    assert guarded.logged("wrong user or password from 127.0.0.2: 'ann'")
    assert not guarded.logged("guess")


def test_credentials_that_are_too_old_are_stale_and_a_phone_tries_again(guarded: Office) -> None:
    phone = guarded.phone()
    phone.dial()
    challenge = refused(phone).headers.values("WWW-Authenticate")[0]
    guarded.sleep(301)
    answer = respond(challenge, "INVITE", "sip:3000@127.0.0.1", "ann", "right")
    phone.call(headers=[("Authorization", answer)], credentials=("ann", "right"))
    stale = guarded.sent("SIP/2.0 401")[-1]
    assert "stale=true" in (stale.headers.get("WWW-Authenticate") or "")


def test_strangers_are_refused_where_nobody_has_a_password(guarded: Office) -> None:
    guarded.rules.users = {}
    phone = guarded.phone()
    phone.dial()
    assert refused(phone).status == 403
    assert guarded.logged("127.0.0.2 is not in sip.allow or sip.trunks, and there are no sip.users")


def test_strangers_do_not_learn_which_numbers_there_are(guarded: Office) -> None:
    phone = guarded.phone()
    phone.dial("1234")
    assert refused(phone).status == 401


# Offer and answer


def test_an_offer_is_answered_with_one_codec_and_the_call_is_logged(office: Office) -> None:
    phone = office.phone().call(sdp=office.phones[0].sdp(formats="8 0 101"))
    assert phone.description is not None
    assert phone.description.media[0].formats == ["8", "101"]
    call_id = phone.up.call_id
    assert office.logged(f"[{call_id}] call from Ann <1001> at 127.0.0.2 to 3000: conference 3000")
    assert office.logged(f"[{call_id}] media: PCMA/8000, we sendrecv, phone at 127.0.0.2:{phone.port}\n")
    phone.hang_up()
    office.run(0.1)
    assert office.logged(f"[{call_id}] ended: bye by remote")


def test_the_server_makes_the_offer_when_the_phone_does_not(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call(sdp=None)
    assert ann.description is not None
    assert "telephone-event/8000" in [str(rtpmap) for rtpmap in ann.description.media[0].rtpmap.values()]
    bob.call()
    bob.tone = 500.0
    office.run(1)
    assert ann.hears(500.0)


def test_an_ack_without_an_answer_to_our_offer_ends_the_call(office: Office) -> None:
    phone = office.phone()
    phone.answer = lambda event: None
    phone.dial(sdp=None)
    office.run(0.1)
    assert phone.ending is not None and phone.ending.request is not None
    assert phone.ending.request.headers.get("Reason") == 'SIP;cause=200;text="no answer to our offer in the ACK"'


@pytest.mark.parametrize("answer", [b"nonsense", b"v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0\r\n"])
def test_an_answer_that_makes_no_sense_ends_the_call(office: Office, answer: bytes) -> None:
    phone = office.phone()
    phone.answer = lambda event: answer
    phone.dial(sdp=None)
    office.run(0.1)
    assert phone.ending is not None and phone.ending.cause.value == "bye"
    assert office.logged("the answer to our offer is of no use")


@pytest.mark.parametrize(
    ("status", "sdp"),
    [
        (488, b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 9 RTP/AVP 18\r\n"),
        (488, b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"),
        (488, b"v=0\r\no=- 1 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 ::1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"),
        (488, b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nt=0 0\r\n"),
        (400, b"v=1\r\n"),
        (400, b"v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nt=0 0\r\nm=audio x RTP/AVP 0\r\n"),
        (400, b"\xff\xfe\x00"),
    ],
)
def test_descriptions_that_nothing_can_be_agreed_on(office: Office, status: int, sdp: bytes) -> None:
    phone = office.phone()
    phone.dial(sdp=sdp)
    assert refused(phone).status == status
    assert status == 488 or len(office.conferences) == 0


def test_a_description_among_other_parts_is_found(office: Office) -> None:
    parts = b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b\r\nContent-Type: application/sdp\r\n\r\n"
    parts += office.phone().sdp() + b"\r\n--b--\r\n"
    invite = office.invite_by_hand(call_id="parts@phone", body=parts, kind="multipart/mixed;boundary=b")
    assert set(office.answers_to(invite)) == {200}
    assert office.logged("[parts@phone] media: PCMU/8000")
    office.sleep(40)  # nobody acknowledges it
    assert office.logged("[parts@phone] ended: no_ack by local")


def test_a_wide_conference_takes_wide_and_narrow_phones(office: Office) -> None:
    wide, narrow = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    wide.call("1600", wide.sdp(formats="97 0", maps="a=rtpmap:97 L16/16000\r\n"))
    narrow.call("1600")
    assert wide.description is not None and wide.description.media[0].formats == ["97"]
    narrow.tone = 500.0
    office.run(0.5)
    assert {len(packet) for packet in wide.packets[5:]} == {12 + 640}


def test_the_session_ids_of_descriptions_differ(office: Office) -> None:
    phones = office.phones_in(3)
    ids = {phone.description.origin.session_id for phone in phones if phone.description}
    assert len(ids) == 3


# Where the sound goes


def test_a_phone_behind_a_translator_is_sent_to_where_it_sends_from(office: Office) -> None:
    inside = office.phone("127.0.0.2", says="10.1.2.3")
    inside.call()
    other = office.phone("127.0.0.3").call()
    other.tone = 700.0
    office.run(0.5)
    assert inside.packets == []
    inside.tone = 500.0
    office.run(1)
    assert inside.hears(700.0) and other.hears(500.0)
    assert office.logged("phone at 10.1.2.3:") and office.logged("by its own account, at 127.0.0.2 by its packets")


@pytest.mark.parametrize("late", [False, True])
def test_five_phones_behind_one_translator_are_told_apart(office: Office, late: bool) -> None:
    phones = [office.phone("127.0.0.2", says="10.1.2.3", sip_port=5060 + number) for number in range(5)]
    for phone in phones:
        phone.dial(sdp=None if late else phone.sdp())
    office.run(0.1)
    assert len({phone.server_port for phone in phones}) == 5
    phones[0].tone = 500.0
    phones[1].tone = 900.0
    for phone in phones[2:]:
        phone.tone = 0.0
    office.run(1)
    assert phones[0].hears(900.0) and not phones[0].hears(500.0)
    assert all(phone.hears(500.0) and phone.hears(900.0) for phone in phones[2:])


@pytest.mark.parametrize(
    ("named", "source", "believed"),
    [
        ("203.0.113.7", "198.51.100.1", False),  # of documentation: not public
        ("8.8.8.8", "9.9.9.9", True),
        ("10.0.0.1", "9.9.9.9", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("127.0.0.1", "9.9.9.9", False),
        ("100.64.0.1", "9.9.9.9", False),
        ("169.254.0.1", "9.9.9.9", False),
        ("0.0.0.0", "9.9.9.9", False),
        ("0.0.0.0", "2001:db8::1", False),
        ("10.0.0.1", "2001:db8::1", True),
    ],
)
def test_which_media_addresses_are_believed(named: str, source: str, believed: bool) -> None:
    assert plausible(named, source) is believed


def test_a_trunk_may_name_another_address_of_a_trunk(office: Office) -> None:
    office.rules.trunks = {"127.0.0.2", "127.0.0.3"}
    trunk = office.phone("127.0.0.2")
    media = office.phone("127.0.0.3")
    trunk.call("4000", trunk.sdp("recvonly", address="127.0.0.3", port=media.port))
    office.run(0.2)
    assert media.packets  # which never sent anything
    stranger = office.phone("127.0.0.4")
    stranger.call("4000", stranger.sdp("recvonly", address="127.0.0.2", port=office.phones[0].port))
    office.run(0.2)
    assert not trunk.packets


@pytest.mark.parametrize("late", [False, True])
def test_telephones_that_are_translated_as_their_proxy_says_are_heard_from_other_ports(
    office: Office, late: bool
) -> None:
    """`a=direction:active`: the proxy has put in the address that they have outside, and knows no ports."""
    office.rules.trunks = {"127.0.0.2", "127.0.0.3"}
    phones = [office.phone("127.0.0.2", sip_port=5060 + number) for number in range(2)]
    for number, phone in enumerate(phones):
        phone.socket.close()
        phone.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        phone.socket.bind(("127.0.0.3", 0))
        phone.socket.setblocking(False)
        said = phone.sdp(address="127.0.0.3", port=40_000 + number, more="a=direction:active\r\n")
        phone.answer = lambda event, said=said: said  # type: ignore[misc]
        phone.dial("3000", None if late else said)
    office.run(0.2)
    assert office.logged("by its own account, at 127.0.0.3 by its packets")
    phones[0].tone, phones[1].tone = 500.0, 900.0
    office.run(1)
    assert phones[0].hears(900) and phones[1].hears(500)
    assert not phones[0].hears(500) and not phones[1].hears(900)


def test_a_phone_that_signals_over_ipv6_is_expected_at_the_address_that_it_names() -> None:
    assert media_host("2001:db8::1") == "0.0.0.0"
    assert media_host("2001:db8::1", six=True) == "2001:db8::1"
    assert media_host("192.0.2.1", six=True) == "::"
    assert media_host("192.0.2.1") == "192.0.2.1"


# Who is shown


@pytest.mark.parametrize(
    ("from_", "shown"),
    [
        ('"Ann" <sip:1001@a.example>', "Ann <1001>"),
        ("Ann <sip:1001@a.example>", "Ann <1001>"),
        ('"" <sip:1001@a.example>', "1001"),
        ("sip:1001@a.example", "1001"),
        ('"Anonymous" <sip:anonymous@anonymous.invalid>', "Anonymous <anonymous>"),
        ("<sip:a.example>", "a.example"),
        ("<tel:+4930;isub=1>", "+4930"),
        ("<urn:x:y>", "unknown"),
        ('"A\\"n\\\\n" <sip:1%30%00%0a01@a.example>', 'A"n\\n <1001>'),
        (f'"{"x" * 500}" <sip:1001@a.example>', f"{'x' * 48} <1001>"),
        ('"Zoë" <sip:1001@a.example>', "Zoë <1001>"),
        ('"\udcff\udcfe" <sip:1001@a.example>', "1001"),
    ],
)
def test_the_name_of_a_caller(from_: str, shown: str) -> None:
    assert caller_of(Request("INVITE", URI.parse("sip:3000@a.example"), [("From", f"{from_};tag=1")])) == shown


def test_a_caller_without_a_name_gets_in(office: Office) -> None:
    phone = office.phone().call(from_="<sip:anonymous.invalid>")
    assert "anonymous.invalid" in office.did("3000 show members")
    assert phone.is_up


# 100rel and timers are the user agent's; here only that they do not get in the way


def test_a_phone_that_requires_reliable_answers_gets_in(office: Office) -> None:
    office.phone().call(headers=[("Require", "100rel")])


def test_a_phone_that_uses_up_all_payload_types_still_gets_an_offer(office: Office) -> None:
    phone = office.phone()
    maps = "".join(f"a=rtpmap:{number} CODEC{number}/8000\r\n" for number in range(96, 128))
    phone.call(sdp=phone.sdp(formats="0 " + " ".join(map(str, range(96, 128))), maps=maps))
    offer = SessionDescription.parse(phone.ask_for_offer(None))
    assert offer.media[0].payload_types[0] == 0


def test_new_calls_are_refused_while_the_media_run_late_and_those_that_are_up_go_on(office: Office) -> None:
    ann = office.phones_in(1)[0]
    office.overloaded = True
    bob = office.phone("127.0.0.50")
    bob.dial()
    refusal = refused(bob)
    assert refusal.status == 503
    assert refusal.headers.get("Retry-After")
    assert ann.is_up
    office.overloaded = False
    assert office.phone("127.0.0.51").call().is_up
