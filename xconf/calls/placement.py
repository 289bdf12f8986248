"""Calls that another node is to take: who says which, and how the caller is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger

from xconf.calls.access import Route
from xconf.calls.identity import caller_of
from xconf.conference.settings import Settings
from xconf.sip.message import Request
from xconf.sip.session import Session
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.calls.inbound import Calls

log = Logger()

MARK = "xconf", "placed"  # parameter of the URI at which a call arrives that another node has sent


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """node: its name; uri: where it takes callers who came to others, without a user; why: in a few words; chosen: that node
    takes the call or refuses it; else it may send it on.
    """

    node: str
    uri: URI
    why: str
    chosen: bool = True

    def address(self, number: str) -> URI:
        """Where that number is answered there."""
        mark = dict([MARK]) if self.chosen else {}
        return self.uri.replaced(user=number, params={**self.uri.params, **mark})


class Placement(Protocol):
    """Knows all nodes, and which one a call is for."""

    def choose(self, conference: str, speaks: bool, call: str, *, closed: bool) -> Elsewhere | None:
        """None: this node, if it takes calls. call: what names it; closed: this node takes none."""

    def open(self) -> Sequence[str]:
        """The names of the other nodes that have room."""


def placed(request: Request) -> bool:
    """Another node has chosen this one: the call is not sent on again."""
    name, value = MARK
    return request.uri.params.get(name) == value


def speaks(route: Route) -> bool:
    """Whether who calls that number is a speaker."""
    return Settings.of(route.flags).speaker


def goes_on(calls: Calls, request: Request) -> bool:
    """Whether there may be a node to send this call to."""
    if calls.away is not None and calls.away.targets:
        return True
    return calls.placement is not None and not placed(request)


def elsewhere(calls: Calls, request: Request, route: Route, closed: bool) -> Elsewhere | None:
    """The node that is to take a call; None: this one, if it takes calls."""
    if calls.away is not None and calls.away.targets:
        return calls.away.next()
    if calls.placement is None or placed(request):
        return None
    return calls.placement.choose(route.conference, speaks(route), request.call_id, closed=closed)


def send_on(calls: Calls, session: Session, request: Request, number: str, to: Elsewhere) -> None:
    """Here the caller is told."""
    address = to.address(number)
    calls.counters["sent_on"] += 1
    log.info(
        "call from {caller} at {host} to {number} sent on to {node} at {address}: {why}",
        call_id=session.call_id,
        caller=caller_of(request),
        host=session.flow.remote[0],
        number=number,
        node=to.node,
        address=str(to.uri),
        why=to.why,
    )
    session.refuse(302, now=calls.seconds(), headers=[("Contact", f"<{address}>")])
