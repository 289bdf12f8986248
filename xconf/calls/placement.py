"""Calls that another node is to take: who says which, and how the caller is told."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from twisted.logger import Logger

from xconf.calls.access import Route
from xconf.calls.identity import caller_of
from xconf.calls.moved import goes_along
from xconf.conference.settings import Settings
from xconf.sip.message import Request
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.calls.arrival import Arrival
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

    def choose(
        self, conference: str, speaks: bool, call: str, *, closed: bool, without: Collection[str] = ()
    ) -> Elsewhere | None:
        """None: this node, if it takes calls. call: what names it; closed: this node takes none; without: nodes that do not."""

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


def elsewhere(
    calls: Calls, request: Request, route: Route, closed: bool, without: Collection[str] = ()
) -> Elsewhere | None:
    """The node that is to take a call; None: this one, if it takes calls. without: nodes that have not taken it."""
    if calls.away is not None and calls.away.targets:
        return calls.away.next()
    if calls.placement is None or placed(request):
        return None
    return calls.placement.choose(route.conference, speaks(route), request.call_id, closed=closed, without=without)


def send_on(calls: Calls, call: Arrival, route: Route, to: Elsewhere, without: frozenset[str]) -> None:
    """Here the caller is told, or the call is forwarded for him. without: nodes that have not taken it."""
    forwarding = calls.forwarding if to.chosen else None
    forwarded = forwarding is not None and forwarding.wanted(call)
    calls.counters["forwarded" if forwarded else "sent_on"] += 1
    log.info(
        "call from {caller} at {host} to {number} {how} to {node} at {address}: {why}",
        call_id=call.session.call_id,
        caller=caller_of(call.request),
        host=call.host,
        number=call.number,
        how="forwarded" if forwarded else "sent on",
        node=to.node,
        address=str(to.uri),
        why=to.why,
    )
    if forwarding is None or not forwarded:
        there = goes_along(to.address(call.number), call.request)
        call.session.refuse(302, now=calls.seconds(), headers=[("Contact", f"<{there}>")])
        return

    def not_taken(why: str) -> None:
        calls.counters["not_forwarded"] += 1
        log.warn("not taken by {node}: {why}", call_id=call.session.call_id, node=to.node, why=why)
        calls.place(call, route, without | {to.node})

    forwarding.forward(call, to, not_taken)
