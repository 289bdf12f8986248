"""Calls that one node forwards to another by TLS, to a name: for who it is said to be, and for nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bed_cluster import overrides
from bed_crew import Phones
from bed_phones import own_address, wait_for
from bed_server import SIP_PORT, Server
from tls_world import Authority

pytestmark = pytest.mark.long

TLS_PORT = 15061


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[Server, Server]]:
    """Node a forwards whoever speaks to b, which is `localhost`; its certificate is for the name of the test's parameter."""
    authority = Authority(tmp_path / "ca")
    addresses = {"a": own_address(), "b": own_address()}
    secure = {"a": f"tls://{addresses['a']}:{TLS_PORT}", "b": f"tls://127.0.0.1:{TLS_PORT}"}
    certified = {"a": addresses["a"], "b": request.param}
    routers = {
        "a": {"takes": "listeners", "forward": ["127.0.0.0/8"]},
        "b": {"sip": f"sips:localhost:{TLS_PORT}"},
    }
    servers: list[Server] = []
    try:
        for name, address in addresses.items():
            files = authority.issue(name, certified[name])
            sip = {
                "listen": [f"udp://{address}:{SIP_PORT}", secure[name]],
                "tls": {"certificate": str(files.certificate), "key": str(files.key), "ca": str(files.ca)},
                "allow": ["127.0.0.0/8"] if name == "a" else ["192.0.2.0/24"],
            }
            peers = [other for other in addresses.values() if other != address]
            its = overrides(name, address, peers, {"router": {"enable": True, **routers[name]}}, {"sip": sip})
            servers.append(Server(tmp_path / name, its, address))
        a, b = servers
        rows = lambda: a.request("nodes")["data"]  # noqa: E731
        wait_for(lambda: [row["takes"] for row in rows()] == ["listeners", "all"], 10, "a knows that b takes speakers")
        yield a, b
    finally:
        for server in servers:
            server.kill()


@pytest.mark.parametrize("pair", ["localhost"], indirect=True)
def test_a_call_goes_to_the_other_node_by_tls_and_ends_from_either_side(
    pair: tuple[Server, Server], phones: Phones
) -> None:
    a, b = pair
    ann, bob = phones.baresip("ann"), phones.baresip("bob")
    for phone in (ann, bob):
        phone.dial(a.uri("3030"))
    b.wait_members("3030", 2)
    assert a.members("3030") == []
    assert "forwarded to b at sips:localhost" in a.log()
    ann.hangup()
    b.wait_members("3030", 1)
    b.ctl("3030 term")
    wait_for(lambda: not b.data("status")["calls"], 10, "the call is over on b")


@pytest.mark.parametrize("pair", ["elsewhere.example"], indirect=True)
def test_a_node_with_the_certificate_of_somebody_else_gets_no_call(pair: tuple[Server, Server], phones: Phones) -> None:
    a, b = pair
    phone = phones.baresip("ann")
    phone.dial(a.uri("3030"))
    a.wait_members("3030", 1)  # which is better than nowhere
    assert b.data("status")["calls"] == 0
    assert "its certificate is for elsewhere.example, not for localhost" in a.log()
    assert a.data("counters")["calls.not_forwarded"] == 1
    phone.hangup()
