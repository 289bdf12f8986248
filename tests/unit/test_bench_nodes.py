"""How the benchmark of real nodes judges what their listeners heard."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import elsewhere
from bench.nodes import Held, judged

HEARD: dict[str, Any] = {
    "callers": 10,
    "expected": 5000,
    "received": 5000,
    "judged": 5000,
    "silent": 0,
    "unheard": 0,
    "longest_silence": 0.0,
}
HELD = Held([0.3, 0.1, 0.2], [HEARD] * 3, [301] * 3, 301, [102.0, 4, 4], [6.0, 54, 54], {}, [0] * 3, 0, 0, "no stalls")


def reached(held: Held) -> bool | None:
    return judged(held, 3, 100, 1, 10.0)[0].reached


def test_all_is_well_where_all_is_heard_and_all_nodes_show_all_members() -> None:
    first, second = judged(HELD, 3, 100, 1, 10.0)
    assert first.reached
    assert second.value == "15.0% of a core", "of those on which nobody speaks"
    assert "where somebody speaks 30.0%" in second.note


@pytest.mark.parametrize(
    "worse",
    [
        replace(HELD, totals=[301, 301, 201]),
        replace(HELD, heard=[HEARD, HEARD, HEARD | {"unheard": 1}]),
        replace(HELD, heard=[HEARD, HEARD, HEARD | {"silent": 500}]),
        replace(HELD, heard=[HEARD, HEARD, HEARD | {"received": 4990}]),
    ],
    ids=["another total", "nothing heard", "silence", "loss"],
)
def test_what_a_listener_would_miss_is_not_reached(worse: Held) -> None:
    assert not reached(worse)


def test_packets_of_ticks_that_a_stall_of_the_machine_took_are_not_lost() -> None:
    stalled = replace(HELD, heard=[HEARD, HEARD, HEARD | {"received": 4980}], stalled=[0, 0, 2])
    assert stalled.loss == 0
    assert reached(stalled)


def test_speakers_elsewhere_must_not_cost_more_and_their_nodes_only_so_much() -> None:
    assert [elsewhere.of_speakers(ratio, 0.1, 400, 3).reached for ratio in (1.01, 1.2)] == [True, False]
    assert [elsewhere.of_nodes(extra, 0.1, 0.1 + 4 * extra, 400, 3).reached for extra in (0.005, 0.05)] == [True, False]
