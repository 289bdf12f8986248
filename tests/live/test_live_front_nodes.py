"""kamailio with the shipped conf/kamailio in front of real nodes, which write its list; telephones call kamailio alone."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_levels
from bed_cluster import Cluster, Phone
from bed_front import Front, front_and_nodes
from bed_phones import own_address, wait_for
from bed_server import Server
from bed_silence import BUSY, silences

from bench.stalls import StallMonitor

TONE = 433.0
PATIENCE = 1.0  # s that the front waits for a node


def test_who_calls_the_front_is_on_a_node_and_heard_on_all(tmp_path: Path) -> None:
    with front_and_nodes(tmp_path, "ab") as (front, nodes):
        both = list(nodes.nodes.values())
        ears = {node: listener(front, nodes, node, both) for node in both}
        front.give_to(both, both)
        nodes.dial("ann", front.uri("3000"), own_address(), seconds=1.5, tone=TONE).wait()
        for node, ear in ears.items():
            node.ctl("3000 term")
            ear.wait()
            heard = tone_levels(ear.heard(), TONE, segment=0.1)
            assert np.sum(heard > -20) == pytest.approx(15, abs=3), "all that ann says, whichever node she is on"


def listener(front: Front, nodes: Cluster, node: Server, among: list[Server], *, stays: bool = False) -> Phone:
    """Somebody who calls the front, and is on that node: as one who was sent there already, he is not sent on. stays: nor moved."""
    front.give_to([node], among)
    before = len(node.members("3000"))
    uri = front.uri("4000") + ";xconf=placed"
    phone = nodes.dial(f"ear {node.address} {before}", uri, own_address(), seconds=60, stays=stays)
    node.wait_members("3000", before + 1)
    return phone


@pytest.mark.long
def test_kamailio_follows_a_node_that_sends_speakers_to_another(tmp_path: Path) -> None:
    """The telephones know nothing of 302; each conference has its speakers on the same node, whichever they are given to."""
    with front_and_nodes(tmp_path, "ab") as (front, nodes):
        both = list(nodes.nodes.values())
        numbers = ["3000", "3001", "3002", "3003"]
        for node in both:
            front.give_to([node], both)
            for number in numbers:
                assert answered_after(nodes, f"{number} by {node.address}", front.uri(number)) < PATIENCE
        wait_for(lambda: sum(len(node.members(number)) for node in both for number in numbers) == 8, 5, "all are there")
        where = {number: [len(node.members(number)) for node in both] for number in numbers}
        assert sorted(map(max, where.values())) == [2, 2, 2, 2], where
        assert {counts.index(2) for counts in where.values()} == {0, 1}, "and not all of them on one"
        sent = [node.data("counters")["calls.sent_on"] for node in both]
        assert sum(sent) == 4, "half of them came to the other node first"
        for node in both:
            for number in numbers:
                node.request(f"{number} term")
        for phone in nodes.phones.values():
            phone.wait()


@pytest.mark.long
def test_a_node_that_is_killed_costs_new_callers_a_second_and_those_on_other_nodes_nothing(
    tmp_path: Path, stalls: StallMonitor
) -> None:
    with front_and_nodes(tmp_path, "abc") as (front, nodes):
        all_three = list(nodes.nodes.values())
        ears = {node: listener(front, nodes, node, all_three) for node in all_three}
        front.give_to(all_three, all_three)
        ann = nodes.dial("ann", front.uri("3000"), own_address(), seconds=60, tone=TONE)
        wait_for(lambda: sum(len(node.members("3000")) for node in all_three) == 4, 10, "all are there")
        speaks = next(node for node in all_three if len(node.members("3000")) == 2)
        victim, other = [node for node in all_three if node is not speaks]
        time.sleep(2.0)
        died = time.monotonic()
        victim.process.kill()
        took = [answered_after(nodes, f"new {number}", front.uri("4000")) for number in range(6)]
        assert max(took) < 3, took
        wait_for(lambda: front.flags()[f"sip:{victim.target}"] == "IP", 4, "it is known to be dead")
        later = [answered_after(nodes, f"later {number}", front.uri("4000")) for number in range(3)]
        assert max(later) < PATIENCE, "nobody is given to the dead node any more"
        wait_for(lambda: "silent" in front.take(other, speaks), 5, "the list says so, too")
        assert len(speaks.members("3000")) + len(other.members("3000")) == 3 + 6 + 3
        time.sleep(1.0)
        ends = time.monotonic()
        for node in (speaks, other):
            node.ctl("3000 term")
        ann.wait()
        for node in (speaks, other):
            ears[node].wait()
            gaps = silences(ears[node], stalls, TONE, died - 1, ends - 0.3)
            assert max(gaps, default=0) <= BUSY, f"ann is heard without a gap: {gaps}; {stalls.describe()}"


def answered_after(nodes: Cluster, name: str, uri: str) -> float:
    """Somebody calls, and stays; seconds until the answer."""
    phone = nodes.dial(name, uri, own_address(), seconds=60)
    return phone.answered_after()


@pytest.mark.long
def test_a_node_that_is_drained_gets_no_new_calls_and_ends_when_it_is_empty(tmp_path: Path) -> None:
    with front_and_nodes(tmp_path, "ab") as (front, nodes):
        a, b = nodes.nodes.values()
        ears = {node: listener(front, nodes, node, [a, b], stays=True) for node in (a, b)}
        front.give_to([a, b], [a, b])
        a.ctl("drain")
        assert "draining" in front.take(b)
        for number in range(6):
            assert answered_after(nodes, f"new {number}", front.uri("4000")) < PATIENCE
        assert (len(a.members("3000")), len(b.members("3000"))) == (1, 7), "all are on the other node"
        wait_for(lambda: front.flags()[f"sip:{a.target}"] == "IP", 5, "its answer to OPTIONS says the same")
        a.ctl("3000 term")
        ears[a].wait()
        assert a.process.wait(10) == 0, "it stops by itself"
        assert f"sip:{a.target}" not in front.take(b), "and is not in the list any more"
        b.ctl("3000 term")
        ears[b].wait()
