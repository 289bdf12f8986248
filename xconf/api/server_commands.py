"""Commands that are about the server and not about a conference: how it fares, its trace, its reload and its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast

from xconf.conference.commands import Argument, Command, Reply


@dataclass(frozen=True, slots=True)
class Status:
    """How a server fares. Times in seconds; lateness and busy in ms, of the ticks of the last minute.

    draining: how far a drain is, "" for none; held: by room, what is kept for calls now; without calls all of it goes to zero.
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
    draining: str
    held: Mapping[str, Mapping[str, int]]


class Trunk(Protocol):
    """How a trunk fares; a dataclass. Times in seconds."""

    @property
    def name(self) -> str: ...
    @property
    def registration(self) -> str: ...
    @property
    def expires(self) -> float | None: ...
    @property
    def retry(self) -> float | None: ...
    @property
    def reachable(self) -> bool | None: ...
    @property
    def round_trip(self) -> float | None: ...
    @property
    def server(self) -> str: ...
    @property
    def error(self) -> str: ...


class Server(Protocol):
    """What these commands need of the server."""

    def status(self) -> Status: ...
    def counters(self) -> Mapping[str, int]: ...
    def trunk_states(self) -> Sequence[Trunk]: ...
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

    def trunks(_: object) -> Reply:
        """The trunks: whether we are registered there, for how long, whether they answer, and what is wrong."""
        states = server.trunk_states()
        lines = [_trunk_line(state) for state in states] or [
            "there are no trunks; sip.trunks of the configuration names them"
        ]
        return Reply("\n".join(lines), [asdict(cast(Any, state)) for state in states])

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
        Command("trunks", "node", None, trunks),
        Command("sip", "node", Argument("trace on|off", _trace), sip),
        Command("reload", "node", None, reload),
        Command("shutdown", "node", None, shutdown),
    ]


def _trace(text: str) -> bool:
    if text not in ("trace on", "trace off"):
        raise ValueError(f"'{text}' is not trace on or trace off")
    return text == "trace on"


def _trunk_line(state: Trunk) -> str:
    """`carrier  registered for 51m 3s at udp 192.0.2.10:5060, reachable in 12 ms`"""
    parts = []
    if state.registration != "not used":
        left = (
            f" for {duration(state.expires)}"
            if state.expires is not None and state.registration == "registered"
            else ""
        )
        parts.append(f"{state.registration}{left}")
    if state.reachable is not None:
        took = f" in {state.round_trip * 1000:.0f} ms" if state.round_trip is not None else ""
        parts.append(f"reachable{took}" if state.reachable else "not reachable")
    what = ", ".join(parts) or "not asked"
    where = f" at {state.server}" if state.server else ""
    retry = f"; next try in {duration(state.retry)}" if state.retry is not None else ""
    return f"{state.name}  {what}{where}" + (f": {state.error}" if state.error else "") + retry


def _lines(now: Status) -> list[str]:
    rows: list[tuple[str, Any]] = [
        ("node", f"{now.node}, xconf {now.version}"),
        ("up", duration(now.uptime)),
        ("calls", now.calls),
        *([("draining", now.draining)] if now.draining else []),
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
