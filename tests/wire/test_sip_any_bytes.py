"""Any bytes at all parse, or raise RemoteProtocolError, and never anything else."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.torture_table import TABLE
from xconf.sip.digest import Challenger, parse_fields, respond
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.headers import CSeq, Via
from xconf.sip.message import Message, Request, is_keepalive, parse
from xconf.sip.offer_answer import PCMA, PCMU, Codec, agree, answer, offer
from xconf.sip.sdp import Origin, SessionDescription
from xconf.sip.stream import KeepAlive, StreamParser
from xconf.sip.uri import URI, Address
from xconf.sip.validate import validate

INVITE = (
    b"INVITE sip:3000@127.0.0.1 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP [2001:db8::9]:5080;branch=z9hG4bK8d7d1f;rport, SIP/2.0/TCP a.example;branch=z9hG4bK1\r\n"
    b'From: "A \\"B\\" C" <sip:u1:pw@127.0.0.7:5080;transport=udp?a=b>;tag=3f2c\r\n'
    b"To: <sips:%33000@example.com>\r\n"
    b"Contact: <sip:u1@127.0.0.7>;expires=3600, <tel:+1-201-555-0123;phone-context=x>\r\n"
    b"Record-Route: <sip:p1.example;lr>,<sip:p2.example;lr>\r\n"
    b"Call-ID: 8d1d1c7a\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\n"
    b'Authorization: Digest username="u", realm="r", nonce="n", uri="sip:3000@127.0.0.1", response="00", qop=auth,'
    b' nc=00000001, cnonce="c"\r\n'
    b"Content-Type: application/sdp\r\nContent-Length: 0\r\n\r\n"
)
SDP = (
    b"v=0\r\no=- 1 2 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=sendrecv\r\n"
    b"m=audio 4000 RTP/AVP 0 8 96 101\r\na=rtpmap:96 L16/16000\r\na=rtpmap:101 telephone-event/8000\r\n"
    b"a=fmtp:101 0-16\r\na=ptime:20\r\na=rtcp:4001 IN IP4 192.0.2.1\r\nm=video 4002 RTP/AVP 99\r\nc=IN IP6 ::1\r\n"
)
SEEDS = [INVITE, INVITE + SDP, *(case.data for case in TABLE)]
PIECES = [b"\r\n", b"\r\n\r\n", b" ", b"\t", b"\0", b'"', b"\\", b"<", b">", b";", b",", b":", b"@", b"%", b"[", b"]"]
PIECES += [
    b"=",
    b"\xff",
    b"\xc3",
    "é\u0661\u00a0\u2028".encode(),
    b"9" * 5000,
    b"SIP/2.0",
    b"Content-Length: -1\r\n",
    b"l: 5\r\n",
]


@st.composite
def mutated(draw: st.DrawFn, seeds: list[bytes]) -> bytes:
    """A valid message with a few bytes changed, deleted, doubled, or special pieces put in."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(("flip", "delete", "insert", "double"))):
            case "flip":
                data[place : place + 1] = draw(st.binary(min_size=1, max_size=1))
            case "delete":
                del data[place : place + draw(st.integers(1, 40))]
            case "insert":
                data[place:place] = draw(st.sampled_from(PIECES))
            case "double":
                data[place:place] = data[place : place + draw(st.integers(1, 60))]
    return bytes(data)


