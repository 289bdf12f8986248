"""Who may call, and where a dialled number leads. The configuration is turned into these by the application."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


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

    def route(self, dialled: str) -> Route | None:
        """None: there is no such number."""
