"""A caller, a node that forwards his calls, and nodes that take them, in virtual time (see sip_world.py)."""

from __future__ import annotations

from typing import Any

from sip_world import Network, Node, World

from xconf.sip.flow import Flow
from xconf.sip.proxy import Proxy
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.uri import URI
from xconf.sip.useragent import Answered, Confirmed, Invited

KEY = b"a key of the tests"
REFUSED = 486


class Town:
    """`ann` calls `door`, which forwards to `bob`; when that fails, to `targets[1]`, and so on; then it refuses.

    transport: by which it does.
    """

    def __init__(self, network: Network | None = None, transport: str = "udp", **settings: Any) -> None:
        self.transport = transport
        self.world = World(network)
        chosen = Settings(**settings)
        self.ann, self.door, self.bob, self.cat = (
            self.world.node(name, chosen) for name in ("ann", "door", "bob", "cat")
        )
        self.targets = [self.bob]
        self.proxy = Proxy(self.door.ua, [KEY])
        self.failures: list[tuple[float, int]] = []
        self.headers: list[tuple[str, str]] = []
        self.door.on[Invited] = lambda event: self.forward(event.session, list(self.targets))

    def forward(self, session: Session, targets: list[Node]) -> None:
        if not targets:
            session.refuse(REFUSED, now=self.world.now)
            return
        node, *others = targets

        def failed(status: int, now: float) -> None:
            self.failures.append((round(now, 3), status))
            self.forward(session, others)

        uri = URI("sip", user=node.name, host=node.place[0], port=node.place[1])
        self.proxy.forward(session, uri, self.way(node), failed, self.world.now, self.headers)

    def way(self, node: Node) -> Flow:
        """From the door."""
        return Flow(self.transport, self.door.place, node.place)

    def cut(self, node: Node) -> None:
        """The door loses the connection to a node."""
        self.door.ua.flow_failed(self.way(node), self.world.now)
        self.door.flush()

    def call(self, **options: Any) -> Session:
        return self.ann.call(self.door, **options)

    def connect(self, **options: Any) -> tuple[Session, Session]:
        """A call that is up: Ann's session and that of who took it."""
        ours = self.call(**options)
        self.world.run(3)
        taken = [node for node in (self.bob, self.cat) if node.seen(Confirmed)]
        assert self.ann.seen(Answered) and len(taken) == 1
        return ours, taken[0].seen(Invited)[-1].session

    def settle(self) -> None:
        self.world.settle()
        for node in self.world.nodes.values():
            assert all(event.session.ended for event in node.seen(Invited)), node.name
