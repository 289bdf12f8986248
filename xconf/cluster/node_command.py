"""The command `nodes`: this node and the others, how busy they are, and what they cost; or as a list for kamailio."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xconf.cluster import dispatcher
from xconf.cluster.census import Census
from xconf.cluster.nodes import Node
from xconf.cluster.status import Load
from xconf.conference.commands import Argument, Command, Reply
from xconf.conference.errors import CommandError
from xconf.conference.registry import Conferences
from xconf.conference.show import table
from xconf.conference.turns import Turns, each

Row = dict[str, Any]
DISPATCHER = "--dispatcher"


def nodes_command(census: Census, load: Callable[[], Load]) -> Command:
    """Entry for the table of commands."""

    def nodes(node: Conferences, listed: bool) -> Turns[Reply]:
        """The nodes of the cluster: which are there, how busy they are, and whom they have. --dispatcher: kamailio's list of them."""
        if listed:
            return _dispatcher(census, load(), node.events.time())
        rows = yield from each(census.table.sorted(), lambda other: _row(other, node.clock.seconds()))
        return (yield from table([_own(census, load(), node), *rows], "no nodes"))

    return Command("nodes", "node", Argument(DISPATCHER, _listed, optional=True), nodes)


def _listed(text: str) -> bool:
    if text not in ("", DISPATCHER):
        raise ValueError(f"'{text}' is not {DISPATCHER}")
    return bool(text)


def _dispatcher(census: Census, load: Load, now: float) -> Reply:
    others = [
        dispatcher.Place(other.name, other.here, other.load) for other in census.table.sorted() if _may_be_there(other)
    ]
    listed = dispatcher.rows([dispatcher.Place(census.node, True, load), *others])
    if not any(row["sip"] for row in listed):
        raise CommandError("no node tells where it takes calls: set cluster.router.enable on each")
    return Reply(dispatcher.text(listed, census.node, now), listed)


def _may_be_there(node: Node) -> bool:
    """One that fell silent may have lost sight of us alone, and have calls."""
    return node.here or node.state == "silent"


def _own(census: Census, load: Load, node: Conferences) -> Row:
    totals = node.totals
    numbers = {"conferences": totals.conferences, "members": totals.members, "speakers": totals.speakers}
    return {
        "node": census.node,
        "state": "draining" if load.draining else "this one",
        **_busy(load),
        **numbers,
        "heard": 0.0,
        "losses": 0,
        "octets": 0,
        **_for_whom(load),
    }


def _row(other: Node, now: float) -> Row:
    """heard: s since then; losses: how often it fell silent; octets: of status that came from it, a second."""
    seconds = max(1.0, now - other.born)
    return {
        "node": other.name,
        "state": "draining" if other.here and other.load.draining else other.state,
        **_busy(other.load),
        "conferences": len(other.parts),
        "members": other.members,
        "speakers": other.speakers,
        "heard": round(now - other.heard, 1),
        "losses": other.losses,
        "octets": round(other.octets / seconds),
        **_for_whom(other.load),
    }


def _busy(load: Load) -> Row:
    return {
        "calls": load.calls,
        "pending": load.pending,
        "most": load.most_calls,
        "late-ms": round(load.late, 1),
        "cpu": round(load.cpu, 1),
    }


def _for_whom(load: Load) -> Row:
    """takes: which callers who came to other nodes; sip: where those reach it."""
    takes = (load.takes.name or "none").lower() if load.uri else "none"
    return {"region": load.region, "takes": takes, "sip": load.uri}
