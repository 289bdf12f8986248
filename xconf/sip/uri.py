"""URIs and the name-addr form around them (RFC 3261 sections 19.1 and 20.10)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote, unquote

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.syntax import Parameters, format_parameters, parse_parameters, quote_string, read_quoted, remembered

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*\Z")
_FORBIDDEN = re.compile(r'[\x00-\x20\x7f<>"]')
_HOST = re.compile(r"[A-Za-z0-9_.-]+\Z|\[[0-9A-Fa-f:.]+\]\Z")
_WHITESPACE_RUN = re.compile(r"[ \t]+")
_USER_SAFE = "-_.!~*'()&=+$,;?/"
_PASSWORD_SAFE = "-_.!~*'()&=+$,"
_PARAMETER_SAFE = "-_.!~*'()[]/:&+$"
_HEADER_SAFE = "-_.!~*'()[]/?:+$"
_COMPARED_IN_BOTH = ("user", "ttl", "method", "maddr", "transport")


def _decoded(text: str) -> str:
    return unquote(text, "utf-8", "surrogateescape") if "%" in text else text


def _encoded(text: str, safe: str) -> str:
    return text if text.isascii() and text.isalnum() else quote(text, safe, "utf-8", "surrogateescape")


def split_host_port(text: str) -> tuple[str, int | None]:
    """`host[:port]` taken apart; an IPv6 reference loses its brackets. RemoteProtocolError(400) when it is neither."""
    end = text.find("]") + 1 if text.startswith("[") else 0
    colon = text.find(":", end)
    host, port = (text, None) if colon < 0 else (text[:colon].rstrip(" \t"), text[colon + 1 :].strip(" \t"))
    if not _HOST.match(host):
        raise RemoteProtocolError("Malformed host")
    if port is not None and not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise RemoteProtocolError("Malformed port")
    return host.strip("[]"), None if port is None else int(port)


def format_host_port(host: str, port: int | None) -> str:
    """The reverse of `split_host_port`."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


@dataclass(frozen=True, slots=True, eq=False)
class URI:
    """A SIP or SIPS URI, taken apart; of any other scheme, `opaque` holds what follows the colon.

    `user`, `password`, parameters and headers are unescaped here and escaped again by `str()`; a parsed URI is
    written exactly as it came. A tel: URI has its number as `user`. Values are not changed in place: see `replaced`.
    """

    scheme: str
    user: str | None = None
    password: str | None = None
    host: str = ""
    port: int | None = None
    params: Parameters = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    opaque: str | None = None
    _text: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> URI:
        """RemoteProtocolError(400) when the text is no URI at all; unknown schemes are fine (section 8.2.2.1)."""
        return _uri(text)

    @property
    def is_sip(self) -> bool:
        """True for sip: and sips:, the schemes that we can be called by (anything else is a 416)."""
        return self.scheme in ("sip", "sips")

    @property
    def transport(self) -> str | None:
        """The transport parameter in lower case."""
        value = self.params.get("transport")
        return value.lower() if value else None

    def replaced(self, **changes: object) -> URI:
        """A copy with other parts, written anew."""
        return replace(self, _text=None, **changes)  # type: ignore[arg-type]

    def __str__(self) -> str:
        return self._text if self._text is not None else self._written()

    def _written(self) -> str:
        if self.scheme == "tel" and self.user is not None:
            return f"tel:{self.user}{self._written_params()}"
        if self.opaque is not None:
            return f"{self.scheme}:{self.opaque}"
        userinfo = ""
        if self.user is not None:
            password = "" if self.password is None else f":{_encoded(self.password, _PASSWORD_SAFE)}"
            userinfo = f"{_encoded(self.user, _USER_SAFE)}{password}@"
        pairs = (
            f"{_encoded(name, _HEADER_SAFE)}={_encoded(value, _HEADER_SAFE)}" for name, value in self.headers.items()
        )
        headers = f"?{'&'.join(pairs)}" if self.headers else ""
        return f"{self.scheme}:{userinfo}{format_host_port(self.host, self.port)}{self._written_params()}{headers}"

    def _written_params(self) -> str:
        pieces = []
        for name, value in self.params.items():
            written = _encoded(name, _PARAMETER_SAFE)
            pieces.append(f";{written}" if value is None else f";{written}={_encoded(value, _PARAMETER_SAFE)}")
        return "".join(pieces)

    def __eq__(self, other: object) -> bool:
        """Equivalence by the rules of section 19.1.4, which is not the equality of the texts."""
        if not isinstance(other, URI):
            return NotImplemented
        if self.opaque is not None or other.opaque is not None:
            return (self.scheme, self.opaque) == (other.scheme, other.opaque)
        return (
            (self.scheme, self.user, self.password, self.port) == (other.scheme, other.user, other.password, other.port)
            and self.host.lower() == other.host.lower()
            and _same_params(self.params, other.params)
            and _folded(self.headers) == _folded(other.headers)
        )

    def __hash__(self) -> int:
        return hash((self.scheme, self.user, self.host.lower(), self.port, self.opaque))


