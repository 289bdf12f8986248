"""Session descriptions (RFC 8866, RFC 4566): tolerant of what telephones send, strict in what is written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import Literal, TypeAlias

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.syntax import parse_number, remembered

CONTENT_TYPE = "application/sdp"
MOST_MEDIA = 32

Direction: TypeAlias = Literal["sendrecv", "sendonly", "recvonly", "inactive"]
Attributes: TypeAlias = list[tuple[str, str | None]]

_DIRECTIONS: tuple[Direction, ...] = ("sendrecv", "sendonly", "recvonly", "inactive")
_RTPMAP = re.compile(r"([^/ \t]+)/([0-9]{1,6})(?:/([0-9]{1,2}))?[ \t]*\Z", re.ASCII)
_PORT = re.compile(r"[0-9]{1,5}\Z", re.ASCII)
_WHOLE_NUMBER = re.compile(r"([0-9]{1,5})(?:\.[0-9]*)?\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Origin:
    """The o= line: who describes, which session, and how often it was changed (section 5.2)."""

    username: str
    session_id: int
    version: int
    address: str

    @classmethod
    def parse(cls, text: str) -> Origin:
        pieces = text.split()
        if len(pieces) != 6:
            raise RemoteProtocolError("Malformed o= line")
        return cls(pieces[0], _identity(pieces[1]), _identity(pieces[2]), pieces[5])

    def __str__(self) -> str:
        return f"{self.username} {self.session_id} {self.version} {_network(self.address)}"


@dataclass(frozen=True, slots=True)
class RtpMap:
    """An a=rtpmap: encoding name as written, clock rate in Hz, channels."""

    name: str
    clock_rate: int
    channels: int = 1

    def __str__(self) -> str:
        return f"{self.name}/{self.clock_rate}" + (f"/{self.channels}" if self.channels != 1 else "")


class _Attributed:
    """What session and media level share."""

    __slots__ = ()
    attributes: Attributes

    def attribute(self, name: str) -> str | None:
        """The value of the first attribute of this name (`""` for one without a value), None when there is none."""
        return next((value or "" for key, value in self.attributes if key == name), None)

    @property
    def own_direction(self) -> Direction | None:
        """The direction said on this level; the first one counts."""
        return next((word for key, _ in self.attributes for word in _DIRECTIONS if key == word), None)


@dataclass(slots=True)
class Media(_Attributed):
    """One m= section. `formats` are payload types for RTP, as text; `connection` is its own c= address, if any."""

    kind: str
    port: int
    proto: str
    formats: list[str]
    connection: str | None = None
    attributes: Attributes = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> Media:
        pieces = text.split()
        if len(pieces) < 4:
            raise RemoteProtocolError("Malformed m= line")
        port = pieces[1].partition("/")[0]
        return cls(pieces[0].lower(), parse_number(port, 65535, "Media port"), pieces[2], pieces[3:])

    @property
    def payload_types(self) -> list[int]:
        """The formats that are RTP payload types, in the order of preference."""
        return payload_types(self.formats)

    @property
    def rtpmap(self) -> Mapping[int, RtpMap]:
        """Payload type -> what it is. Malformed maps are left out; the first of a payload type counts."""
        return rtpmaps(self.attribute_lines("rtpmap"))

    @property
    def fmtp(self) -> Mapping[int, str]:
        """Payload type -> the codec's parameters, as written."""
        return fmtps(self.attribute_lines("fmtp"))

    def attribute_lines(self, name: str) -> str:
        """The values of all attributes of this name, one on a line."""
        return "\n".join([value or "" for key, value in self.attributes if key == name])

    @property
    def ptime(self) -> int | None:
        """Milliseconds of sound per packet that its author wants to get."""
        return _milliseconds(self.attribute("ptime"))

    @property
    def maxptime(self) -> int | None:
        """The most milliseconds of sound per packet that its author can take."""
        return _milliseconds(self.attribute("maxptime"))

    @property
    def rtcp(self) -> tuple[int, str | None] | None:
        """Port and, when it is another one, address for RTCP (RFC 3605); None when not said or malformed."""
        pieces = (self.attribute("rtcp") or "").split()
        found = _PORT.match(pieces[0]) if pieces else None
        if found is None or not 0 < int(found[0]) <= 65535:
            return None
        return int(found[0]), pieces[3] if len(pieces) == 4 else None

    def lines(self) -> list[str]:
        text = [f"m={self.kind} {self.port} {self.proto} {' '.join(self.formats)}"]
        if self.connection is not None:
            text.append(f"c={_network(self.connection)}")
        return text + _attribute_lines(self.attributes)


def payload_types(formats: Iterable[str]) -> list[int]:
    """Those formats of an m= section that are RTP payload types, in order."""
    return [int(text) for text in formats if _is_payload_type(text)]


@remembered
def rtpmaps(lines: str) -> Mapping[int, RtpMap]:
    """What the values of rtpmap, one on a line, say; see `Media.rtpmap`."""
    maps: dict[int, RtpMap] = {}
    for payload_type, text in _by_payload_type(lines):
        found = _RTPMAP.match(text)
        if found and int(found[2]) and payload_type not in maps:
            maps[payload_type] = RtpMap(found[1], int(found[2]), int(found[3] or 1))
    return maps


