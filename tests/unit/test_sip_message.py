"""Messages: what parses, what a response copies, what is written (RFC 3261 sections 7, 8.2.6 and 18.3)."""

from __future__ import annotations

import pytest

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.message import Message, Request, Response, is_keepalive, parse
from xconf.sip.validate import validate

HEAD = (
    b"INVITE sip:3000@192.0.2.7 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
    b"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2\r\n"
    b"Record-Route: <sip:192.0.2.1;lr>\r\n"
    b"Timestamp: 54\r\n"
    b"f: Ann <sip:ann@192.0.2.2>;tag=a\r\n"
    b"t: <sip:3000@192.0.2.7>\r\n"
    b"i: 1\r\n"
    b"CSeq: 7 INVITE\r\n"
)


def request(head: bytes = HEAD, body: bytes = b"") -> Request:
    message = parse(head + b"\r\n" + body)
    assert isinstance(message, Request)
    return message


def refusal(data: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        validate(parse(data))
    return caught.value


def names(message: Message) -> list[str]:
    return [name for name, _ in message.headers]


def test_a_request() -> None:
    invite = request(body=b"hello")
    assert (invite.method, invite.uri.user, invite.body) == ("INVITE", "3000", b"hello")
    assert [via.host for via in invite.vias] == ["192.0.2.1", "192.0.2.2"]
    assert (invite.from_.display, invite.from_.tag, invite.to.tag) == ("Ann", "a", None)
    assert (invite.call_id, invite.cseq.number, invite.contact, invite.routes) == ("1", 7, None, [])


def test_a_response() -> None:
    response = parse(b"SIP/2.0 486 Busy Here\r\nCall-ID: 1\r\n\r\n")
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.call_id) == (486, "Busy Here", "1")


def test_a_body_ends_where_its_length_says() -> None:
    assert request(HEAD + b"l: 5\r\n", b"hello, and more").body == b"hello"
    assert request(HEAD + b"Content-Length: 0\r\n", b"\r\n\r\n").body == b""


def test_line_ends_before_a_message_are_passed_over() -> None:
    assert request(b"\r\n\r\n" + HEAD).method == "INVITE"


def test_keep_alives_are_no_messages() -> None:
    assert is_keepalive(b"\r\n\r\n") and is_keepalive(b"") and is_keepalive(b"\0")
    assert not is_keepalive(HEAD)


def test_what_is_no_utf8_comes_out_as_it_came_in() -> None:
    head = HEAD + b"Odd: \xff\xfe\x80 \xc3\xa9\r\n"
    assert b"Odd: \xff\xfe\x80 \xc3\xa9\r\n" in request(head).to_bytes()
    assert b"\xff" in request(head.replace(b"Ann", b'"\xff"')).from_.with_tag("x").__str__().encode(
        "utf-8", "surrogateescape"
    )


def test_content_length_is_always_right() -> None:
    invite = request(HEAD + b"Content-Length: 2\r\n", b"ab")
    invite.body = b"longer"
    assert invite.to_bytes().endswith(b"Content-Length: 6\r\n\r\nlonger")
    assert invite.to_bytes().count(b"Content-Length") == 1


def test_a_response_goes_back_the_way_the_request_came() -> None:
    ok = request().response(
        200, to_tag="b", headers=[("Contact", "<sip:x>")], body=b"sdp", content_type="application/sdp"
    )
    assert ok.to_bytes() == (
        b"SIP/2.0 200 OK\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1\r\n"
        b"Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK2\r\n"
        b"From: Ann <sip:ann@192.0.2.2>;tag=a\r\n"
        b"To: <sip:3000@192.0.2.7>;tag=b\r\n"
        b"Call-ID: 1\r\n"
        b"CSeq: 7 INVITE\r\n"
        b"Record-Route: <sip:192.0.2.1;lr>\r\n"
        b"Contact: <sip:x>\r\n"
        b"Content-Type: application/sdp\r\n"
        b"Content-Length: 3\r\n\r\nsdp"
    )


def test_a_100_has_no_tag_but_the_timestamp_and_a_refusal_no_record_route() -> None:
    trying = request().response(100, to_tag="b")
    assert trying.to.tag is None and trying.headers.get("Timestamp") == "54"
    refused = request().response(404, to_tag="b")
    assert refused.to.tag == "b" and "Record-Route" not in refused.headers
    assert refused.reason == "Not Found"


