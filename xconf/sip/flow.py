"""Where a message came from and where one goes to."""

from __future__ import annotations

from dataclasses import dataclass

Place = tuple[str, int]
"""Address and port."""

DEFAULT_PORT = {"udp": 5060, "tcp": 5060, "tls": 5061}


@dataclass(frozen=True, slots=True)
class Flow:
    """One path of messages. id: the connection's, or None for UDP and for "connect there when needed"."""

    transport: str
    local: Place
    remote: Place
    id: int | None = None

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
