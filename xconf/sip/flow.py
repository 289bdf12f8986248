"""Where a message came from and where one goes to."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[str, int]
"""Address and port."""

DEFAULT_PORT = {"udp": 5060, "tcp": 5060, "tls": 5061}


@dataclass(frozen=True, slots=True)
class Flow:
    """One path of messages. id: the connection's, or None for UDP and for "connect there when needed".

    names: of TLS, whom the peer's certificate is for: found in one that was believed, or demanded of who we connect to
    (one of them; without names, the address). Other transports know no names.
    """

    transport: str
    local: Place
    remote: Place
    id: int | None = None
    names: tuple[str, ...] = ()

    @property
    def reliable(self) -> bool:
        return self.transport != "udp"

    def __str__(self) -> str:
        return f"{self.transport} {format_place(self.remote)}"


def bracketed(host: str) -> str:
    """An IPv6 address as it stands in URIs and Via."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def format_place(place: Place) -> str:
    return f"{bracketed(place[0])}:{place[1]}"