def fmtps(lines: str) -> Mapping[int, str]:
    """What the values of fmtp, one on a line, say; see `Media.fmtp`."""
    return dict(_by_payload_type(lines))


def _by_payload_type(lines: str) -> list[tuple[int, str]]:
    pairs = [line.split(None, 1) for line in lines.split("\n")]
    return [(int(pair[0]), pair[1].strip()) for pair in pairs if len(pair) == 2 and _is_payload_type(pair[0])]


@dataclass(slots=True)
class SessionDescription(_Attributed):
    """A whole description. `address` is the session's c= address; lines that xconf has no use for are not kept."""

    origin: Origin
    address: str | None = None
    media: list[Media] = field(default_factory=list)
    attributes: Attributes = field(default_factory=list)
    name: str = "-"
    times: list[str] = field(default_factory=lambda: ["0 0"])

    @classmethod
    def parse(cls, data: bytes) -> SessionDescription:
        """RemoteProtocolError(400) when it is not SDP; unknown lines and attributes pass, bare LF or CR end lines too."""
        text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
        lines = [line for line in text.split("\n") if line.strip(" \t\0")]
        if not lines or lines[0].strip(" \t") != "v=0":
            raise RemoteProtocolError("SDP does not begin with v=0")
        return _Reader().read(lines[1:])

    def connection_of(self, media: Media) -> str | None:
        """The address where this media is wanted: its own c= line, or the session's."""
        return media.connection if media.connection is not None else self.address

    def direction_of(self, media: Media) -> Direction:
        """The direction of this media as its author says it: its own, the session's, or sendrecv (RFC 3264 5.1)."""
        return media.own_direction or self.own_direction or "sendrecv"

    def to_bytes(self) -> bytes:
        lines = ["v=0", f"o={self.origin}", f"s={self.name or '-'}"]
        if self.address is not None:
            lines.append(f"c={_network(self.address)}")
        lines += [f"t={time}" for time in self.times]
        lines += _attribute_lines(self.attributes)
        for media in self.media:
            lines += media.lines()
        return "\r\n".join((*lines, "")).encode("utf-8", "surrogateescape")


class _Reader:
    """Collects the lines of a description; what is not known is passed over."""

    def __init__(self) -> None:
        self._origin: Origin | None = None
        self._times: list[str] = []
        self._name = "-"
        self._address: str | None = None
        self._attributes: Attributes = []
        self._media: list[Media] = []

    def read(self, lines: Sequence[str]) -> SessionDescription:
        attributes = self._attributes
        for line in lines:
            kind, equals, value = line.partition("=")
            kind, value = kind.strip(" \t"), value.strip(" \t")
            if not equals:
                continue
            if kind == "a":
                name, colon, rest = value.partition(":")
                attributes.append((name, rest.strip(" \t") if colon else None))
            else:
                self._take(kind, value)
                attributes = self._media[-1].attributes if self._media else self._attributes
        if self._origin is None:
            raise RemoteProtocolError("SDP without an o= line")
        times = self._times or ["0 0"]
        return SessionDescription(self._origin, self._address, self._media, self._attributes, self._name, times)

    def _take(self, kind: str, value: str) -> None:
        match kind:
            case "m":
                self._add_media(value)
            case "c":
                self._connect(_address(value))
            case "o" if self._origin is None:
                self._origin = Origin.parse(value)
            case "s":
                self._name = value
            case "t":
                self._times.append(value)

    def _add_media(self, value: str) -> None:
        if len(self._media) == MOST_MEDIA:
            raise RemoteProtocolError("Too many m= lines")
        self._media.append(Media.parse(value))

    def _connect(self, address: str) -> None:
        if not self._media:
            self._address = address
        elif self._media[-1].connection is None:
            self._media[-1].connection = address


def revised(previous: SessionDescription, new: SessionDescription) -> SessionDescription:
    """`new` as the next description of the same session: same o= line, version one higher if anything else differs."""
    same = replace(new, origin=previous.origin)
    if same.to_bytes() == previous.to_bytes():
        return same
    return replace(new, origin=replace(previous.origin, version=previous.origin.version + 1))


def _address(text: str) -> str:
    pieces = text.split()
    if len(pieces) != 3 or pieces[0].upper() != "IN":
        raise RemoteProtocolError("Malformed c= line")
    return _canonical(pieces[2].partition("/")[0])


def _canonical(address: str) -> str:
    """An IPv6 address as it is usually written (RFC 5952), so that one address is one text."""
    if ":" not in address:
        return address
    try:
        return str(IPv6Address(address))
    except ValueError:
        return address


def _network(address: str) -> str:
    return f"IN {'IP6' if ':' in address else 'IP4'} {address}"


def _identity(text: str) -> int:
    # Some telephones write numbers beyond 64 bits, or words. It only matters that equal ones stay equal.
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return int(text)
    return int.from_bytes(text.encode("utf-8", "surrogateescape")[-7:], "big")


def _is_payload_type(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) <= 127


def _milliseconds(text: str | None) -> int | None:
    found = _WHOLE_NUMBER.match(text) if text else None
    return int(found[1]) or None if found else None


def _attribute_lines(attributes: Attributes) -> list[str]:
    return [f"a={name}" if value is None else f"a={name}:{value}" for name, value in attributes]
