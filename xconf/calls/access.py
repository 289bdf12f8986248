"""Who may call, and where a dialled number leads. The configuration is turned into these by the application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from xconf.calls.trunk import Trunk
from xconf.sip.flow import Flow
from xconf.sip.message import Request


@dataclass(frozen=True, slots=True)
class Route:
    """Where a number leads: a conference, the profile it is made from, and the flags that a caller starts with."""

    conference: str
    profile: str
    flags: Mapping[str, bool] = field(default_factory=dict)


class Access(Protocol):
    """What the configuration says of callers. Replaced as a whole when the configuration is read again."""

    realm: str
    users: Mapping[str, str]  # name -> password, for digest

    def trusts(self, host: str) -> bool:
        """Calls from this address need no password."""

    def at_trunk(self, host: str) -> bool:
        """This address is one of a trunk's."""

    def trunk_media(self, address: str) -> bool:
        """Sound of a trunk may come from this address."""

    def trunk_of(self, request: Request, flow: Flow) -> Trunk | None:
        """The trunk that a call comes from by its address or certificate; it needs no password."""

    def trunk_of_user(self, user: str) -> Trunk | None:
        """The trunk whose calls are known by the password of this one of `users`."""

    def trunk_named(self, name: str) -> Trunk | None:
        """The trunk of this name, whose call another node has forwarded."""

    def route(self, dialled: str, trunk: Trunk | None = None) -> Route | None:
        """Where a number leads; from a trunk with a dial plan of its own, by that. None: there is no such number."""
