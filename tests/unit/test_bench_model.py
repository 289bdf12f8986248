"""What nodes of a cluster cost, by the model of the benchmarks."""

from __future__ import annotations

import pytest

from bench import model
from bench.model import Costs, Shape
from bench.page import Book, Measured
from bench.table import Figures, Row

COSTS = Costs(0.04, 1e-4, 0.01, 30e-6, 25e-6, 4e-6, 20e-6, 160e-6, 13e-6, 3e-6)


def kept(*rows: Row) -> Measured:
    return Measured("2026-01-31", "abc", "a machine", False, Figures(list(rows)))


def test_costs_are_read_from_what_was_measured() -> None:
    book = Book(
        {
            "fanout": kept(
                Row("listeners per core, kernel filter on; 1 speaker, 5000 listeners that send", "", "12,500"),
                Row("50 speakers all speaking + 5000 listeners", "at most 5%", "1.5% of a core"),
            ),
            "elsewhere": kept(
                Row("CPU of a node with 400 listeners, 50", "", "1 times", None, "median of 3, 7.0% of a core with 1")
            ),
            "tunnel": kept(
                Row(
                    "tunnel: a conference at 8000 Hz, pcm, 8 other nodes",
                    "-",
                    "1 %",
                    None,
                    "31 us a tick to send its own sound, 25 to take in each other node's",
                ),
            ),
            "statuses": kept(
                Row("statuses: to take in one", "-", "0.5%", None, "19.5 us a status, opened"),
                Row("statuses: to tell of", "-", "0.1%", None, "163 us a status, sealed"),
            ),
            "relay": kept(Row("relay: a conference", "-", "4 %", None, "13.3 us a datagram, and 3.4 for each tunnel")),
        }
    )
    found = model.costs(book)
    assert found.node + 5000 * found.listener == pytest.approx(0.4), "12,500 a core"
    assert found.node + 400 * found.listener == pytest.approx(0.07 - 50 * 25e-6)
    assert found.speakers == pytest.approx(0.015)
    assert (found.say, found.hear, found.write) == pytest.approx((31e-6, 25e-6, 3.4e-6))
    assert (found.status, found.tell, found.relay, found.clone) == pytest.approx((19.5e-6, 163e-6, 13.3e-6, 3.4e-6))
    del book.kept["relay"]
    with pytest.raises(SystemExit, match="make bench ARGS=relay"):
        model.costs(book)


def test_a_node_of_unicast_sends_to_each_and_others_once() -> None:
    unicast, multicast, relay = (Shape(50, 200_000, mode, 5) for mode in ("unicast", "multicast", "relay"))
    loads = [model.node(COSTS, shape, speaks=True) for shape in (unicast, multicast, relay)]
    assert [load.sent for load in loads] == [49 * 52, 52, 52]
    assert [load.came for load in loads] == [49 * 2 + 4 * 50] * 3
    assert loads[0].cpu - loads[1].cpu == pytest.approx(48 * 52 * COSTS.write)


def test_a_listening_node_pays_for_nodes_that_speak_and_not_for_those_who_do() -> None:
    shape, more = Shape(50, 200_000, "multicast", 1), Shape(50, 200_000, "multicast", 5)
    one = model.node(COSTS, shape, speaks=False).cpu
    assert model.node(COSTS, more, speaks=False).cpu - one == pytest.approx(4 * 50 * COSTS.hear)
    assert one > COSTS.node + 4000 * COSTS.listener


def test_a_relay_clones_to_its_nodes_and_upwards_what_came_from_below() -> None:
    alone, tree = Shape(17, 0, "relay", 1), Shape(256, 0, "relay", 1, leaves=16)
    assert model.relay(COSTS, alone).sent == pytest.approx(model.relay(COSTS, alone).came * 16)
    assert model.relay(COSTS, tree).sent == pytest.approx(model.relay(COSTS, tree).came * 16)
