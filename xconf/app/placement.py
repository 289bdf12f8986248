"""The router between the nodes, as the calls ask it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

from xconf.app.nodes import Nodes
from xconf.calls.inbound import Calls
from xconf.calls.placement import Elsewhere
from xconf.cluster.router import Caller, Router
from xconf.cluster.status import Load
from xconf.conference.registry import Conferences
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.uri import URI

LOOK_EVERY = 0.25  # s: to find out how busy this node is costs more than to place a call


class NodePlacement:
    """load: how busy this node is."""

    def __init__(self, router: Router, conferences: Conferences, calls: Calls, load: Callable[[], Load]) -> None:
        self._router = router
        self._conferences = conferences
        self._load = load
        self._calls = calls
        self._seen: tuple[float, Load] | None = None

    def choose(
        self, conference: str, speaks: bool, call: str, *, closed: bool, without: Collection[str] = ()
    ) -> Elsewhere | None:
        """See `Placement`."""
        now, here = self._conferences.clock.seconds(), self._conferences.get(conference)
        speakers = here.speakers if speaks and here is not None else 0
        caller = Caller(conference, speaks, call)
        choice = self._router.choose(caller, self._own(now), speakers, now, closed=closed, without=without)
        if choice is None or not choice.uri:
            return None
        try:
            return Elsewhere(choice.node, URI.parse(choice.uri), choice.why)
        except RemoteProtocolError:  # another version's; the call is better off here
            return None

    def open(self) -> Sequence[str]:
        return self._router.open(self._conferences.clock.seconds())

    def _own(self, now: float) -> Load:
        if self._seen is None or now - self._seen[0] >= LOOK_EVERY:
            self._seen = now, self._load()
        return replace(self._seen[1], calls=len(self._calls), draining=self._calls.away is not None)


def make_placement(nodes: Nodes | None, conferences: Conferences, calls: Calls) -> NodePlacement | None:
    """None where there is no router."""
    if nodes is None or nodes.router is None:
        return None
    return NodePlacement(nodes.router, conferences, calls, nodes.load)
