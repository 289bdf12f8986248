"""The proxy (RFC 3261 section 16): sends calls on that another node is to take, for callers who do not follow a 302.

Each request has its two transactions, as long as those last. Of a call that is up nothing is kept: our Record-Route says all
that is needed, sealed (see tickets.py), and whoever has no such URI for his call is answered with 481 as by any user agent.
The sealed URI that the caller gets leads to the node that has taken the call and nowhere else; only that node gets the one
that leads back. Session descriptions go through as they are: the sound takes the straight way.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from xconf.sip.dialog import is_behind, next_hop
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, Response
from xconf.sip.passage import Failed, Passage
from xconf.sip.session import Items, Session
from xconf.sip.syntax import Parameters
from xconf.sip.tickets import Ticket, Tickets
from xconf.sip.uri import URI, Address

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

Hop = tuple[Flow, Place | None]
MAX_FORWARDS = 70  # for requests that have none (section 16.6 item 3)
_PATIENCE = 8  # times T1: an INVITE has been sent four times by then


class Proxy:
    """Of one user agent. keys: see Tickets; nodes with the same ones can stand in for one another."""

    def __init__(self, ua: UserAgent, keys: Sequence[bytes]) -> None:
        self.tickets = Tickets(keys)
        self._ua = ua
        ua.relay = self.relay

    # A new call

    def forward(
        self, session: Session, target: URI, flow: Flow, failed: Failed, now: float, headers: Items = ()
    ) -> None:
        """Have another user agent answer a call that has just come in (`Invited`), in place of what it says of these header
        fields with these. Whatever it answers is the answer, and ends the session. failed: told when nobody has
        answered and the session can be forwarded elsewhere, accepted or refused. Raises LocalProtocolError if it cannot.
        """
        server = session.lend()
        request = server.request
        if request.max_forwards == 0:
            session.refuse(483, now=now)
            return
        ours, theirs = self._record_routes(request, session.flow, flow)
        onward = _onward(request, target, ())
        onward.headers.set_all("Record-Route", [ours, *request.headers.get_all("Record-Route")])
        for name, value in headers:
            onward.headers.set(name, value)
        self._ua.sign(onward, flow)
        self._ua.counters["forwarded"] += 1
        server.user = partial(self._acknowledged, server.flow)
        Passage(
            self._ua,
            server,
            onward,
            (flow, None),
            now,
            patience=_PATIENCE * self._ua.settings.t1,
            rewrite=partial(_readdress, ours, theirs),
            failed=partial(self._failed, session, failed),
            over=session.passed_on,
        )

    def gone(self, flow: Flow, now: float) -> None:
        """Who is there takes no calls any more: those that it has not answered fail."""
        self._ua.lost_sight(flow, now)

    def _record_routes(self, request: Request, caller: Flow, node: Flow) -> tuple[str, str]:
        """Our Record-Route as the node sees it and as the caller does (section 16.7 item 8)."""
        back = Ticket(caller, to_caller=True, caller_behind=is_behind(request, caller))
        return self._record_route(back, node, request.call_id), self._record_route(
            Ticket(node), caller, request.call_id
        )

    def _record_route(self, ticket: Ticket, side: Flow, call_id: str) -> str:
        params: Parameters = {} if side.transport == "udp" else {"transport": side.transport}
        user = self.tickets.seal(ticket, call_id)
        return str(Address(URI("sip", user, None, side.local[0], side.local[1], {**params, "lr": None})))

    def _failed(self, session: Session, failed: Failed, status: int, now: float) -> None:
        self._ua.counters["forward_failed"] += 1
        session.regain()
        failed(status, now)

    # Requests in dialogs

    def relay(self, request: Request, flow: Flow, now: float) -> bool:
        """Send a request on that belongs to a forwarded call. False: it does not."""
        if request.to.tag is None:
            return False
        ticket, target, routes = self._ticket(request)
        if ticket is None:
            return False
        hop: Hop = (ticket.flow, None)
        if ticket.to_caller:
            hop = next_hop(routes[0].uri if routes else None, target, ticket.flow, ticket.caller_behind)
        if not self._refused(request, flow):
            onward = _onward(request, target, routes)
            self._ua.sign(onward, hop[0])
            self._pass(request, flow, onward, hop, now)
        return True

    def _ticket(self, request: Request) -> tuple[Ticket | None, URI, list[Address]]:
        """The ticket, and the Request-URI and Route of who comes next (sections 16.4 and 16.6 item 6)."""
        routes = request.routes
        if not routes:
            return None, request.uri, routes
        ticket = self.tickets.open(routes[0].uri.user, request.call_id)
        if ticket is not None:
            return ticket, request.uri, routes[1:]
        # A strict router has taken our URI for the target, and put the target behind all others.
        return self.tickets.open(request.uri.user, request.call_id), routes[-1].uri, routes[:-1]

    def _refused(self, request: Request, flow: Flow) -> bool:
        """Whether it goes no further (section 16.3); nothing answers an ACK."""
        answer = self._ua.stateless.answer
        wanted = request.headers.get_all("Proxy-Require")
        if request.method == "ACK":
            return request.max_forwards == 0
        if request.max_forwards == 0:
            answer(request, 483, flow)
        elif wanted:
            answer(request, 420, flow, [("Unsupported", ", ".join(wanted))])
        elif self._ua.transactions.full and request.method != "BYE":
            answer(request, 503, flow, [("Retry-After", str(self._ua.settings.retry_after))])
        else:
            return False
        return True

    def _pass(self, request: Request, flow: Flow, onward: Request, hop: Hop, now: float) -> None:
        if request.method == "ACK":
            self._ua.pass_on(onward, hop)
            return
        server = self._ua.transactions.receive(request, flow)
        if request.method == "INVITE":
            self._ua.promise(server, now)
            server.user = partial(self._acknowledged, flow)
        Passage(self._ua, server, onward, hop, now)

    def _acknowledged(self, flow: Flow, ack: Request, now: float) -> None:
        """The ACK to a 2xx of who takes it for a part of the INVITE's transaction."""
        if not self.relay(ack, flow, now):
            self._ua.counters["stray_ack"] += 1


def _onward(request: Request, target: URI, routes: Sequence[Address]) -> Request:
    """The request as it goes on, but for our Via."""
    headers, left = request.headers.copy(), request.max_forwards
    headers.set_all("Route", [str(route) for route in routes])
    headers.set("Max-Forwards", str(MAX_FORWARDS if left is None else left - 1))
    return Request(request.method, target, headers, request.body)


def _readdress(ours: str, theirs: str, response: Response) -> None:
    """Our Record-Route in a response to the caller is the one for him."""
    routes = response.headers.get_all("Record-Route")
    if ours in routes:
        response.headers.set_all("Record-Route", [theirs if route == ours else route for route in routes])
