"""A RabbitMQ that is reached by TLS: whom a node believes, and what it says when it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from bed_cluster import cluster
from bed_phones import wait_for
from bed_rabbit import Broker, available
from tls_world import Authority

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def broker(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not available():
        pytest.skip("rabbitmq-server is not installed")
    broker = Broker(tmp_path_factory.mktemp("rabbit"), authority.issue("broker", "127.0.0.1"))
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


def test_the_broker_of_tests_is_for_this_machine_alone(broker: Broker) -> None:
    ports = {address.rpartition(":")[0::2] for address in broker.listening()}
    assert {host for host, _ in ports} <= {"127.0.0.1", "[::1]"}
    assert len({port for _, port in ports}) == 4


def test_nodes_meet_at_a_broker_whose_authority_they_believe(
    authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    with cluster(tmp_path, "ab", {"bus": broker.tls_url(), "bus_ca": str(authority.path)}) as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        nodes.call("ann", "a", "3000", seconds=30)
        nodes.call("bob", "b", "3000", seconds=30)
        wait_for(lambda: len(a.members("3000")) == len(b.members("3000")) == 2, 15, "both see both")


@pytest.mark.parametrize(
    ("name", "known", "remedy"),
    [
        ("127.0.0.1", False, "cluster.bus_ca"),
        ("localhost", True, "cluster.bus has to name it as its certificate does"),
    ],
    ids=["authority", "name"],
)
def test_a_broker_that_is_not_believed_is_told_with_what_to_do(
    name: str, known: bool, remedy: str, authority: Authority, broker: Broker, tmp_path: Path
) -> None:
    believed = authority if known else Authority(tmp_path / "others")
    with cluster(tmp_path, "ab", {"bus": broker.tls_url(name), "bus_ca": str(believed.path)}) as nodes:
        for node in nodes.nodes.values():
            wait_for(lambda node=node: remedy in node.log(), 10, "it is said")
            assert "guest" not in node.log()
            assert not node.data("counters")["nodes.bus_connected"]
