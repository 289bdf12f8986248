"""Requests and responses (RFC 3261 section 7): parsed lazily, written with the right Content-Length.

Only the frame is checked when a message is parsed. What a header field means is looked at when it is asked for, and
`xconf.sip.validate` asks for all that must be in order before a message is acted upon.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.headers import CSeq, Headers, Line, Via, identify
from xconf.sip.status import phrase
from xconf.sip.syntax import is_token, parse_number, split_commas, split_parameters
from xconf.sip.uri import URI, Address

T = TypeVar("T")
HeaderItems = Headers | Iterable[tuple[str, str]]

_COPIED_ONCE = ("from", "to", "call-id", "cseq")
_MOST_LINES = 512
_FOLD = re.compile(r"\r\n[ \t]+")
_VERSION = re.compile(r"SIP/[0-9]+\.[0-9]+\Z", re.IGNORECASE)


class Message:
    """What requests and responses share. Typed accessors parse when asked and raise RemoteProtocolError(400)."""

    __slots__ = ("body", "headers")

    def __init__(self, headers: HeaderItems = (), body: bytes = b"") -> None:
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.body = body

    @property
    def vias(self) -> list[Via]:
        return self.headers.typed_list("Via", Via.parse)

    @property
    def via(self) -> Via:
        """The topmost Via."""
        return self._needed("Via", _top_via)

    @property
    def from_(self) -> Address:
        return self._needed("From", Address.parse)

    @property
    def to(self) -> Address:
        return self._needed("To", Address.parse)

    @property
    def call_id(self) -> str:
        return self._needed("Call-ID", str)

    @property
    def cseq(self) -> CSeq:
        return self._needed("CSeq", CSeq.parse)

    @property
    def contacts(self) -> list[Address] | Literal["*"]:
        """All Contacts; `"*"` is what a REGISTER may have in their place."""
        if self.headers.values("Contact") == ["*"]:
            return "*"
        return self.headers.typed_list("Contact", Address.parse)

    @property
    def contact(self) -> Address | None:
        """The first Contact, if any."""
        contacts = self.contacts
        return contacts[0] if contacts and contacts != "*" else None

    @property
    def record_routes(self) -> list[Address]:
        return self.headers.typed_list("Record-Route", Address.parse)

    @property
    def routes(self) -> list[Address]:
        return self.headers.typed_list("Route", Address.parse)

    @property
    def content_type(self) -> str | None:
        """The media type in lower case, without its parameters."""
        return self.headers.typed("Content-Type", _media_type)

    @property
    def max_forwards(self) -> int | None:
        return self.headers.typed("Max-Forwards", lambda value: parse_number(value, 255, "Max-Forwards"))

    def _needed(self, name: str, parse: Callable[[str], T]) -> T:
        value = self.headers.typed(name, parse)
        if value is None:
            raise RemoteProtocolError(f"Missing {name} header field")
        return value

    def start_line(self) -> str:
        raise NotImplementedError

    def to_bytes(self) -> bytes:
        """The message as sent. Content-Length is always that of the body, whatever the headers said."""
        start = self.start_line()
        if "\r" in start or "\n" in start:
            raise LocalProtocolError("line end in a start line")
        lines = [f"{name}: {value}" for key, name, value in self.headers.lines() if key != "content-length"]
        head = "\r\n".join((start, *lines, f"Content-Length: {len(self.body)}", "", ""))
        return head.encode("utf-8", "surrogateescape") + self.body


def _top_via(value: str) -> Via:
    return Via.parse(split_commas(value)[0] if "," in value else value)


def _media_type(value: str) -> str:
    return split_parameters(value)[0].lower()


class Request(Message):
    """A request. `uri` may be given as text; it is parsed when asked for."""

    __slots__ = ("_uri", "method")

    def __init__(self, method: str, uri: URI | str, headers: HeaderItems = (), body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.method = method
        self._uri = uri

    @property
    def uri(self) -> URI:
        if isinstance(self._uri, str):
            self._uri = URI.parse(self._uri)
        return self._uri

    @uri.setter
    def uri(self, uri: URI | str) -> None:
        self._uri = uri

    def start_line(self) -> str:
        return f"{self.method} {self._uri} SIP/2.0"

    def response(
        self,
        status: int,
        reason: str | None = None,
        *,
        to_tag: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """A response to this request as section 8.2.6 wants it, however little of the request could be parsed.

        `to_tag` is added when the request's To has none. Responses that may found a dialog carry the Record-Route
        (section 12.1.1); a 100 carries the Timestamp and no tag.
        """
        lines = self.headers.lines("via")
        lines += self._copied_once(to_tag if status != 100 else None)
        if 100 < status < 300:
            lines += self.headers.lines("record-route")
        elif status == 100:
            lines += self.headers.lines("timestamp")
        lines += Headers(headers).lines()
        if content_type is not None:
            lines.append(("content-type", "Content-Type", content_type))
        return Response(status, reason, Headers.from_lines(lines), body)

    def _copied_once(self, to_tag: str | None) -> list[Line]:
        first: dict[str, Line] = {}
        for line in self.headers.lines(*_COPIED_ONCE):
            first.setdefault(line[0], line)
        if to_tag is not None and "to" in first and not self._has_to_tag():
            _, name, value = first["to"]
            first["to"] = "to", name, f"{value};tag={to_tag}"
        return list(first.values())

    def _has_to_tag(self) -> bool:
        try:
            return self.to.tag is not None
        except RemoteProtocolError:
            # It goes back as it came, with our tag behind it: the sender at least recognises its own words.
            return False

    def __repr__(self) -> str:
        return f"<Request {self.method} {self._uri}>"


class Response(Message):
    """A response. Without a reason it gets the usual phrase."""

    __slots__ = ("reason", "status")

    def __init__(self, status: int, reason: str | None = None, headers: HeaderItems = (), body: bytes = b"") -> None:
        super().__init__(headers, body)
        self.status = status
        self.reason = phrase(status) if reason is None else reason

    def start_line(self) -> str:
        return f"SIP/2.0 {self.status} {self.reason}"

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}>"


def is_keepalive(data: bytes) -> bool:
    """True for what clients send to keep a NAT open: empty, line ends alone (RFC 5626 section 4.4.1), or NULs."""
    return not data.strip(b"\r\n\0 ")


def parse(data: bytes) -> Request | Response:
    """One datagram as a message; bytes beyond its Content-Length are dropped, without one the body is all the rest.

    Raises RemoteProtocolError and nothing else.
    """
    if data[:1] in b"\r\n":
        data = data.lstrip(b"\r\n")
    head, ended, rest = data.partition(b"\r\n\r\n")
    message, length = parse_head(head)
    if not ended:
        raise _refusal(message, "Header does not end in an empty line")
    if length is not None and length > len(rest):
        raise _refusal(message, "Body is shorter than its Content-Length")
    message.body = rest if length is None else rest[:length]
    return message


def parse_head(head: bytes) -> tuple[Request | Response, int | None]:
    """Start line and header fields without the empty line, as a message without a body, and its Content-Length."""
    text = head.decode("utf-8", "surrogateescape")
    if "\r\n " in text or "\r\n\t" in text:
        text = _FOLD.sub(" ", text)
    start, _, rest = text.partition("\r\n")
    lines, fault = _parse_lines(rest.removesuffix("\r\n"))
    if not text.count("\r\n") == text.count("\n") == text.count("\r"):
        # Nothing of it may come back in our answer, where others could take it for a header field of ours.
        lines = [line for line in lines if "\r" not in line[2] and "\n" not in line[2]]
        fault = fault or RemoteProtocolError("Line end without CR LF")
    message, start_fault = _start(start, Headers.from_lines(lines))
    fault = start_fault or fault
    if fault is not None:
        raise _refusal(message, fault.reason, fault.status)
    try:
        return message, content_length(message)
    except RemoteProtocolError as error:
        raise _refusal(message, error.reason) from None


def _parse_lines(text: str) -> tuple[list[Line], RemoteProtocolError | None]:
    """All lines that are header fields, so that the rest can still be answered, and the first fault."""
    raw_lines = text.split("\r\n", _MOST_LINES) if text else []
    fault = RemoteProtocolError("Too many header fields") if len(raw_lines) > _MOST_LINES else None
    lines: list[Line] = []
    for raw in raw_lines[:_MOST_LINES]:
        name, colon, value = raw.partition(":")
        try:
            if not colon:
                raise RemoteProtocolError("Header field without a colon")
            key, name = identify(name)
            lines.append((key, name, value.strip(" \t")))
        except RemoteProtocolError as error:
            fault = fault or error
    return lines, fault


def _start(line: str, headers: Headers) -> tuple[Request | Response, RemoteProtocolError | None]:
    pieces = line.split(" ")
    if len(pieces) == 3 and pieces[2] == "SIP/2.0" and pieces[1] and is_token(pieces[0]):
        return Request(pieces[0], pieces[1], headers), None
    if _VERSION.match(pieces[0]):
        return _status_line(line, headers), None
    if not is_token(pieces[0]):
        raise RemoteProtocolError("Malformed start line")
    request = Request(pieces[0], pieces[1] if len(pieces) > 1 else "", headers)
    if len(pieces) != 3 or not pieces[1] or not _VERSION.match(pieces[2]):
        return request, RemoteProtocolError("Malformed request line")
    if pieces[2].upper() != "SIP/2.0":
        return request, RemoteProtocolError("Version Not Supported", 505)
    return request, None


def _status_line(line: str, headers: Headers) -> Response:
    version, _, rest = line.partition(" ")
    status, _, reason = rest.partition(" ")
    if version.upper() != "SIP/2.0" or len(status) != 3 or not 100 <= parse_number(status, 999, "Status") <= 699:
        raise RemoteProtocolError("Malformed status line")
    return Response(int(status), reason, headers)


def content_length(message: Message) -> int | None:
    """The Content-Length, None when there is none; RemoteProtocolError(400) when it is no number or there are several."""
    values = message.headers.values("Content-Length")
    if len(values) > 1:
        raise RemoteProtocolError("Several Content-Length header fields")
    return parse_number(values[0], 2**32 - 1, "Content-Length") if values else None


def _refusal(message: Request | Response, reason: str, status: int = 400) -> RemoteProtocolError:
    return RemoteProtocolError(reason, status, message if isinstance(message, Request) else None)
