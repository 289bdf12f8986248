"""A trunk: what the configuration says of it, and how it fares."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from xconf.sip.exchange import Credentials

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Server = tuple[str, int | None]
"""Domain or address, and the port if it is not the usual one."""


class TrunkError(Exception):
    """A trunk or an address that cannot be called; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trunk:
    """What the configuration says. Times in seconds.

    servers: where calls and registrations go, the first first; transport: None for what their domain says; domain: of
    our address there; networks and hosts: where its calls come from, beside the servers' addresses; media: where its
    sound may be, beside those; front: a proxy that takes the calls for all nodes; users: name and
    password of calls that are known by them; certificate: whom its certificate is for, "" when calls are not known by it;
    caller_id: our number for those whom we call, "" for whatever the call has.
    """

    name: str
    servers: tuple[Server, ...] = ()
    transport: str | None = None
    domain: str = ""
    username: str = ""
    credentials: Credentials | None = field(default=None, repr=False)
    register: bool = False
    expires: int = 3600
    retry: float = 30.0
    networks: tuple[Network, ...] = ()
    hosts: tuple[Server, ...] = ()
    media: tuple[Network, ...] = ()
    front: bool = False
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str = ""
    options_interval: float = 0.0
    caller_id: str = ""

    @property
    def account(self) -> tuple[object, ...]:
        """What is the same in two registrations that stand for each other."""
        return self.servers, self.domain, self.username

    @property
    def certificate_names(self) -> tuple[str, ...]:
        """Whom the certificates of its servers may be for; none: for the server's own name (RFC 5922 section 7.2)."""
        return (self.certificate,) if self.certificate else ()


@dataclass(frozen=True, slots=True)
class TrunkState:
    """How a trunk fares. Times in seconds.

    registration: not used, registering, registered, waiting (failed, is tried again), refused, stopped; expires: until
    the registration ends; retry: until the next try; reachable: the answer to OPTIONS, None when not asked (yet);
    server: in use now; error: why it is not registered or not reachable; addresses: where its calls are known to come from.
    """

    name: str
    registration: str
    expires: float | None
    retry: float | None
    reachable: bool | None
    round_trip: float | None
    server: str
    error: str
    addresses: list[str]

    @property
    def summary(self) -> str:
        """One word or two: what matters."""
        if self.registration != "not used":
            return self.registration
        return {True: "reachable", False: "unreachable", None: "not asked"}[self.reachable]