def anything(seeds: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.binary(max_size=300) | mutated(seeds)


ACCESSORS = ("vias", "via", "from_", "to", "call_id", "cseq", "contacts", "contact", "routes", "record_routes")


def use(message: Message) -> None:
    """Everything that can be asked of a message; what is malformed in it may say so."""
    for name in (*ACCESSORS, "content_type", "max_forwards"):
        with suppress(RemoteProtocolError):
            str(getattr(message, name))
    with suppress(RemoteProtocolError):
        validate(message)  # type: ignore[arg-type]
    with suppress(RemoteProtocolError):
        _ = message.via.rport
    if isinstance(message, Request):
        with suppress(RemoteProtocolError):
            hash(message.uri)
        for status in (100, 200, 400):
            answered = message.response(status, to_tag="t", content_type="text/plain").to_bytes()
            assert answered.count(b"\r\n") == answered.count(b"\n") == answered.count(b"\r")
        Challenger("r", b"s").verify(message, lambda user: "password", 1.0)


@settings(max_examples=400, deadline=None)
@given(anything(SEEDS))
def test_any_datagram(data: bytes) -> None:
    is_keepalive(data)
    try:
        message = parse(data)
    except RemoteProtocolError as error:
        assert 400 <= error.status < 700
        if error.request is not None:
            use(error.request)
        return
    use(message)
    message.to_bytes()


@settings(max_examples=200, deadline=None)
@given(anything(SEEDS))
def test_a_datagram_that_parses_is_written_so_that_it_parses_to_the_same(data: bytes) -> None:
    try:
        message = parse(data)
    except RemoteProtocolError:
        return
    again = parse(message.to_bytes())
    assert again.start_line().upper() == message.start_line().upper()
    assert [item for item in again.headers.items() if item[0].lower() != "content-length"] == [
        item for item in message.headers.items() if item[0].lower() != "content-length"
    ]
    assert again.body == message.body


@settings(max_examples=300, deadline=None)
@given(st.lists(anything(SEEDS), max_size=4), st.data())
def test_any_stream_in_any_chunks(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    chunked, whole = StreamParser(), StreamParser()
    items = [
        item
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for item in chunked.feed(stream[start:end])
    ]
    expected = whole.feed(stream)
    assert [describe(item) for item in items] == [describe(item) for item in expected]
    assert chunked.broken == whole.broken
    for item in items:
        if isinstance(item, Message):
            use(item)


def describe(item: object) -> object:
    return item.to_bytes() if isinstance(item, Message) else str(item)


@settings(max_examples=400, deadline=None)
@given(anything([SDP]))
def test_any_session_description(data: bytes) -> None:
    ours = [PCMU, PCMA, Codec("L16", 16000)]
    origin = Origin("-", 1, 1, "192.0.2.7")
    try:
        description = SessionDescription.parse(data)
    except RemoteProtocolError:
        return
    assert SessionDescription.parse(description.to_bytes()).to_bytes() == description.to_bytes()
    with suppress(RemoteProtocolError):
        answered, agreed = answer(description, codecs=ours, address="192.0.2.7", port=4, origin=origin)
        assert len(answered.media) == len(description.media)
        assert SessionDescription.parse(answered.to_bytes()) == answered
        assert 0 < agreed.remote_address[1] <= 65535
    with suppress(RemoteProtocolError):
        agree(offer(ours, "192.0.2.7", 4, origin=origin), description)


TEXTS = st.text(max_size=80) | st.text(alphabet='<>"\\;,=:@%[]?& \tsip.a1', max_size=60)


@pytest.mark.parametrize("read", [URI.parse, Address.parse, Via.parse, CSeq.parse, parse_fields])
@settings(max_examples=200, deadline=None)
@given(TEXTS)
def test_any_text_as_a_value(read: Callable[[str], object], text: str) -> None:
    with suppress(RemoteProtocolError):
        written = str(read(text))
        if read is not parse_fields:
            assert str(read(written)) == written


@settings(max_examples=200, deadline=None)
@given(TEXTS | st.builds("Digest {}".format, TEXTS))
def test_any_challenge(text: str) -> None:
    with suppress(RemoteProtocolError):
        respond(text, "INVITE", "sip:a@b", "user", "password")


NAMES = st.from_regex(r"[A-Za-z0-9.!%*_+`'~-]{1,12}", fullmatch=True)
PARAMS = st.dictionaries(
    NAMES.map(str.lower), st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r\n"))
)
HOSTS = st.sampled_from(["example.com", "192.0.2.1", "2001:db8::1", "a-b.c_d"])
URIS = st.builds(
    URI,
    scheme=st.sampled_from(["sip", "sips"]),
    user=st.none() | st.text(min_size=1, max_size=20),
    host=HOSTS,
    port=st.none() | st.integers(0, 65535),
    params=st.dictionaries(st.text("abcé ;=", min_size=1), st.none() | st.text(max_size=5), max_size=3),
    headers=st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=2),
)


@given(URIS)
def test_a_uri_is_what_it_was_after_a_round_trip(uri: URI) -> None:
    assert URI.parse(str(uri)) == uri
    assert URI.parse(str(uri)).user == uri.user


@given(URIS, st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), min_size=1), PARAMS)
def test_an_address_is_what_it_was_after_a_round_trip(
    uri: URI, display: str | None, params: dict[str, str | None]
) -> None:
    assert Address.parse(str(Address(uri, display, params))) == Address(uri, display, params)


@given(HOSTS, st.none() | st.integers(0, 65535), PARAMS)
def test_a_via_is_what_it_was_after_a_round_trip(host: str, port: int | None, params: dict[str, str | None]) -> None:
    assert Via.parse(str(Via("UDP", host, port, params))) == Via("UDP", host, port, params)


@given(
    st.lists(st.sampled_from([INVITE, b"\r\n\r\n", INVITE.replace(b"Length: 0", b"Length: 3") + b"abc"]), max_size=6)
)
def test_a_stream_of_good_messages_comes_out_as_they_are(parts: list[bytes]) -> None:
    items = StreamParser().feed(b"".join(parts))
    assert [isinstance(item, KeepAlive) for item in items] == [part == b"\r\n\r\n" for part in parts]
    assert [item.body for item in items if isinstance(item, Message)] == [
        b"abc" if part.endswith(b"abc") else b"" for part in parts if part != b"\r\n\r\n"
    ]
