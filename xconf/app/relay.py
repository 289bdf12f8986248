"""`twistd xconf-relay -c FILE`: its configuration, its management socket, and its parts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet import error
from twisted.logger import Logger
from twisted.python import usage

from xconf.api.control import ControlError, ControlService
from xconf.app.cluster_settings import Endpoint, Secret
from xconf.app.convert import FAILED, Converter
from xconf.app.logs import name_sink, take_logging
from xconf.app.problems import ConfigError
from xconf.app.section import Section
from xconf.app.settings import Control
from xconf.app.yamlfile import read_document
from xconf.cluster.relay.core import End, Relay, RelayError
from xconf.cluster.relay.service import RelayService

log = Logger()

HELP = """\
conf                    how the relay is configured
stat                    what went where, and what was dropped
list                    the tunnels
NAME add ADDRESS:PORT   one more, until the relay is restarted
NAME del                one less"""


class Tunnel(Section, frozen=True):
    """A node or another relay. secret: where it is another one than the relay's."""

    address: Endpoint
    secret: Secret | None = None


class Settings(Section, frozen=True):
    """The whole file. secret: None: what is relayed is passed on unread."""

    control: Control = Control()
    listen: Endpoint = Endpoint("127.0.0.1", 65020)
    secret: Secret | None = None
    tunnels: dict[str, Tunnel] = {}


@dataclass(frozen=True, slots=True)
class Result:
    """What a command of the management socket gave."""

    text: str
    data: Any = None
    ok: bool = True
    feed: None = None


def load(file: str | Path) -> tuple[Settings, Relay, Path]:
    """The file, a relay with its tunnels, and the management socket. Raises ConfigError with all faults."""
    document = read_document(file)
    settings = Converter(document).convert(document.data, Settings, ())
    relay = Relay()
    if settings is not FAILED:
        relay = Relay(settings.secret.encode() if settings.secret else None)
        for name, tunnel in settings.tunnels.items():
            try:
                add(relay, settings.listen, name, tunnel.address, tunnel.secret)
            except RelayError as fault:
                document.problem(("tunnels", name), str(fault))
    document.complain()
    return settings, relay, document.folder / settings.control.listen.path


def add(relay: Relay, listen: Endpoint, name: str, to: Endpoint, secret: str | None = None) -> None:
    """Raises RelayError."""
    if to == listen:
        raise RelayError(f"{to} is the relay itself")
    if to.six != listen.six:
        raise RelayError(f"{to} cannot be reached from {listen}; give both as IPv4 or IPv6")
    relay.add(name, (to.host, to.port), secret.encode() if secret else None)


class Options(usage.Options):
    """`-c FILE`, which must be given."""

    optParameters = [["config", "c", None, "the relay's configuration; docs/cluster.md has its keys"]]
    longdesc = "Clones the datagrams between the nodes of a conference cluster."

    def postOptions(self) -> None:
        if self["config"] is None:
            raise usage.UsageError("-c FILE is missing: the relay's configuration")
        try:
            self.settings, self.relay, self.socket = load(self["config"])
        except ConfigError as fault:
            print(fault, file=sys.stderr)
            raise SystemExit(1) from None
        if self.parent is not None:
            name_sink(self.parent)


def makeService(options: Options) -> RelayServer:
    """What `twistd xconf-relay` runs."""
    from twisted.internet import reactor

    from xconf.app.service import use_steady_clock

    take_logging()
    use_steady_clock(reactor)
    return RelayServer(reactor, options.settings, options.relay, options.socket)


class RelayServer(MultiService):
    """The relay and its management socket."""

    def __init__(self, reactor: Any, settings: Settings, relay: Relay, socket: Path) -> None:
        super().__init__()
        self.settings = settings
        self.relay = relay
        RelayService(reactor, relay, (settings.listen.host, settings.listen.port)).setServiceParent(self)
        ControlService(socket, self.run, reactor).setServiceParent(self)
        self._commands = {"conf": self._conf, "stat": self._stat, "list": self._list, "help": lambda: Result(HELP)}

    def startService(self) -> None:
        try:
            super().startService()
        except (error.CannotListenError, ControlError) as fault:
            log.critical("{fault}", fault=fault)
            raise SystemExit(str(fault)) from None
        log.info("relaying between {count} tunnels", count=len(self.relay.ends))

    def run(self, command: str | Sequence[str]) -> Result:
        """A command of the management socket."""
        words = command.split() if isinstance(command, str) else list(command)
        try:
            if len(words) == 1 and words[0] in self._commands:
                return self._commands[words[0]]()
            if len(words) == 3 and words[1] == "add":
                return self._add(words[0], words[2])
            if len(words) == 2 and words[1] == "del":
                return self._delete(words[0])
        except RelayError as fault:
            return Result(str(fault), ok=False)
        return Result("not understood; there are conf, stat, list, NAME add ADDRESS:PORT, NAME del", ok=False)

    def _add(self, name: str, where: str) -> Result:
        try:
            to = Endpoint.parse(where)
        except ValueError as fault:
            raise RelayError(str(fault)) from None
        add(self.relay, self.settings.listen, name, to)
        log.info("tunnel {name} to {to} added", name=name, to=str(to))
        return Result(f"tunnel {name} added")

    def _delete(self, name: str) -> Result:
        self.relay.remove(name)
        log.info("tunnel {name} deleted", name=name)
        return Result(f"tunnel {name} deleted")

    def _conf(self) -> Result:
        secret = "checked with the secret" if self.relay.secret else "passed on unread"
        data = {"listen": str(self.settings.listen), "secret": self.relay.secret is not None}
        return Result(f"listen   {self.settings.listen}\ncontent  {secret}", data)

    def _list(self) -> Result:
        rows = [self._row(end) for end in self.relay.listed()]
        lines = [f"{row['name']}  {row['address']}{'  own secret' * row['secret']}" for row in rows]
        return Result("\n".join(lines) or "no tunnels", rows)

    def _row(self, end: End) -> dict[str, Any]:
        return {
            "name": end.name,
            "address": str(Endpoint(*end.address)),
            "secret": end.secret != self.relay.secret,
            **{count: end.counts[count] for count in ("received", "sent", "octets", "unsent")},
        }

    def _stat(self) -> Result:
        rows = [self._row(end) for end in self.relay.listed()]
        dropped = dict(sorted(self.relay.drops.total.items()))
        lines = [f"{r['name']}  received {r['received']}, sent {r['sent']}, not sent {r['unsent']}" for r in rows]
        lines += [f"dropped  {reason} {count}" for reason, count in dropped.items()]
        data = {"tunnels": rows, "dropped": dropped, "kept": dict(self.relay.sizes())}
        return Result("\n".join(lines) or "no tunnels", data)
