"""Where the servers of a domain are (RFC 3263): from a host to addresses, ports and transports, the best first.

It asks no name server itself: `locate` yields questions and is sent the answers, so that whoever drives it may cache,
wait and give up as it likes.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from xconf.sip.flow import DEFAULT_PORT, Place

MOST_SERVERS = 16
MOST_ADDRESSES = 8  # of one server

_SRV = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
_NAPTR = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls"}


class Kind(Enum):
    """What is asked for. ADDRESS: IPv4 and IPv6."""

    NAPTR = "NAPTR"
    SRV = "SRV"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True)
class Question:
    kind: Kind
    name: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """A NAPTR record (RFC 3403): the service of a domain, and the name of its SRV records."""

    order: int
    preference: int
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Server:
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


Records: TypeAlias = Sequence[Pointer | Server | str]
"""Answers: Pointers, Servers, or addresses as text; none when there is no such record."""
Target: TypeAlias = tuple[str, Place]
"""Transport, address and port."""
Search: TypeAlias = Generator[Question, Records, list[Target]]


def is_address(host: str) -> bool:
    """Whether it is an IPv4 or IPv6 address, and nothing need be asked."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def locate(
    host: str,
    port: int | None = None,
    transport: str | None = None,
    *,
    transports: Sequence[str] = ("udp", "tcp", "tls"),
    secure: bool = False,
    rng: random.Random,
) -> Search:
    """Where to send a request for this host, in the order of trying (section 4). Empty: nowhere.

    transport: the one that is asked for, None for any of `transports`, those that we have. secure: of a sips: URI.
    """
    if secure:
        transports, transport = ["tls"], "tls"
    if transport not in (None, *transports):
        return []
    usual = transport or transports[0]
    if is_address(host):
        return [(usual, (host, port or DEFAULT_PORT[usual]))]
    if port is not None:
        return (yield from _addresses(usual, host, port))
    for way, name in (yield from _services(host, transport, transports)):
        records = yield Question(Kind.SRV, name)
        servers = _ordered([record for record in records if isinstance(record, Server)], rng)
        found: list[Target] = []
        for server in servers[:MOST_SERVERS]:
            found += yield from _addresses(way, server.target, server.port)
        if found:
            return found
        if any(record.target == "." for record in records if isinstance(record, Server)):
            return []  # the service is decidedly not there
    return (yield from _addresses(usual, host, DEFAULT_PORT[usual]))


def _services(
    host: str, transport: str | None, transports: Sequence[str]
) -> Generator[Question, Records, list[tuple[str, str]]]:
    """Transports, and the names of their SRV records (section 4.1)."""
    if transport is None:
        pointers = [p for p in (yield Question(Kind.NAPTR, host)) if isinstance(p, Pointer)]
        pointers.sort(key=lambda pointer: (pointer.order, pointer.preference))
        told = [(_NAPTR.get(pointer.service.upper(), ""), pointer.replacement) for pointer in pointers]
        usable = [(way, name) for way, name in told if way in transports]
        if usable:
            return usable
    return [(way, _SRV[way] + host) for way in ([transport] if transport else transports)]


def _addresses(transport: str, host: str, port: int) -> Search:
    if is_address(host):
        return [(transport, (host, port))]
    if host in (".", ""):
        return []
    records = yield Question(Kind.ADDRESS, host)
    return [(transport, (address, port)) for address in records[:MOST_ADDRESSES] if isinstance(address, str)]


def _ordered(servers: list[Server], rng: random.Random) -> list[Server]:
    """By priority; of one priority by chance, in proportion to the weights (RFC 2782)."""
    ordered: list[Server] = []
    left = sorted(servers, key=lambda server: (server.priority, server.weight))
    while left:
        alike = [server for server in left if server.priority == left[0].priority]
        point = rng.uniform(0, sum(server.weight for server in alike))
        for chosen in alike:
            point -= chosen.weight
            if point <= 0:
                break
        ordered.append(chosen)
        left.remove(chosen)
    return ordered