@remembered
def _uri(text: str) -> URI:
    scheme, colon, rest = text.partition(":")
    if not colon or not rest or not _SCHEME.match(scheme) or _FORBIDDEN.search(text):
        raise RemoteProtocolError("Malformed URI")
    scheme = scheme.lower()
    if scheme in ("sip", "sips"):
        return _sip_uri(scheme, rest, text)
    if scheme == "tel":
        number, _, params = rest.partition(";")
        return URI(scheme, user=number, params=_parse_params(params), opaque=rest, _text=text)
    return URI(scheme, opaque=rest, _text=text)


def _sip_uri(scheme: str, rest: str, text: str) -> URI:
    userinfo, at, hostpart = rest.rpartition("@")
    if "@" in userinfo or (at and not userinfo):
        raise RemoteProtocolError("Malformed user in URI")
    hostpart, _, headers = hostpart.partition("?")
    hostport, _, params = hostpart.partition(";")
    host, port = split_host_port(hostport)
    user, colon, password = userinfo.partition(":")
    return URI(
        scheme,
        _decoded(user) if at else None,
        _decoded(password) if colon else None,
        host,
        port,
        _parse_params(params) if params else {},
        _parse_headers(headers) if headers else {},
        None,
        text,
    )


def _parse_params(text: str) -> Parameters:
    params: Parameters = {}
    for piece in text.split(";"):
        name, equals, value = piece.partition("=")
        if name:
            params.setdefault(_decoded(name).lower(), _decoded(value) if equals else None)
    return params


def _parse_headers(text: str) -> dict[str, str]:
    pairs = (piece.partition("=") for piece in text.split("&"))
    return {_decoded(name): _decoded(value) for name, _, value in pairs if name}


def _folded(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _same_params(ours: Parameters, theirs: Parameters) -> bool:
    """Parameters in both must agree; the five that change the meaning may not be in only one."""
    if any((name in ours) != (name in theirs) for name in _COMPARED_IN_BOTH):
        return False
    return all((value or "").lower() == (theirs[name] or "").lower() for name, value in ours.items() if name in theirs)


@dataclass(frozen=True, slots=True)
class Address:
    """The value of From, To, Contact, Route and their kin: `"display" <uri>;params` or `uri;params`."""

    uri: URI
    display: str | None = None
    params: Parameters = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Address:
        """RemoteProtocolError(400) for unbalanced quotes or brackets, a malformed URI, or empty parameters."""
        text = text.strip(" \t")
        if text.startswith('"'):
            display, rest = read_quoted(text)
            if not rest.startswith("<"):
                raise RemoteProtocolError("Display name without an address in <>")
            return cls._bracketed(display, rest)
        bracket = text.find("<")
        if bracket >= 0:
            return cls._bracketed(_unquoted_display(text[:bracket]) if bracket else None, text[bracket:])
        return cls._bare(text)

    @classmethod
    def _bracketed(cls, display: str | None, text: str) -> Address:
        uri, closed, params = text[1:].partition(">")
        if not closed:
            raise RemoteProtocolError("Unbalanced < in address")
        return cls(URI.parse(uri), display, parse_parameters(params))

    @classmethod
    def _bare(cls, text: str) -> Address:
        # What follows a semicolon belongs to the header field, not to the URI (section 20.10).
        uri, semicolon, params = text.partition(";")
        if "?" in uri or "," in uri:
            raise RemoteProtocolError("URI with ? or , needs <>")
        return cls(URI.parse(uri.rstrip(" \t")), None, parse_parameters(semicolon + params))

    @property
    def tag(self) -> str | None:
        return self.params.get("tag")

    def with_params(self, **params: str | None) -> Address:
        """A copy with these header parameters added or changed."""
        return Address(self.uri, self.display, {**self.params, **params})

    def with_tag(self, tag: str) -> Address:
        return self.with_params(tag=tag)

    def __str__(self) -> str:
        display = f"{quote_string(self.display)} " if self.display else ""
        return f"{display}<{self.uri}>{format_parameters(self.params)}"


def _unquoted_display(text: str) -> str | None:
    if '"' in text:
        raise RemoteProtocolError("Unbalanced quotes in display name")
    return _WHITESPACE_RUN.sub(" ", text.strip(" \t")) or None
