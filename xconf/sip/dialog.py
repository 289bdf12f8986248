"""Dialogs (RFC 3261 section 12): who talks to whom, by which way, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from xconf.sip.flow import DEFAULT_PORT, Flow, Place
from xconf.sip.message import Request, Response
from xconf.sip.transactions import is_private
from xconf.sip.uri import URI, Address

DialogKey: TypeAlias = tuple[str, str, str]
"""Call-ID, our tag, the peer's tag (empty for a peer of RFC 2543 that has none)."""


class Dialog:
    """One dialog, early or confirmed. local, remote: From and To of our requests, with tags."""

    __slots__ = (
        "call_id",
        "flow",
        "local",
        "local_seq",
        "peer_behind",
        "remote",
        "remote_seq",
        "route_set",
        "target",
    )

    def __init__(
        self,
        call_id: str,
        local: Address,
        remote: Address,
        target: URI,
        route_set: Sequence[Address],
        flow: Flow,
        *,
        local_seq: int,
        remote_seq: int | None,
    ) -> None:
        self.call_id = call_id
        self.local = local
        self.remote = remote
        self.target = target
        self.route_set = route_set
        self.flow = flow
        self.local_seq = local_seq
        self.remote_seq = remote_seq
        self.peer_behind = False
        """The peer sits behind a translator of addresses, or asks for answers at its source: the flow is its address."""

    @classmethod
    def as_server(cls, request: Request, tag: str, flow: Flow, seq: int) -> Dialog:
        """Of a request that was received (section 12.1.1). tag: ours; seq: our requests begin behind it."""
        contact = request.contact
        local = request.to if request.to.tag is not None else request.to.with_tag(tag)
        target = contact.uri if contact else request.from_.uri
        dialog = cls(
            request.call_id,
            local,
            request.from_,
            target,
            request.record_routes,
            flow,
            local_seq=seq,
            remote_seq=request.cseq.number,
        )
        dialog.peer_behind = is_behind(request, flow)
        return dialog

    @classmethod
    def as_client(cls, request: Request, response: Response, flow: Flow) -> Dialog:
        """Of a response to a request of ours (section 12.1.2)."""
        contact = response.contact
        return cls(
            request.call_id,
            request.from_,
            response.to,
            contact.uri if contact else request.uri,
            response.record_routes[::-1],
            flow,
            local_seq=request.cseq.number,
            remote_seq=None,
        )

    @property
    def key(self) -> DialogKey:
        return self.call_id, self.local.tag or "", self.remote.tag or ""

    def in_order(self, request: Request) -> bool:
        """Whether the peer's request is not older than its last one (section 12.2.2); notes its number."""
        number = request.cseq.number
        if self.remote_seq is not None and number < self.remote_seq:
            return False
        self.remote_seq = number
        return True

    def refresh_target(self, message: Request | Response, flow: Flow) -> None:
        """The peer's place may change with each INVITE and UPDATE (sections 12.2.1.2, 12.2.2)."""
        if message.contact is not None:
            self.target = message.contact.uri
        if isinstance(message, Request):
            self.flow = flow
            self.peer_behind = is_behind(message, flow)

    def request(self, method: str, *, seq: int | None = None) -> Request:
        """A request within the dialog, without Via (section 12.2.1.1). seq: for an ACK, that of its INVITE."""
        if seq is None:
            self.local_seq += 1
            seq = self.local_seq
        uri, routes = self._way()
        headers = [("Max-Forwards", "70"), *(("Route", str(route)) for route in routes)]
        headers += [("From", str(self.local)), ("To", str(self.remote)), ("Call-ID", self.call_id)]
        return Request(method, uri, [*headers, ("CSeq", f"{seq} {method}")])

    def _way(self) -> tuple[URI, Sequence[Address]]:
        """Request-URI and Route: a strict router at the front gets the old treatment."""
        if not self.route_set or "lr" in self.route_set[0].uri.params:
            return self.target, self.route_set
        first = self.route_set[0].uri
        return first.replaced(headers={}), [*self.route_set[1:], Address(self.target)]

    def next_hop(self) -> tuple[Flow, Place | None]:
        """Where a request goes: the flow, and the place to connect to when its connection is gone."""
        return next_hop(self.route_set[0].uri if self.route_set else None, self.target, self.flow, self.peer_behind)


def next_hop(route: URI | None, target: URI, flow: Flow, peer_behind: bool) -> tuple[Flow, Place | None]:
    """Where a request for `target` by way of `route`, if there is any, goes: to a peer that was heard on `flow`.

    Names are not looked up: a peer that gives one is answered where it speaks from.
    """
    uri = target if route is None else route
    place = _place_of(uri)
    if place is None:
        return flow, None
    if route is None and (peer_behind or (is_private(place[0]) and not is_private(flow.remote[0]))):
        return flow, place
    if flow.reliable and place[0] == flow.remote[0]:
        return flow, place
    transport = uri.transport or "udp"
    if transport == flow.transport or transport not in DEFAULT_PORT:
        transport = flow.transport
    # Whoever stands in for the peer there must be certified as the peer is.
    return Flow(transport, flow.local, place, None, flow.names if transport == "tls" else ()), None


def is_behind(request: Request, flow: Flow) -> bool:
    """Whether the request came straight from a peer that is to be answered at its source rather than its Contact."""
    if len(request.headers.get_all("Via")) > 1 or request.contact is None:  # lower ones may be malformed
        return False
    via, host = request.via, request.contact.uri.host.lower()
    if host == flow.remote[0]:
        return via.wants_rport
    return host == via.host.lower()


def _place_of(uri: URI) -> Place | None:
    """The address and port of a SIP URI, when it gives an address and not a name."""
    host = uri.params.get("maddr") or uri.host
    if not uri.is_sip or not is_address(host):
        return None
    secure = uri.scheme == "sips" or uri.transport == "tls"
    return host, uri.port or (5061 if secure else 5060)


def is_address(host: str) -> bool:
    """Whether this is an IPv4 or IPv6 address."""
    if ":" in host:
        return True
    pieces = host.split(".")
    return len(pieces) == 4 and all(piece.isdecimal() and int(piece) < 256 for piece in pieces)
