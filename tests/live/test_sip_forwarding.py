"""A call that is forwarded over a real connection, which breaks: by TCP and by TLS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bed_stand import SDP, Stand
from tls_world import Authority

from xconf.sip.flow import Flow
from xconf.sip.proxy import Proxy
from xconf.sip.session import Session
from xconf.sip.tls.ports import Security, load
from xconf.sip.uri import URI
from xconf.sip.useragent import Answered, Event, Invited, Progress

pytestmark = pytest.mark.long

ADDRESSES = {"ann": "127.0.0.91", "door": "127.0.0.92", "bob": "127.0.0.93", "cat": "127.0.0.94"}


class Road:
    """Ann calls the door, which forwards to Bob, and to Cat when that fails. transport: by which it does."""

    def __init__(self, folder: Path, transport: str) -> None:
        authority = Authority(folder)
        self.transport = transport
        self.stands: dict[str, Stand] = {}
        for name, address in ADDRESSES.items():
            security = Security(load(authority.issue(name, address)))
            listens = [f"udp://{address}:0"] if name == "ann" else [f"udp://{address}:0", f"{transport}://{address}:0"]
            self.stands[name] = Stand(*listens, security=security)
        self.failures: list[int] = []
        self.proxy = Proxy(self["door"].service.user_agent, [b"a key of the tests"])
        self["door"].react = self._invited
        self["cat"].accept_all()

    def __getitem__(self, name: str) -> Stand:
        return self.stands[name]

    def way(self, name: str) -> Flow:
        return self["door"].service.flow_to(self.transport, self[name].address(self.transport))

    def _invited(self, event: Event) -> None:
        if isinstance(event, Invited):
            self.forward(event.session, ["bob", "cat"])

    def forward(self, session: Session, names: list[str]) -> None:
        name, *others = names

        def failed(status: int, now: float) -> None:
            self.failures.append(status)
            self.forward(session, others)

        uri = URI("sip", user=name, host=ADDRESSES[name], port=self[name].address(self.transport)[1])
        self.proxy.forward(session, uri, self.way(name), failed, self["door"].now)

    def call(self) -> None:
        ann = self["ann"]
        flow = ann.service.flow_to("udp", self["door"].address("udp"))
        ann.service.user_agent.invite("sip:3000@door", sdp=SDP, from_="<sip:ann@ann>", flow=flow, now=ann.now)

    def until(self, name: str, kind: type[Event]) -> None:
        def look() -> object:
            for other in self.stands.values():
                other.spin()
            return self[name].seen(kind)

        self[name].wait(look)

    def break_off(self, name: str) -> None:
        """All connections of that one."""
        for connection in tuple(self[name].service.connections._by_id.values()):
            connection.abort()


@pytest.fixture(params=["tcp", "tls"])
def road(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Road]:
    made = Road(tmp_path, request.param)
    yield made
    for stand in made.stands.values():
        stand.stop()


def test_a_connection_that_breaks_while_it_rings_has_the_next_node_take_the_call(road: Road) -> None:
    def ring(event: Event) -> None:
        if isinstance(event, Invited):
            event.session.ring(now=road["bob"].now)

    road["bob"].react = ring
    road.call()
    road.until("ann", Progress)
    road.break_off("bob")
    road.until("ann", Answered)
    assert road.failures == [503]
    assert len(road["cat"].seen(Invited)) == 1
    assert not road["door"].service.user_agent._watched


def test_a_node_that_cannot_be_connected_to_is_passed_over(road: Road) -> None:
    gone = road["bob"].address(road.transport)
    road["bob"].service._close_ports()
    road["bob"].service._listeners.append((road.transport, gone))
    road.call()
    road.until("ann", Answered)
    assert road.failures == [503] and len(road["cat"].seen(Invited)) == 1
