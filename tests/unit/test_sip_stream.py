"""Messages out of a byte stream (RFC 3261 section 18.3) and keep-alives between them (RFC 5626)."""

from __future__ import annotations

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Request
from xconf.sip.stream import MAX_BODY, MAX_HEAD, Item, KeepAlive, StreamParser

HEAD = b"INFO sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z\r\nCall-ID: 1\r\n"


def message(body: bytes = b"", head: bytes = HEAD) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def bodies(items: list[Item]) -> list[bytes]:
    return [item.body for item in items if isinstance(item, Request)]


def only_error(items: list[Item]) -> RemoteProtocolError:
    (error,) = items
    assert isinstance(error, RemoteProtocolError)
    return error


def test_byte_by_byte() -> None:
    parser = StreamParser()
    stream = message(b"one") + b"\r\n\r\n" + message() + message(b"three")
    items = [item for place in range(len(stream)) for item in parser.feed(stream[place : place + 1])]
    assert bodies(items) == [b"one", b"", b"three"]
    assert isinstance(items[1], KeepAlive)
    assert parser.buffered == 0


def test_several_at_once_and_the_beginning_of_one_more() -> None:
    parser = StreamParser()
    assert bodies(parser.feed(message(b"a") + message(b"b") + message(b"cde")[:-1])) == [b"a", b"b"]
    assert bodies(parser.feed(b"e")) == [b"cde"]


def test_a_single_line_end_is_passed_over() -> None:
    assert bodies(StreamParser().feed(b"\r\n" + message(b"a"))) == [b"a"]


def test_a_bad_message_with_a_known_end_does_not_harm_the_next() -> None:
    parser = StreamParser()
    bad, good = parser.feed(message(b"x", HEAD.replace(b"SIP/2.0\r\nVia", b"SIP/9.0\r\nVia")) + message(b"a"))
    assert isinstance(bad, RemoteProtocolError) and bad.status == 505 and bad.request is not None
    assert isinstance(good, Request) and not parser.broken


def test_without_a_length_there_is_no_way_on() -> None:
    parser = StreamParser()
    error = only_error(parser.feed(HEAD + b"\r\n" + message()))
    assert error.status == 400 and error.request is not None
    assert parser.broken and parser.feed(message()) == []


def test_a_doubtful_length_leaves_no_way_on() -> None:
    for length in (b"l: -1\r\n", b"l: 1\r\nl: 2\r\n"):
        parser = StreamParser()
        assert only_error(parser.feed(HEAD + length + b"\r\n" + message())).status == 400
        assert parser.broken


def test_garbage_is_one_error() -> None:
    parser = StreamParser()
    assert only_error(parser.feed(b"\x16\x03\x01 not sip\r\n\r\nmore\r\n\r\n")).request is None
    assert parser.broken


def test_what_is_kept_is_bounded() -> None:
    parser = StreamParser()
    assert parser.feed(b"X" * MAX_HEAD) == []
    assert only_error(parser.feed(b"X")).status == 513
    assert parser.broken and parser.buffered == 0


def test_a_body_that_is_too_large_is_refused_before_it_comes() -> None:
    parser = StreamParser()
    error = only_error(parser.feed(HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY + 1)))
    assert error.status == 513 and error.request is not None
    assert bodies(StreamParser().feed(message(b"x" * MAX_BODY))) == [b"x" * MAX_BODY]
