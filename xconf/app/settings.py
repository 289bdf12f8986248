"""What a configuration file may say: its sections and keys, with their ranges and defaults.

docs/operator.md describes each key; a test holds the two together.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from xconf.app.values import Listen, MediaAddress, Network, NumberPattern, PortRange, SocketPath
from xconf.conference.flags import member_flags

LONGEST_NUMBER = 128  # characters: a pattern of the dial plan is never run over what no one dials

Name = Annotated[str, Meta(min_length=1, max_length=64)]
Calls = Annotated[int, Meta(ge=1, le=100_000)]
Seconds = Annotated[int, Meta(ge=0, le=86_400)]


class Section(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """A mapping of the file; a key that is not in it is refused."""


class Node(Section, frozen=True):
    """This server among others."""

    name: Name = "a"


class Trunk(Section, frozen=True):
    """A telephone exchange or carrier that sends calls: known by its address, not by a password."""

    address: Network


class Limits(Section, frozen=True):
    """What the server takes on at most."""

    calls: Calls = 10_000
    calls_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0
    host_calls: Annotated[int, Meta(ge=0, le=100_000)] = 0
    host_calls_per_second: Annotated[float, Meta(ge=0, le=100_000)] = 0


class Sip(Section, frozen=True):
    """Signalling: where phones send their calls, and who may call."""

    listen: list[Listen]
    allow: list[Network] = []
    trunks: dict[str, Trunk] = {}
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

    def trusts(self, host: str) -> bool:
        """Whether calls from this address need no password."""
        return self.at_trunk(host) or any(ipaddress.ip_address(host) in network for network in self.allow)

    def at_trunk(self, host: str) -> bool:
        """Whether this is a trunk's address."""
        return any(ipaddress.ip_address(host) in trunk.address for trunk in self.trunks.values())


class Rtp(Section, frozen=True):
    """Media: where sound is sent to and comes from."""

    address: MediaAddress
    ports: PortRange = PortRange(16384, 16639)
    relatch: bool = True
    media_timeout: Seconds = 60


class Control(Section, frozen=True):
    """The management socket."""

    listen: SocketPath = SocketPath("xconf.sock")


class Cluster(Section, frozen=True):
    """Conferences over several servers."""

    enable: bool = False

    def __post_init__(self) -> None:
        if self.enable:
            raise ValueError("enable is true, but this version has no cluster yet")


class Log(Section, frozen=True):
    """What is written down beside the events of calls."""

    sip_trace: bool = False


class SoundFolder(Section, frozen=True):
    """Prompts and music other than those that come with xconf."""

    path: str | None = None


class Dtmf(Section, frozen=True):
    """Keypad commands beside those that come with xconf."""

    folders: list[str] = []


@dataclass(frozen=True, slots=True)
class MemberFlags:
    """`+speaker -mute`: what a member starts with."""

    text: str
    flags: dict[str, bool]

    @classmethod
    def parse(cls, text: str) -> MemberFlags:
        return cls(text, member_flags(text))

    def __str__(self) -> str:
        return self.text


class DialRule(Section, frozen=True):
    """Numbers, and the conference that they lead to."""

    number: NumberPattern
    conference: str
    profile: str = "default"
    flags: MemberFlags = MemberFlags("", {})

    def __post_init__(self) -> None:
        try:
            _empty_match(self.number.regex).expand(self.conference)
        except (re.error, IndexError) as error:
            raise ValueError(f"conference '{self.conference}' does not fit the number: {error}") from None

    def conference_of(self, dialled: str) -> str | None:
        """The name of the conference that this number leads to, or None when the rule is not for it."""
        match = self.number.regex.fullmatch(dialled)
        return match.expand(self.conference) if match else None


def _empty_match(regex: re.Pattern[str]) -> re.Match[str]:
    """A match with the same groups as those of `regex`, all of them empty."""
    names = {index: f"?P<{name}>" for name, index in regex.groupindex.items()}
    match = re.fullmatch("".join(f"({names.get(index, '')})" for index in range(1, regex.groups + 1)), "")
    assert match is not None
    return match


class Settings(Section, frozen=True):
    """A whole configuration file."""

    sip: Sip
    rtp: Rtp
    dialplan: list[DialRule]
    node: Node = Node()
    control: Control = Control()
    sounds: SoundFolder = SoundFolder()
    dtmf: Dtmf = Dtmf()
    log: Log = Log()
    cluster: Cluster = Cluster()
    profiles: dict[str, Any] = {}
    controls: dict[str, Any] = field(default_factory=dict)

    def route(self, dialled: str) -> tuple[DialRule, str] | None:
        """The first rule for a dialled number, and the name of the conference that it leads to."""
        if len(dialled) > LONGEST_NUMBER:
            return None
        for rule in self.dialplan:
            conference = rule.conference_of(dialled)
            if conference:
                return rule, conference
        return None
