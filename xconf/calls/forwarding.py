"""Calls that are forwarded to the node which is to take them, for callers who do not follow a 302."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xconf.calls.placed import Placements
from xconf.calls.placement import Elsewhere
from xconf.sip.dialog import is_address
from xconf.sip.errors import LocalProtocolError
from xconf.sip.flow import DEFAULT_PORT, Flow, Place
from xconf.sip.proxy import Proxy

if TYPE_CHECKING:
    from xconf.calls.arrival import Arrival

Listed = Callable[[str, str], bool]
"""Whether calls from this address, of the trunk of this name ("" for none), are forwarded."""


class Forwarding:
    """flow_to: how to reach an address by a transport; raises LocalProtocolError."""

    def __init__(
        self, proxy: Proxy, placements: Placements, flow_to: Callable[[str, Place], Flow], listed: Listed
    ) -> None:
        self.placements = placements
        self.proxy = proxy
        self._flow_to = flow_to
        self._listed = listed

    def wanted(self, call: Arrival) -> bool:
        """Whether its caller does not follow a 302."""
        return self._listed(call.host, call.trunk.name if call.trunk else "")

    def forward(self, call: Arrival, to: Elsewhere, failed: Callable[[int, float], None], now: float) -> None:
        """Raises LocalProtocolError when there is no way to that node."""
        uri = to.address(call.number)
        if not is_address(uri.host):
            raise LocalProtocolError(f"cluster.router.sip of {to.node} has to have an address in place of {uri.host}")
        transport = "tls" if uri.scheme == "sips" else uri.transport or "udp"
        flow = self._flow_to(transport, (uri.host, uri.port or DEFAULT_PORT.get(transport, 5060)))
        trunk = call.trunk.name if call.trunk else ""
        sealed = self.placements.seal(call.request, call.host, trunk, to.node)
        self.proxy.forward(call.session, uri, flow, failed, now, [sealed])
