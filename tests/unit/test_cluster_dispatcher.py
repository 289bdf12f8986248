"""The list of nodes for kamailio: octet for octet, and what is shared out by it."""

from __future__ import annotations

from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.cluster.dispatcher import HUNDRED, Place, rows, text
from xconf.cluster.status import Load

NOON = 1_795_262_400.0


def place(node: str, calls: int = 0, most: int = 1000, *, here: bool = True, draining: bool = False) -> Place:
    return Place(node, here, Load(calls, most, draining=draining, uri=f"sip:{node}.example:5060"))


def test_what_is_written() -> None:
    places = [
        place("a", 417),
        place("b", 20),
        place("c", 3, draining=True),
        place("d", 1000),
        place("e", 5, here=False),
        Place("f", True, Load(0, 1000)),
        Place("g", True, Load(0, 10, uri="sip:[2001:db8::1]:5061;transport=tls")),
    ]
    assert text(rows(places), "a", NOON) == dedent("""\
        # kamailio's dispatcher list, written by node a at 2026-11-21 12:00:00+00:00
        # a: 417 of 1000 calls
        1 sip:a.example:5060 8 0 rweight=35
        # b: 20 of 1000 calls
        1 sip:b.example:5060 8 0 rweight=60
        # c: draining, 3 of 1000 calls
        1 sip:c.example:5060 9 0 rweight=1
        # d: 1000 of 1000 calls
        1 sip:d.example:5060 9 0 rweight=1
        # e: silent
        1 sip:e.example:5060 9 0 rweight=1
        # f: no SIP URI (cluster.router)
        # g: 0 of 10 calls
        1 sip:[2001:db8::1]:5061;transport=tls 8 0 rweight=2""")


@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=256))
def test_weights_are_hundredths_and_follow_the_free_capacity(free: list[int]) -> None:
    listed = rows([place(f"n{number}", 0, calls) for number, calls in enumerate(free)])
    weights = [row["weight"] for row in listed]
    assert sum(weights) == HUNDRED or not any(free)
    assert all(weights) or len(free) > HUNDRED
    assert sum(map(bool, weights)) == min(len(free), HUNDRED)
    for calls, weight in zip(free, weights, strict=True):
        due = (HUNDRED - len(free)) * calls / max(1, sum(free)) + 1
        assert len(free) > HUNDRED or abs(weight - due) <= 1
        assert weight or calls <= sorted(free)[-HUNDRED]


@pytest.mark.parametrize(("calls", "draining"), [(1001, False), (0, True), (1000, False)])
def test_who_takes_no_calls_is_asked_until_it_does(calls: int, draining: bool) -> None:
    """It stays in the list, for what kamailio passes on in calls that are up."""
    (row,) = rows([place("a", calls, draining=draining)])
    assert row["flags"] == 9
