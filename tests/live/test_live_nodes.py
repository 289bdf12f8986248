"""Nodes with a real RabbitMQ between them: stopped, killed and brought back, while calls go on."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from bed_cluster import cluster
from bed_phones import wait_for
from bed_rabbit import Broker, available
from bed_server import BIN


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    if not available():
        pytest.skip("rabbitmq-server is not installed")
    broker = Broker(tmp_path_factory.mktemp("rabbit"))
    try:
        broker.start()
        yield broker
    finally:
        broker.close()


def rows(node: Any, command: str) -> Any:
    return node.request(command)["data"]


def everybody(node: Any) -> set[tuple[str, str]]:
    return {(row.get("node", "?"), row["uuid"]) for row in rows(node, "3000 show members") or ()}


@contextlib.contextmanager
def following(node: Any) -> Iterator[Iterator[dict[str, Any]]]:
    """What `xconf ctl follow` tells, from when it is under way."""
    command = [str(BIN / "xconf"), "ctl", "-c", str(node.config), "--json", "follow"]
    with subprocess.Popen(command, cwd=node.folder, stdout=subprocess.PIPE, text=True) as process:
        wait_for(lambda: followed(node), 10, "somebody follows")
        assert process.stdout is not None
        yield map(json.loads, process.stdout)
        process.kill()


def followed(node: Any) -> bool:
    return int(node.data("counters").get("nodes.following", 0)) > 0


@pytest.mark.long
def test_members_of_all_nodes_are_steered_and_a_broker_that_dies_costs_nobody_a_call(
    broker: Broker, tmp_path: Any
) -> None:
    with cluster(tmp_path, "ab", {"bus": broker.url}) as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        nodes.call("ann", "a", "3000", seconds=60)
        nodes.call("bob", "b", "3000", seconds=60)
        nodes.call("cid", "b", "4000", seconds=60)
        wait_for(lambda: len(everybody(a)) == 3 and len(everybody(b)) == 3, 15, "all see all")
        assert everybody(a) == everybody(b)
        took = []
        for _ in range(20):
            began = time.monotonic()
            assert len(everybody(a)) == 3
            took.append(time.monotonic() - began)
        assert sorted(took)[10] < 0.1
        cid = next(row["uuid"] for row in rows(a, "3000 show members") if row["role"] == "listener")
        assert "mute" in a.ctl(f"3000 member {cid} flags +mute")
        assert "mute" in b.ctl(f"3000 member {cid} flags")
        assert [row["state"] for row in rows(a, "nodes")] == ["this one", "here"]

        broker.stop()
        wait_for(lambda: "RabbitMQ" in a.ctl("3000 show members"), 10, "it is said that there is no bus")
        broker.start()
        wait_for(lambda: len(everybody(a)) == 3 and len(everybody(b)) == 3, 25, "all see all again")

        broker.kill()
        wait_for(lambda: "RabbitMQ" in a.ctl("3000 show members"), 10, "it is said that there is no bus")
        assert rows(a, "list")[0]["all-members"] == 3, "the totals go on"
        refused = a.request(f"3000 member {cid} kick")
        assert not refused["ok"] and "RabbitMQ" in refused["text"] and "\n" not in refused["text"]
        assert "locked" in a.ctl("3000 flags +locked")
        wait_for(lambda: "locked" in b.ctl("3000 flags"), 2, "flags need no bus")
        a.ctl("3000 flags -locked")

        broker.start()
        wait_for(lambda: len(everybody(a)) == 3 and len(everybody(b)) == 3, 25, "all see all again")
        assert all(phone.process.poll() is None for phone in nodes.phones.values()), "nobody lost the call"
        with following(a) as events:
            assert a.ctl(f"3000 member {cid} kick") == f"kicked {cid}"
            gone = next(event for event in events if event["event"] == "member-left")
        assert (gone["node"], gone["member"]) == ("b", cid)
        wait_for(lambda: len(everybody(a)) == 2, 5, "cid is gone")

        b.process.kill()
        wait_for(lambda: rows(a, "list")[0]["all-members"] == 1, 4, "b's members do not count any more")
        assert rows(a, "nodes")[1]["state"] == "silent"
        assert "without" not in a.ctl("3000 show members")
        assert rows(a, "counters")["nodes.bus_connected"] == 3


@pytest.mark.long
def test_a_node_that_comes_later_has_what_was_set_and_who_came_last_is_removed_from_any(
    broker: Broker, tmp_path: Any
) -> None:
    with cluster(tmp_path, "abc", {"bus": broker.url}) as nodes:
        a, b, c = (nodes.nodes[name] for name in "abc")
        nodes.call("ann", "a", "3000", seconds=60)
        wait_for(lambda: len(everybody(b)) == 1, 15, "b sees who is on a")
        a.ctl("3000 set vad.level 512")
        nodes.call("bob", "b", "3000", seconds=60)
        b.wait_members("3000", 1)

        def level() -> str:
            return next(row["value"] for row in rows(b, "3000 show profile") if row["key"] == "vad.level")

        wait_for(lambda: level() == "512", 2, "b has what was set on a")
        wait_for(lambda: len(everybody(c)) == 2, 5, "c sees both")
        (bob,) = [uuid for node, uuid in everybody(c) if node == "b"]
        assert bob in c.ctl("3000 kick-last")
        wait_for(lambda: {node for node, _ in everybody(a)} == {"a"}, 10, "bob is gone")
