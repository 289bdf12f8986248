"""Calls that are forwarded to the node which is to take them, for callers who do not follow a 302."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from xconf.calls.moved import goes_along
from xconf.calls.next_hops import NextHops, NoWay
from xconf.calls.placed import Placements
from xconf.calls.placement import Elsewhere
from xconf.sip.errors import LocalProtocolError
from xconf.sip.flow import Flow
from xconf.sip.proxy import Proxy
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.calls.arrival import Arrival

log = Logger()

Listed = Callable[[str, str], bool]
"""Whether calls from this address, of the trunk of this name ("" for none), are forwarded."""

NotTaken = Callable[[str], None]
"""Told why a node has not taken a call, which can go elsewhere then."""

WHY_NOT = {408: "it says nothing", 503: "it has no room, or cannot be reached"}


class Forwarding:
    """hops: how to reach a node. seconds: the clock of the SIP side."""

    def __init__(
        self, proxy: Proxy, placements: Placements, hops: NextHops, listed: Listed, seconds: Callable[[], float]
    ) -> None:
        self.placements = placements
        self.proxy = proxy
        self._hops = hops
        self._listed = listed
        self._seconds = seconds
        self._ways: dict[str, list[Flow]] = {}  # to nodes that calls were forwarded to

    def wanted(self, call: Arrival) -> bool:
        """Whether its caller does not follow a 302."""
        return self._listed(call.host, call.trunk.name if call.trunk else "")

    def forward(self, call: Arrival, to: Elsewhere, not_taken: NotTaken) -> None:
        """To the node's addresses, one after the other."""

        def found(flows: list[Flow]) -> None:
            self._ways[to.node] = flows
            self._try(call, to, flows, not_taken)

        def nowhere(failure: Failure) -> None:
            failure.trap(NoWay)
            if call.session.incoming:
                not_taken(str(failure.value))

        self._hops.to(to.uri).addCallbacks(found, nowhere).addErrback(self._fault, call)

    def gone(self, node: str) -> None:
        """It is not there any more: what it has not answered goes elsewhere."""
        for flow in self._ways.pop(node, ()):
            self.proxy.gone(flow, self._seconds())

    def _try(self, call: Arrival, to: Elsewhere, flows: list[Flow], not_taken: NotTaken) -> None:
        if not call.session.incoming:  # the caller has given up meanwhile
            return
        flow, *others = flows

        def failed(status: int, now: float) -> None:
            if others:
                self._try(call, to, others, not_taken)
            else:
                not_taken(WHY_NOT.get(status, str(status)))

        trunk = call.trunk.name if call.trunk else ""
        sealed = self.placements.seal(call.request, call.host, trunk, to.node)
        try:
            uri = _target(goes_along(to.address(call.number), call.request))
            self.proxy.forward(call.session, uri, flow, failed, self._seconds(), [sealed])
        except LocalProtocolError as error:
            not_taken(str(error))

    def _fault(self, failure: Failure, call: Arrival) -> None:
        """One of ours. It ends this call, and touches no other."""
        log.failure("a fault in a forwarded call; it is ended", failure, call_id=call.session.call_id)
        if call.session.incoming:
            call.session.refuse(500, now=self._seconds())


def _target(uri: URI) -> URI:
    """As it stands in the request. `sips` would be said of the whole way, of which only a part is ours (RFC 5630 section 3.1.3)."""
    return uri.replaced(scheme="sip", params={**uri.params, "transport": "tls"}) if uri.scheme == "sips" else uri
