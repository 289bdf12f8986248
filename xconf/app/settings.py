"""What a configuration file may say: its sections and keys, with their ranges and defaults.

docs/operator.md describes each key; a test holds the two together.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, field

from xconf.app.cluster_settings import Cluster
from xconf.app.dialrules import DialRule, first_rule
from xconf.app.invite_settings import Invite
from xconf.app.made_sounds import FILE
from xconf.app.section import Name, Seconds, Section
from xconf.app.sip_settings import Sip
from xconf.app.values import EventKind, MediaAddress, MediaAddress6, PortRange, SocketPath, WebURL
from xconf.cluster.frame import MAX_NAME


class Node(Section, frozen=True):
    """This server among others."""

    name: Name = "a"


class Rtp(Section, frozen=True):
    """Media: where sound is sent to and comes from."""

    address: MediaAddress
    address6: MediaAddress6 | None = None
    ports: PortRange = PortRange(16384, 16639)
    relatch: bool = True
    media_timeout: Seconds = 60


class Control(Section, frozen=True):
    """The management socket."""

    listen: SocketPath = SocketPath("xconf.sock")


class Log(Section, frozen=True):
    """What is written down beside the events of calls."""

    sip_trace: bool = False


class History(Section, frozen=True):
    """Calls and conferences that are over, in a file."""

    file: str | None = None
    keep_days: Annotated[int, Meta(ge=1, le=3650)] = 90


class Recording(Section, frozen=True):
    """Where recordings of conferences go."""

    folder: str | None = None


class Webhook(Section, frozen=True):
    """A web server that is told of events."""

    url: WebURL | None = None
    secret: Annotated[str, Meta(min_length=16, max_length=256)] | None = None
    only: list[EventKind] = []

    def __post_init__(self) -> None:
        if self.url is not None and self.secret is None:
            raise ValueError("secret is missing; whoever is told knows by it that it was this server")


class SoundFolder(Section, frozen=True):
    """Prompts and music other than those that come with xconf, and sounds that are made when they are wanted."""

    path: str | None = None
    speech: dict[str, list[str]] = {}
    urls: list[WebURL] = []

    def __post_init__(self) -> None:
        for name, command in self.speech.items():
            if not any(FILE in part for part in command[1:]):
                text = f"speech.{name} must be a program and its arguments, one of them with {FILE}, which it writes to"
                raise ValueError(text)


class Dtmf(Section, frozen=True):
    """Keypad commands beside those that come with xconf."""

    folders: list[str] = []
    api: list[str] | None = None


class Settings(Section, frozen=True):
    """A whole configuration file."""

    sip: Sip
    rtp: Rtp
    dialplan: list[DialRule]
    node: Node = Node()
    control: Control = Control()
    sounds: SoundFolder = SoundFolder()
    dtmf: Dtmf = Dtmf()
    invite: Invite = Invite()
    log: Log = Log()
    history: History = History()
    webhook: Webhook = Webhook()
    recording: Recording = Recording()
    cluster: Cluster = Cluster()
    profiles: dict[str, Any] = {}
    controls: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        name = self.node.name
        if self.cluster.enable and not (name.isprintable() and len(name.encode()) <= MAX_NAME):
            raise ValueError(
                f"node.name has to be printable and of {MAX_NAME} octets at most, for other nodes to know it by"
            )
        self.cluster.own_uri(self.sip.listen)
        self.cluster.check_trunks(self.sip.trunks)

    def route(self, dialled: str) -> tuple[DialRule, str] | None:
        """The first rule for a dialled number, and the name of the conference that it leads to."""
        return first_rule(self.dialplan, dialled)
