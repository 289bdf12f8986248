"""What a configuration may say of signalling: where to listen, TLS, trunks, who may call."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import Annotated, Literal

from msgspec import Meta, field

from xconf.app.dialrules import DialRule
from xconf.app.section import Name, Seconds, Section
from xconf.app.values import HostPort, Listen, Network, Origin

Calls = Annotated[int, Meta(ge=1, le=100_000)]
Domain = Annotated[str, Meta(min_length=1, max_length=255)]


class Tls(Section, frozen=True):
    """Certificates. What connects to us may have to show one, too."""

    certificate: str | None = None
    key: str | None = None
    ca: str | None = None
    verify_client: Annotated[bool | Literal["optional"], Meta(description="true, false or optional")] = False

    def __post_init__(self) -> None:
        if self.certificate and not self.key:
            raise ValueError("certificate is given without a key; add key: FILE")
        if self.key and not self.certificate:
            raise ValueError("key is given without a certificate; add certificate: FILE")


class Trunk(Section, frozen=True):
    """A telephone exchange or carrier."""

    address: Origin | None = None
    registrar: HostPort | None = None
    backups: list[HostPort] = []
    transport: Literal["auto", "udp", "tcp", "tls"] = "auto"
    domain: Domain | None = None
    username: Name | None = None
    auth_username: Name | None = None
    password: Name | None = None
    register: bool = False
    expires: Annotated[int, Meta(ge=10, le=86_400)] = 3600
    retry: Annotated[int, Meta(ge=1, le=1800)] = 30
    allow: list[Origin] = []
    media: list[Network] = []
    front: bool = False
    users: dict[str, Name] = {}
    certificate_name: Domain | None = None
    options_interval: Seconds = 0
    caller_id: Name | None = None
    dialplan: list[DialRule] = []

    def __post_init__(self) -> None:
        if not (self.address or self.registrar or self.allow or self.users or self.certificate_name):
            raise ValueError(
                "nothing tells its calls from others; give address, registrar, allow, users or certificate_name"
            )
        if self.register and not (self.registrar or (self.address and self.address.host)):
            raise ValueError("register is true, but there is no registrar; give registrar: HOST")
        if self.register and not self.username:
            raise ValueError("register is true, but there is no username; give username and password")
        if self.backups and not self.servers:
            raise ValueError("backups are given, but no registrar that they stand in for; give registrar: HOST")
        if self.options_interval and not self.servers:
            raise ValueError("options_interval is given, but nobody to ask; give address or registrar as HOST")
        if self.password and not self.username:
            raise ValueError("password is given without a username; add username")

    @property
    def servers(self) -> list[HostPort]:
        """Where its calls and registrations go, the first first; none for one that only sends calls."""
        first = self.registrar or (self.address.host if self.address else None)
        return [first, *self.backups] if first else []


class Limits(Section, frozen=True):
    """What the server takes on at most."""

    calls: Calls = 10_000
    calls_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0
    host_calls: Annotated[int, Meta(ge=0, le=100_000)] = 0
    host_calls_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0


class Sip(Section, frozen=True):
    """Signalling: where phones send their calls, and who may call."""

    listen: list[Listen]
    tls: Tls = Tls()
    allow: list[Network] = []
    trunks: dict[str, Trunk] = {}
    nameservers: list[HostPort] = []
    users: dict[str, Name] = {}
    realm: Name = "xconf"
    digest: list[Literal["SHA-256", "MD5"]] = field(default_factory=lambda: ["SHA-256", "MD5"])
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if not self.listen:
            raise ValueError("listen is empty; give at least one address, like udp://127.0.0.1:5060")
        twice = [listen for listen, times in Counter(self.listen).items() if times > 1]
        if twice:
            raise ValueError(f"listen has {twice[0]} twice; keep one")
        if not self.digest:
            raise ValueError("digest is empty; give SHA-256, MD5, or both")
        if not (self.allow or self.trunks or self.users):
            raise ValueError("nobody may call; give allow, trunks or users")
        self._check_tls()
        self._check_trunks()

    def _check_tls(self) -> None:
        secure = [listen for listen in self.listen if listen.transport == "tls"]
        if secure and not self.tls.certificate:
            raise ValueError(f"listen has {secure[0]}, but there is no certificate; give tls: {{certificate, key}}")
        if self.tls.verify_client and not self.tls.ca:
            raise ValueError("tls.verify_client needs tls.ca: the file of the authorities whose certificates count")

    def _check_trunks(self) -> None:
        owners = dict.fromkeys(self.users, "users")
        for name, trunk in self.trunks.items():
            for user in trunk.users:
                if user in owners:
                    raise ValueError(
                        f"trunks.{name}.users: '{user}' is in {owners[user]} too; a user is one or the other"
                    )
                owners[user] = f"trunks.{name}.users"
            known = trunk.address or trunk.registrar or trunk.allow or trunk.users
            if trunk.certificate_name and not known and not self.tls.verify_client:
                raise ValueError(
                    f"trunks.{name} is known by certificate_name alone, but nobody is asked for a certificate; "
                    "set tls.verify_client: optional, and tls.ca"
                )
            if trunk.transport == "udp" and trunk.servers and not any(at.transport == "udp" for at in self.listen):
                raise ValueError(f"trunks.{name}.transport is udp, but listen has no udp:// address; add one")

    def allows(self, host: str) -> bool:
        """Whether calls from this address need no password; see Trunks for those of trunks."""
        address = ipaddress.ip_address(host)
        return any(address in network for network in self.allow)