def test_a_tag_that_is_there_stays() -> None:
    bye = request(HEAD.replace(b"7>\r\ni", b"7>;tag=mine\r\ni"))
    assert bye.response(200, to_tag="other").to.tag == "mine"


def test_folded_lines_are_one() -> None:
    invite = request(HEAD + b"Subject: one\r\n two\r\n\tthree\r\n")
    assert invite.headers.get("s") == "one two three"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD, 400),
        (HEAD + b"no colon\r\n\r\n", 400),
        (HEAD + b"b\xc3\xa4d: name\r\n\r\n", 400),
        (HEAD + b"X: a\nVia: b\r\n\r\n", 400),
        (HEAD + b"X: a\rVia: b\r\n\r\n", 400),
        (HEAD + b"l: 1\r\n\r\n", 400),
        (HEAD + b"l: x\r\n\r\n", 400),
        (HEAD + b"l: " + b"9" * 5000 + b"\r\n\r\n", 400),
        (HEAD + b"l: 0\r\nl: 0\r\n\r\n", 400),
        (HEAD + b"X: y\r\n" * 600 + b"\r\n", 400),
        (HEAD.replace(b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", 1) + b"\r\n", 505),
        (HEAD.replace(b"SIP/2.0\r\nVia", b"HTTP/1.1\r\nVia", 1) + b"\r\n", 400),
        (HEAD.replace(b"sip:3000@192.0.2.7 SIP", b"sip:a\x00@b SIP") + b"\r\n", 400),
        (HEAD.replace(b"7 INVITE", b"7 BYE") + b"\r\n", 400),
        (HEAD.replace(b"7 INVITE", b"2147483648 INVITE") + b"\r\n", 400),
        (HEAD.replace(b"i: 1", b"i:") + b"\r\n", 400),
        (HEAD + b"Call-ID: 1\r\n\r\n", 400),
        (HEAD + b"Max-Forwards: 256\r\n\r\n", 400),
        (HEAD + b"Max-Forwards: -1\r\n\r\n", 400),
        (HEAD + b"Contact: *\r\n\r\n", 400),
        (HEAD + b"Contact: <sip:a@b\r\n\r\n", 400),
        (HEAD + b"Route: nowhere\r\n\r\n", 400),
        (HEAD + b"Content-Type: text/plain;;\r\n\r\n", 400),
    ],
)
def test_what_is_wrong_can_still_be_answered(data: bytes, status: int) -> None:
    error = refusal(data)
    assert error.status == status
    assert error.request is not None
    assert error.reason and "\r" not in error.reason
    assert names(error.request.response(error.status, error.reason, to_tag="x"))[:2] == ["Via", "Via"]


@pytest.mark.parametrize("name", ["Via", "From", "To", "Call-ID", "CSeq"])
def test_a_request_without_what_every_request_has_is_refused(name: str) -> None:
    invite = request()
    invite.headers.remove(name)
    assert refusal(invite.to_bytes()).reason == f"Missing {name} header field"


@pytest.mark.parametrize(
    "data", [b"", b"\x80\x08\x00\x01", b"GET / HTTP/1.1\r\n\r\n", b"SIP/2.0 99 x\r\n\r\n", b"SIP/2.0 700 x\r\n\r\n"]
)
def test_what_is_no_sip_at_all_raises_the_same_error(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        parse(data)


def test_register_may_have_a_star_and_the_old_rfc_no_max_forwards() -> None:
    validate(request(HEAD.replace(b"INVITE", b"REGISTER") + b"Contact: *\r\n"))
    assert request(HEAD.replace(b"INVITE", b"REGISTER") + b"Contact: *\r\n").contacts == "*"


def test_a_start_line_cannot_carry_header_fields() -> None:
    for message in (Request("INVITE", "sip:a\r\nVia: b"), Response(200, "OK\nVia: b")):
        with pytest.raises(LocalProtocolError):
            message.to_bytes()


def test_a_stray_line_end_does_not_come_back() -> None:
    error = refusal(HEAD.replace(b"z9hG4bK2", b"z9hG4bK2\nX: y") + b"\r\n")
    assert error.request is not None
    assert b"X: y" not in error.request.response(400).to_bytes()
