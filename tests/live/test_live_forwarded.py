"""A carrier and a telephone that do not follow a 302: the node that they call forwards them to the one that takes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import pytest
from bed_audio import tone_levels
from bed_cluster import Cluster, cluster
from bed_crew import Phones
from bed_phones import wait_for

OF_CALLS = re.compile("calls|session|dialog|leg")
# Node a takes no speakers, and b believes nobody but the other nodes.
OWN = {
    "a": {"cluster": {"router": {"takes": "listeners", "forward": ["127.0.0.0/8"]}}},
    "b": {"sip": {"allow": ["192.0.2.0/24"]}},
}


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("nodes"), "ab", {"router": {"enable": True}}, own=OWN) as made:
        rows = lambda: made.nodes["a"].request("nodes")["data"]  # noqa: E731
        wait_for(lambda: [row["takes"] for row in rows()] == ["listeners", "all"], 10, "a knows that b takes speakers")
        yield made


def wait_over(nodes: Cluster) -> None:
    """Until no call is up on either node."""
    for node in nodes.nodes.values():
        held = lambda node=node: {name: count for name, count in node.held().items() if OF_CALLS.search(name)}  # noqa: E731
        wait_for(lambda held=held: not held(), 10, "no call is left")


@pytest.mark.parametrize(
    "scenario", ["call", "hold", "update", "late-offer", "require-100rel", "session-timer", "info-dtmf"]
)
def test_a_carrier_calls_one_node_and_speaks_with_the_other(nodes: Cluster, phones: Phones, scenario: str) -> None:
    before = nodes.nodes["a"].data("counters").get("calls.forwarded", 0)
    phones.flow(scenario, nodes.nodes["a"], "3030", timeout=20)
    assert nodes.nodes["a"].data("counters")["calls.forwarded"] == before + 1
    wait_over(nodes)


def test_over_tcp(nodes: Cluster, phones: Phones) -> None:
    phones.flow("call", nodes.nodes["a"], "3031", timeout=20, transport="t1")
    wait_over(nodes)


def test_the_node_that_has_taken_the_call_ends_it(nodes: Cluster, phones: Phones) -> None:
    run = phones.sipp("server-ends", nodes.nodes["a"], "3032", calls=5, rate=50)
    nodes.nodes["b"].wait_members("3032", 5)
    assert nodes.nodes["a"].members("3032") == []
    nodes.nodes["b"].ctl("3032 term")
    outcome = run.finish()
    assert (outcome.status, outcome.successful) == (0, 5), outcome.explain()


def test_a_caller_who_gives_up(nodes: Cluster, phones: Phones) -> None:
    outcome = phones.sipp("cancel-late", nodes.nodes["a"], "3033", calls=10, rate=20).finish()
    assert (outcome.status, outcome.successful) == (0, 10), outcome.explain()
    wait_over(nodes)


def test_who_calls_one_node_is_heard_on_the_other(nodes: Cluster, phones: Phones) -> None:
    """And hears: sound goes straight, and by the tunnel to who listens on the first node."""
    ann, bob = phones.baresip("ann", tone=433), phones.baresip("bob", tone=1013)
    for phone in (ann, bob):
        phone.dial(nodes.nodes["a"].uri("3034"))
    nodes.nodes["b"].wait_members("3034", 2)
    ear = nodes.call("ear", "a", "4034", seconds=4)
    ear.wait()
    ann.hangup()
    bob.hangup()
    wait_over(nodes)
    ann.stop()
    for heard, tones in ((ear.heard(), (433, 1013)), (ann.recording().samples, (1013,))):
        for hertz in tones:
            assert float(np.median(tone_levels(heard[8000:24000], hertz))) == pytest.approx(-18, abs=1)
    assert nodes.nodes["a"].data("status")["calls"] == 0
