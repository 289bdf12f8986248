"""Header fields: an ordered, case-insensitive list of lines, and the values Via and CSeq (RFC 3261 sections 7.3, 20)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.syntax import (
    Parameters,
    format_parameters,
    is_token,
    parse_number,
    parse_parameters,
    remembered,
    split_commas,
)
from xconf.sip.uri import format_host_port, split_host_port

T = TypeVar("T")
MOST_ELEMENTS = 128


def _words(text: str) -> list[str]:
    return text.split()


COMPACT = {
    "a": "Accept-Contact",
    "b": "Referred-By",
    "c": "Content-Type",
    "d": "Request-Disposition",
    "e": "Content-Encoding",
    "f": "From",
    "i": "Call-ID",
    "j": "Reject-Contact",
    "k": "Supported",
    "l": "Content-Length",
    "m": "Contact",
    "n": "Identity-Info",
    "o": "Event",
    "r": "Refer-To",
    "s": "Subject",
    "t": "To",
    "u": "Allow-Events",
    "v": "Via",
    "x": "Session-Expires",
    "y": "Identity",
}

LISTS = frozenset(
    _words(
        """accept accept-contact accept-encoding accept-language alert-info allow allow-events call-info contact
        content-encoding content-language diversion error-info geolocation history-info in-reply-to p-asserted-identity
        p-preferred-identity path proxy-require reason record-route reject-contact require route security-client
        security-server security-verify service-route supported unsupported via warning"""
    )
)
"""Header fields whose value is a comma-separated list, so that several lines mean the same as one (section 7.3.1)."""

_USUAL = _words(
    """Accept Allow Allow-Events Alert-Info Authorization Call-ID Call-Info CSeq Contact Content-Disposition
    Content-Length Content-Type Date Event Expires From Max-Forwards Min-SE Min-Expires MIME-Version Organization
    P-Asserted-Identity P-Early-Media Path Privacy Proxy-Authorization Proxy-Require RAck RSeq Reason Record-Route
    Refer-To Referred-By Remote-Party-ID Replaces Require Route Server Session-Expires Subject Subscription-State
    Supported Timestamp To Unsupported User-Agent Via WWW-Authenticate Warning"""
)

# Spelling as it usually comes -> (key, name): spares the common lines the check and the folding of their names.
_KNOWN = {spelled: (name.lower(), name) for name in _USUAL for spelled in (name, name.lower())}
_KNOWN.update({spelled: (name.lower(), name) for c, name in COMPACT.items() for spelled in (c, c.upper())})

Line = tuple[str, str, str]
"""(key: the long name in lower case, name as written, value)."""


_KEYS = {spelled: key for spelled, (key, _) in _KNOWN.items()}


def identify(name: str) -> tuple[str, str]:
    """The key and the name to write of a header field name; RemoteProtocolError(400) when it is not a token."""
    return _KNOWN.get(name) or _identify_unusual(name)


def _identify_unusual(name: str) -> tuple[str, str]:
    name = name.strip(" \t")
    if not is_token(name):
        raise RemoteProtocolError("Malformed header field name")
    return _KNOWN.get(name) or (name.lower(), name)


class Headers:
    """The header fields of a message, in order. Names are case-insensitive, compact forms are known by their long name.

    Values are strings until asked for: typed values are parsed once and remembered until their field changes.
    """

    __slots__ = ("_index", "_lines", "_typed", "_typed_lists")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._lines: list[Line] = [_line(name, value) for name, value in items]
        self._index: dict[str, list[str]] | None = None
        self._typed: dict[str, Any] = {}
        self._typed_lists: dict[str, list[Any]] = {}

    @classmethod
    def from_lines(cls, lines: list[Line]) -> Headers:
        """Takes the list over, unchecked: for the parser and for copies."""
        headers = cls()
        headers._lines = lines
        return headers

    def lines(self, *keys: str) -> list[Line]:
        """The lines of the fields with these lower-case long names, in order (all lines when none is named)."""
        return [line for line in self._lines if line[0] in keys] if keys else list(self._lines)

    def values(self, name: str) -> list[str]:
        """The value of each line of this field, as written (a comma-separated list is not split)."""
        return self._by_key().get(_KEYS.get(name) or identify(name)[0], [])

    def _by_key(self) -> dict[str, list[str]]:
        index = self._index
        if index is None:
            index = self._index = {}
            for key, _, value in self._lines:
                if key in index:
                    index[key].append(value)
                else:
                    index[key] = [value]
        return index

    def repeated(self) -> list[str]:
        """The keys of the fields that have several lines."""
        return [key for key, values in self._by_key().items() if len(values) > 1]

    def get(self, name: str) -> str | None:
        """The value of the first line of this field, as written."""
        values = self.values(name)
        return values[0] if values else None

    def get_all(self, name: str) -> list[str]:
        """All values of this field; those of a list field are split at their commas."""
        key = _KEYS.get(name) or identify(name)[0]
        values = self._by_key().get(key, [])
        return [element for value in values for element in split_commas(value)] if key in LISTS else list(values)

    def typed(self, name: str, parse: Callable[[str], T]) -> T | None:
        """The first line's value through `parse`, remembered until the field changes."""
        key = _KEYS.get(name) or identify(name)[0]
        if key not in self._typed:
            values = self._by_key().get(key)
            self._typed[key] = parse(values[0]) if values else None
        found: T | None = self._typed[key]
        return found

    def typed_list(self, name: str, parse: Callable[[str], T]) -> list[T]:
        """All elements of the field through `parse`, remembered until the field changes: not to be changed in place."""
        key = _KEYS.get(name) or identify(name)[0]
        if key not in self._typed_lists:
            values = self.get_all(key)
            if len(values) > MOST_ELEMENTS:
                raise RemoteProtocolError(f"Too many values in {name}")
            self._typed_lists[key] = [parse(value) for value in values]
        return self._typed_lists[key]

    def add(self, name: str, value: str) -> None:
        """One more line at the end."""
        new = _line(name, value)
        self._change([*self._lines, new], new[0])

    def prepend(self, name: str, value: str) -> None:
        """One more line before all others."""
        new = _line(name, value)
        self._change([new, *self._lines], new[0])

    def set(self, name: str, value: str) -> None:
        """This value alone, in the place of the field's first line (at the end when there was none)."""
        new = _line(name, value)
        keys = [line[0] for line in self._lines]
        place = keys.index(new[0]) if new[0] in keys else len(keys)
        others = [line for line in self._lines[place:] if line[0] != new[0]]
        self._change([*self._lines[:place], new, *others], new[0])

    def set_first(self, name: str, value: object) -> None:
        """Another first element of a list field, such as the top Via; the other elements stay.

        value: what `typed` is to give from now on; its text is what is written.
        """
        new = _line(name, str(value))
        key, rest = new[0], self.get_all(name)[1:]
        place = next((place for place, line in enumerate(self._lines) if line[0] == key), len(self._lines))
        others = [line for line in self._lines[place:] if line[0] != key]
        self._change([*self._lines[:place], new, *(_line(name, element) for element in rest), *others], key)
        self._typed[key] = value

    def set_all(self, name: str, values: Sequence[str]) -> None:
        """These values, a line each, in the place of the field's first line (at the end when there was none)."""
        new = [_line(name, value) for value in values]
        key = identify(name)[0]
        place = next((place for place, line in enumerate(self._lines) if line[0] == key), len(self._lines))
        others = [line for line in self._lines[place:] if line[0] != key]
        self._change([*self._lines[:place], *new, *others], key)

    def remove(self, name: str) -> None:
        """No line of this field any more; nothing when there was none."""
        key = identify(name)[0]
        self._change([line for line in self._lines if line[0] != key], key)

    def _change(self, lines: list[Line], key: str) -> None:
        """Other lines, of which those of one field have changed."""
        self._lines = lines
        if self._index is not None:
            self._index[key] = [value for each, _, value in lines if each == key]
        self._typed.pop(key, None)
        self._typed_lists.pop(key, None)

    def items(self) -> list[tuple[str, str]]:
        return [(name, value) for _, name, value in self._lines]

    def copy(self) -> Headers:
        return Headers.from_lines(list(self._lines))

    def __contains__(self, name: str) -> bool:
        return bool(self.values(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items())

    def __len__(self) -> int:
        return len(self._lines)

    def __repr__(self) -> str:
        return f"Headers({[name for _, name, _ in self._lines]})"


def _line(name: str, value: str) -> Line:
    # A line end in a value would let whoever chose the value write header fields of its own.
    if "\r" in value or "\n" in value:
        raise LocalProtocolError(f"line end in the value of {name}")
    try:
        return (*identify(name), value)
    except RemoteProtocolError:
        raise LocalProtocolError(f"{name!r} is not a header field name") from None


@dataclass(frozen=True, slots=True)
class Via:
    """One hop of the way back (section 20.42)."""

    transport: str
    host: str
    port: int | None = None
    params: Parameters = field(default_factory=dict)
    protocol: str = "SIP/2.0"

    @classmethod
    def parse(cls, text: str) -> Via:
        """RemoteProtocolError(400) when it is malformed."""
        sent, semicolon, params = text.partition(";")
        protocol, transport, host, port = _sent(sent)
        return cls(transport, host, port, parse_parameters(semicolon + params), protocol)

    @property
    def branch(self) -> str | None:
        return self.params.get("branch")

    @property
    def received(self) -> str | None:
        return self.params.get("received")

    @property
    def rport(self) -> int | None:
        """The port that a server saw (RFC 3581); None when absent or without a value, see `wants_rport`."""
        value = self.params.get("rport")
        return parse_number(value, 65535, "rport") if value else None

    @property
    def wants_rport(self) -> bool:
        """The client asks for the answer at the port that it sent from (RFC 3581 section 4)."""
        return "rport" in self.params

    def with_params(self, **params: str | None) -> Via:
        """A copy with these parameters added or changed."""
        return Via(self.transport, self.host, self.port, {**self.params, **params}, self.protocol)

    def __str__(self) -> str:
        sent_by = format_host_port(self.host, self.port)
        return f"{self.protocol}/{self.transport} {sent_by}{format_parameters(self.params)}"


@remembered
def _sent(text: str) -> tuple[str, str, str, int | None]:
    """Protocol, transport, host and port of a Via."""
    pieces = text.split("/", 2)
    way = pieces[-1].split(None, 1)
    if len(pieces) != 3 or len(way) != 2:
        raise RemoteProtocolError("Malformed Via")
    name, version = pieces[0].strip(" \t"), pieces[1].strip(" \t")
    if not (is_token(name) and is_token(version) and is_token(way[0])):
        raise RemoteProtocolError("Malformed Via")
    host, port = split_host_port(way[1].strip(" \t"))
    return f"{name.upper()}/{version}", way[0].upper(), host, port


@dataclass(frozen=True, slots=True)
class CSeq:
    """The order of requests within a dialog (section 20.16)."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        """RemoteProtocolError(400) when malformed or the number is not below 2**31 (section 8.1.1.5)."""
        return _cseq(text)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@remembered
def _cseq(text: str) -> CSeq:
    pieces = text.split()
    if len(pieces) != 2 or not is_token(pieces[1]):
        raise RemoteProtocolError("Malformed CSeq")
    return CSeq(parse_number(pieces[0], 2**31 - 1, "CSeq number"), pieces[1])
