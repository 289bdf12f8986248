"""Commands that are about the server and not about a conference: how it fares, its trace, its reload and its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from xconf.conference.commands import Argument, Command, Reply


@dataclass(frozen=True, slots=True)
class Status:
    """How a server fares. Times in seconds; lateness and busy in ms, of the ticks of the last minute.

    held: by room, what is kept for calls now; without calls all of it goes to zero.
    """

    node: str
    version: str
    uptime: float
    calls: int
    conferences: int
    members: int
    speakers: int
    ticks: int
    ticks_missed: int
    lateness_median: float
    lateness_99: float
    lateness_worst: float
    busy_median: float
    held: Mapping[str, Mapping[str, int]]


class Server(Protocol):
    """What these commands need of the server."""

    def status(self) -> Status: ...
    def counters(self) -> Mapping[str, int]: ...
    def trace_sip(self, on: bool) -> None: ...

    def reload(self) -> object:
        """Begins to read the configuration again; the log says what comes of it."""

    def shut_down(self) -> None:
        """Ends the server, soon: the answer to who asked for it goes out first."""


def server_commands(server: Server) -> list[Command]:
    """Entries for the table of commands, for one server."""

    def status(_: object) -> Reply:
        """How the server fares: calls, conferences, and how punctual the 20 ms tick is."""
        now = server.status()
        return Reply("\n".join(_lines(now)), asdict(now))

    def counters(_: object) -> Reply:
        """What was counted since the start: packets and messages that were dropped or refused, and why."""
        counted = dict(sorted(server.counters().items()))
        width = max(map(len, counted), default=0)
        return Reply("\n".join(f"{name:{width}}  {count}" for name, count in counted.items()), counted)

    def sip(_: object, on: bool) -> str:
        """Log every SIP message, with what is secret in it left out, or stop that."""
        server.trace_sip(on)
        return f"SIP trace is {'on' if on else 'off'}"

    def reload(_: object) -> str:
        """Read again who may call, the dial plan, and profiles and controls for conferences made from now on."""
        server.reload()
        return "reloading; the log says what comes of it"

    def shutdown(_: object) -> str:
        """Hang up all calls, and end the server."""
        server.shut_down()
        return "shutting down"

    return [
        Command("status", "node", None, status),
        Command("counters", "node", None, counters),
        Command("sip", "node", Argument("trace on|off", _trace), sip),
        Command("reload", "node", None, reload),
        Command("shutdown", "node", None, shutdown),
    ]


def _trace(text: str) -> bool:
    if text not in ("trace on", "trace off"):
        raise ValueError(f"'{text}' is not trace on or trace off")
    return text == "trace on"


def _lines(now: Status) -> list[str]:
    rows: list[tuple[str, Any]] = [
        ("node", f"{now.node}, xconf {now.version}"),
        ("up", duration(now.uptime)),
        ("calls", now.calls),
        ("conferences", f"{now.conferences} with {now.members} members, {now.speakers} of them speakers"),
        ("ticks", f"{now.ticks}, {now.ticks_missed} missed"),
        ("late", f"{now.lateness_median:.1f} ms median, {now.lateness_99:.1f} 99 %, {now.lateness_worst:.1f} worst"),
        ("busy", f"{now.busy_median:.1f} ms of each 20"),
        *((room, ", ".join(f"{count} {name}" for name, count in sizes.items())) for room, sizes in now.held.items()),
    ]
    return [f"{name:11}  {value}" for name, value in rows]


def duration(seconds: float) -> str:
    """90061.5 -> 1d 1h 1m 1s"""
    rest = int(seconds)
    parts: list[str] = []
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if rest >= length or parts:
            parts.append(f"{rest // length}{unit}")
            rest %= length
    return " ".join([*parts, f"{rest}s"])
