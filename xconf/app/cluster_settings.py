"""What a configuration may say of other nodes: how they are reached, and the secret that they share."""

from __future__ import annotations

import importlib.util
import ipaddress
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from xconf.api.drain_commands import node_uri
from xconf.app.section import Section
from xconf.app.values import Listen, Network
from xconf.cluster.status import LONGEST_TEXT
from xconf.media.codecs import CodecMissing
from xconf.media.opus import Opus

NO_URI = (
    "cluster.router.sip is missing, and sip.listen has no address that other machines reach; give it, like "
    "sip:192.0.2.20:5060"
)
Secret = Annotated[str, Meta(min_length=16, max_length=256)]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An IP address and a port. Names are not looked up: sound can't wait for that."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        try:
            split = urlsplit(f"//{text}")
            host, port = str(ipaddress.ip_address(split.hostname or "")), split.port
        except ValueError:
            host, port = "", None
        if not host or not port or "@" in text or split.path:
            raise ValueError(f"'{text}' is not an IP address and a port like 192.0.2.10:65021")
        return cls(host, port)

    @property
    def six(self) -> bool:
        return ":" in self.host

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.six else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Group:
    """An IPv4 address of multicast."""

    host: str

    @classmethod
    def parse(cls, text: str) -> Group:
        try:
            good = ipaddress.IPv4Address(text).is_multicast
        except ValueError:
            good = False
        if not good:
            raise ValueError(f"'{text}' is not a multicast address, 224.0.0.0 to 239.255.255.255")
        return cls(text)

    def __str__(self) -> str:
        return self.host


@dataclass(frozen=True, slots=True)
class Broker:
    """A RabbitMQ server: amqp:// or amqps://, perhaps with a user and a password."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Broker:
        try:
            split = urlsplit(text)
            good = split.scheme in ("amqp", "amqps") and bool(split.hostname) and split.port != 0
        except ValueError:
            good = False
        if not good:
            raise ValueError("must be like amqp://127.0.0.1:5672 or amqps://user:password@host")
        return cls(text)

    @property
    def secure(self) -> bool:
        return urlsplit(self.text).scheme == "amqps"


@dataclass(frozen=True, slots=True)
class NodeURI:
    """Where callers reach a node: a SIP URI without a user."""

    text: str

    @classmethod
    def parse(cls, text: str) -> NodeURI:
        uri = str(node_uri(text))
        if not uri.isascii() or len(uri) > LONGEST_TEXT:
            raise ValueError(f"'{text}' must be of {LONGEST_TEXT} ASCII characters at most, for other nodes to be told")
        return cls(uri)


@dataclass(frozen=True, slots=True)
class Forwarded:
    """Whose calls are forwarded: a network's, or a trunk's."""

    network: Network | None
    trunk: str = ""

    @classmethod
    def parse(cls, text: str) -> Forwarded:
        try:
            return cls(Network.parse(text))
        except ValueError:
            if "/" in text:
                raise
            return cls(None, text)

    def __str__(self) -> str:
        return self.trunk or str(self.network)


class Router(Section, frozen=True):
    """Which node takes a call, and where it is sent from here."""

    enable: bool = False
    sip: NodeURI | None = None
    region: str = ""
    takes: Literal["all", "speakers", "listeners"] = "all"
    forward: list[Forwarded] = []

    def __post_init__(self) -> None:
        if not self.region.isprintable() or len(self.region.encode()) > LONGEST_TEXT:
            raise ValueError(f"region has to be printable and of {LONGEST_TEXT} octets at most")


class Cluster(Section, frozen=True):
    """Conferences over several nodes."""

    enable: bool = False
    mode: Literal["unicast", "multicast"] = "unicast"
    secret: Secret | None = None
    previous_secret: Secret | None = None
    listen: Endpoint = Endpoint("127.0.0.1", 65021)
    peers: list[Endpoint] = []
    multicast_group: Group = Group("224.5.6.7")
    ttl: Annotated[int, Meta(ge=0, le=255)] = 1
    encrypt: bool = True
    payload: Literal["pcm", "opus"] = "pcm"
    bus: Broker | None = None
    bus_ca: str | None = None
    router: Router = Router()

    def __post_init__(self) -> None:
        if self.previous_secret is not None and self.previous_secret == self.secret:
            raise ValueError("previous_secret is the same as secret; leave it out")
        if self.bus_ca is not None and (self.bus is None or not self.bus.secure):
            raise ValueError("bus_ca is for a broker that is reached by TLS; give bus as amqps://HOST, or leave it out")
        if not self.enable:
            if self.router.enable:
                raise ValueError("router.enable is true, but there is no other node; set enable, secret and peers, too")
            return
        if self.payload == "opus":
            self._check_opus()
        if self.bus is not None and importlib.util.find_spec("pika") is None:
            raise ValueError("bus needs the package pika; install it: pip install 'xconf[cluster]'")
        if self.secret is None:
            raise ValueError("secret is missing; give all nodes the same one: secret: !file cluster.key")
        if self.mode == "unicast":
            self._check_peers()
        elif self.listen.six:
            raise ValueError(f"listen is {self.listen}, but multicast is for IPv4; give the address of an interface")

    def _check_opus(self) -> None:
        try:
            Opus()
        except CodecMissing as error:
            raise ValueError(f"payload is opus, but {error}") from None

    def _check_peers(self) -> None:
        if not self.peers:
            raise ValueError("peers is empty; give the other nodes' addresses, like [192.0.2.10:65021]")
        if self.listen in self.peers:
            raise ValueError(f"peers has {self.listen}, which is this node's own listen; leave it out")
        other = next((peer for peer in self.peers if peer.six != self.listen.six), None)
        if other is not None:
            raise ValueError(
                f"peers has {other}, which cannot be reached from {self.listen}; give both as IPv4 or IPv6"
            )

    @property
    def secrets(self) -> list[bytes]:
        """The one to be used, then the one on its way out."""
        return [secret.encode() for secret in (self.secret, self.previous_secret) if secret is not None]

    def check_trunks(self, names: Collection[str]) -> None:
        """names: of the trunks that there are. Raises ValueError."""
        for one in self.router.forward:
            if one.network is None and one.trunk not in names:
                raise ValueError(
                    f"cluster.router.forward has '{one.trunk}', which is no network like 10.0.0.0/8, no address, and no trunk "
                    "of sip.trunks"
                )

    def own_uri(self, listens: Sequence[Listen]) -> str:
        """Where other nodes send callers to; empty without a router. Raises ValueError when the configuration does not tell."""
        if not self.router.enable:
            return ""
        if self.router.sip is not None:
            return self.router.sip.text
        near = ipaddress.ip_address(self.listen.host).is_loopback
        for listen in listens:
            address = ipaddress.ip_address(listen.host)
            if not address.is_unspecified and (near or not address.is_loopback):
                return listen.uri
        raise ValueError(NO_URI)
