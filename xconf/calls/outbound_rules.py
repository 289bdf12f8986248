"""Who may be called by the server, and how: nobody but those whom the configuration allows, for calls can cost money."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from twisted.internet import defer
from twisted.internet.defer import Deferred

from xconf.calls.addresses import number_of
from xconf.calls.trunk import Network, TrunkError
from xconf.calls.trunks import Destination, Trunks
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.uri import URI, Address

LONGEST = 256  # characters of a target


@dataclass(frozen=True, slots=True)
class Allowed:
    """What the configuration says. hosts: domains and addresses of sip: URIs, beside those of trunks; numbers: that may be
    called by trunks.
    """

    networks: tuple[Network, ...] = ()
    hosts: frozenset[str] = frozenset()
    numbers: re.Pattern[str] = re.compile(r"\+?[0-9*#]{2,32}")

    def host(self, host: str) -> bool:
        """Whether sip: URIs of this host may be called."""
        if host.lower() in self.hosts:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self.networks)

    def number(self, number: str) -> bool:
        return self.numbers.fullmatch(number) is not None


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to call: a number or a sip: URI; name: as the conference is to see it, or ""."""

    where: str
    name: str = ""

    @classmethod
    def parse(cls, text: str) -> Target:
        """`1001`, `sip:ann@10.0.0.7` or `Ann <sip:ann@10.0.0.7>`. Raises TrunkError."""
        if len(text) > LONGEST:
            raise TrunkError(f"'{text[:64]}…' is longer than {LONGEST} characters")
        if not text.endswith(">"):
            return cls(text)
        name, _, where = text[:-1].rpartition("<")
        return cls(where.strip(), name.strip().strip('"').strip())

    @property
    def uri(self) -> URI | None:
        """None: it is a number. Raises TrunkError."""
        if ":" not in self.where:
            return None
        try:
            uri = URI.parse(self.where)
        except RemoteProtocolError:
            uri = None
        if uri is None or not uri.is_sip or not uri.host:
            raise TrunkError(f"'{self.where[:64]}' is not a SIP URI like sip:1001@192.0.2.10")
        return uri

    @property
    def caller(self) -> str:
        """Name and number, as members are known."""
        uri = self.uri
        number = self.where if uri is None else number_of(uri) or uri.host
        return f"{self.name} <{number}>" if self.name else number


def destination(allowed: Allowed, trunks: Trunks, target: Target, trunk: str) -> Deferred[Destination]:
    """How to call somebody who may be called. Fails with TrunkError, which says why not and what to do."""
    try:
        where, way = permitted(allowed, trunks, target, trunk)
    except TrunkError:
        return defer.fail()
    return trunks.destination(where, way)


def permitted(allowed: Allowed, trunks: Trunks, target: Target, trunk: str) -> tuple[str, str | None]:
    """Whom to call, and by which trunk, if by one. Raises TrunkError, which says why not."""
    uri = target.uri
    if trunk and trunk not in trunks.names:
        raise TrunkError(f"there is no trunk {trunk}; there are {', '.join(trunks.names) or 'none'}")
    if uri is None:
        _check_number(allowed, target.where)
        return target.where, trunk or None
    if "maddr" in uri.params or uri.headers:
        raise TrunkError(f"{target.where} may not be called: it has a maddr or headers, which are not for us to follow")
    serving = trunk or trunks.serving(uri.host)
    if serving is not None:
        _check_number(allowed, number_of(uri))
        return target.where, serving
    if not allowed.host(uri.host):
        raise TrunkError(f"{target.where} may not be called: {uri.host} is neither a trunk's nor in invite.allow")
    return target.where, None


def _check_number(allowed: Allowed, number: str) -> None:
    if not allowed.number(number):
        raise TrunkError(f"{number[:64]!r} may not be called: invite.numbers is {allowed.numbers.pattern}")


def redirections(contacts: Sequence[Address]) -> list[URI]:
    """Where a 3xx leads, the best first (RFC 3261 sections 8.1.3.4, 20.10)."""

    def preference(address: Address) -> float:
        try:
            return float(address.params.get("q") or 1.0)
        except ValueError:
            return 0.0

    ordered = sorted(contacts, key=preference, reverse=True)
    return [address.uri for address in ordered if address.uri.is_sip and address.uri.host]
