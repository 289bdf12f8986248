"""Values that a configuration writes as one word of text: listening addresses, networks, port ranges, patterns.

Each class has `parse(text)`, which raises ValueError with what is wrong and what is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from xconf.conference.errors import near
from xconf.conference.events import kinds
from xconf.conference.invitation import caller_id

TRANSPORTS: dict[str, Literal["udp", "tcp", "tls"]] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}
DOMAIN = re.compile(r"(?=.{1,253}\Z)([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.?)+\Z")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(text: str) -> IPAddress:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"'{text}' is not an IP address") from None


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen for SIP."""

    transport: Literal["udp", "tcp", "tls"]
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Listen:
        scheme, _, _ = text.partition("://")
        if scheme not in TRANSPORTS or "://" not in text:
            raise ValueError(f"'{text}' is not like udp://127.0.0.1:5060, tcp://127.0.0.1:5060 or tls://127.0.0.1:5061")
        try:
            split = urlsplit(text)
            host, port = split.hostname or "", split.port
        except ValueError as error:
            raise ValueError(f"'{text}': {str(error).lower()}") from None
        if not port or split.path or split.query or split.username is not None:
            raise ValueError(f"'{text}' is not like {scheme}://127.0.0.1:{5061 if scheme == 'tls' else 5060}")
        return cls(TRANSPORTS[scheme], str(_address(host)), port)

    @property
    def uri(self) -> str:
        """Where one calls who wants to come here."""
        return f"sip:{self._at}" + ("" if self.transport == "udp" else f";transport={self.transport}")

    @property
    def _at(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.transport}://{self._at}"


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses: 10.0.0.0/8, or one."""

    network: ipaddress.IPv4Network | ipaddress.IPv6Network

    @classmethod
    def parse(cls, text: str) -> Network:
        try:
            return cls(ipaddress.ip_network(text))
        except ValueError as error:
            if "host bits" in str(error):
                wanted = ipaddress.ip_network(text, strict=False)
                raise ValueError(f"'{text}' is an address within a network; the network is {wanted}") from None
            raise ValueError(f"'{text}' is not a network like 10.0.0.0/8 or an address") from None

    def __contains__(self, address: IPAddress) -> bool:
        return address in self.network

    def __str__(self) -> str:
        return str(self.network)


@dataclass(frozen=True, slots=True)
class HostPort:
    """A server: its domain or address, and a port if it is another than the usual one."""

    host: str
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> HostPort:
        try:
            return cls(str(ipaddress.ip_address(text)))  # IPv6 has colons of its own
        except ValueError:
            pass
        try:
            split = urlsplit(f"//{text}")
            host, port = split.hostname or "", split.port
        except ValueError as error:
            raise ValueError(f"'{text}': {str(error).lower()}") from None
        numeric = host.replace(".", "").isdigit()  # 192.0.2.300 is no domain either
        if (
            split.netloc != text
            or "@" in text
            or port == 0
            or not (_is_address(host) or (DOMAIN.match(host) and not numeric))
        ):
            raise ValueError(f"'{text}' is not like sip.example.com, 192.0.2.10 or sip.example.com:5080")
        return cls(host.rstrip("."), port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else self.host


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Origin:
    """Where calls come from: a network, or a server. A server's address is a network, too."""

    network: Network | None
    host: HostPort | None

    @classmethod
    def parse(cls, text: str) -> Origin:
        if "/" in text:
            return cls(Network.parse(text), None)
        host = HostPort.parse(text)
        return cls(Network.parse(host.host) if _is_address(host.host) else None, host)

    def __str__(self) -> str:
        return str(self.host or self.network)


@dataclass(frozen=True, slots=True)
class MediaAddress:
    """The IPv4 address of the media ports; 0.0.0.0 for all: each phone is told the one that leads to it."""

    host: str

    @classmethod
    def parse(cls, text: str) -> MediaAddress:
        if _address(text).version != 4:
            raise ValueError(f"{text} is IPv6; give it as address6, and an IPv4 address here")
        return cls(text)

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True)
class MediaAddress6:
    """The IPv6 address of media ports; :: for all."""

    host: str

    @classmethod
    def parse(cls, text: str) -> MediaAddress6:
        address = _address(text)
        if address.version != 6:
            raise ValueError(f"{text} is IPv4; give it as address")
        return cls(str(address))

    def __str__(self) -> str:
        return f"[{self.host}]"


@dataclass(frozen=True, slots=True)
class PortRange:
    """Port numbers from an even one to an odd one: pairs for RTP and RTCP."""

    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> PortRange:
        match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
        if not match:
            raise ValueError(f"'{text}' is not like 16384-16639")
        first, last = int(match[1]), int(match[2])
        if first < 1024 or last > 65535 or last < first:
            raise ValueError(f"'{text}' must go upwards, within 1024-65535")
        if first % 2 or not last % 2:
            even, odd = first + first % 2, last - 1 + last % 2
            raise ValueError(f"'{text}' must begin even and end odd (RTP and RTCP in pairs), like {even}-{odd}")
        if last - first < 7:
            raise ValueError(f"'{text}' is too small; at least 8 ports are needed, like {first}-{first + 7}")
        return cls(first, last)

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class WebURL:
    """http:// or https://. It may have a secret in it: a message never shows it."""

    text: str

    @classmethod
    def parse(cls, text: str) -> WebURL:
        try:
            split = urlsplit(text)
            good = split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
        except ValueError:
            good = False
        if not good or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("must be like https://example.com/path")
        if "@" in split.netloc:
            raise ValueError("a user and password in it are not sent; leave them out")
        return cls(text)


@dataclass(frozen=True, slots=True)
class EventKind:
    """The name of a kind of event, like `member-joined`."""

    name: str

    @classmethod
    def parse(cls, text: str) -> EventKind:
        if text not in kinds():
            raise ValueError(f"no event '{text}'{near(text, kinds())}")
        return cls(text)


@dataclass(frozen=True, slots=True)
class SocketPath:
    """unix:PATH"""

    path: str

    @classmethod
    def parse(cls, text: str) -> SocketPath:
        path = text.removeprefix("unix:")
        if path == text or not path:
            raise ValueError(f"'{text}' is not like unix:xconf.sock")
        return cls(path)


@dataclass(frozen=True, slots=True)
class CallerId:
    """Who calls: a number, or a name with a number."""

    text: str

    @classmethod
    def parse(cls, text: str) -> CallerId:
        return cls(caller_id(text))

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class NumberPattern:
    """A regular expression for the whole of a dialled number."""

    regex: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> NumberPattern:
        try:
            return cls(re.compile(text))
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"'{text}' is not a regular expression: {error}") from None

    def __str__(self) -> str:
        return self.regex.pattern
