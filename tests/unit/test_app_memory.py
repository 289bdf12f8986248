"""When the garbage collector looks at everything."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterator

import pytest
from twisted.internet.task import Clock

from xconf.app import memory
from xconf.app.memory import FEW, LOOK_EVERY, YOUNG_EVERY, Collector


class Full:
    """Full collections, counted while it is watched."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, phase: str, information: dict[str, int]) -> None:
        self.count += phase == "start" and information["generation"] == 2


@pytest.fixture
def full() -> Iterator[Full]:
    watching = Full()
    gc.callbacks.append(watching)
    yield watching
    gc.callbacks.remove(watching)


@pytest.mark.parametrize(
    ("calls", "transactions", "collected"),
    [
        (0, 1, True),
        (1, 1, False),
        # A conference of thousands that has just ended: its transactions are there for 32 s more, and to look through them
        # took a tenth of a second, in which those who called meanwhile were not answered.
        (0, FEW, False),
    ],
)
def test_a_full_collection_waits_until_calls_are_over_and_forgotten(
    full: Full, calls: int, transactions: int, collected: bool
) -> None:
    clock = Clock()
    collector = Collector(clock, range(calls), range(transactions))
    collector.start()
    try:
        full.count = 0
        clock.advance(LOOK_EVERY)
        assert bool(full.count) is collected
    finally:
        collector.stop()


def test_while_calls_end_as_fast_as_their_byes_are_made_the_young_generation_stays_small() -> None:
    """As many objects are freed as are made, so the collector did not start by itself: then it had 100,000 to look at."""
    clock = Clock()
    old: list[list[int]] = [[] for _ in range(5000)]
    collector = Collector(clock, range(1), ())
    collector.start()
    try:
        for _ in range(len(old)):
            old.append([])
            del old[0]
        assert len(gc.get_objects(0)) > 5000
        clock.advance(YOUNG_EVERY)
        assert len(gc.get_objects(0)) < 1000
    finally:
        collector.stop()


STAYS = """
from pathlib import Path
from xconf.app.memory import stay
print(stay(), next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmLck" in line))
"""


def test_memory_stays_where_that_may_be_asked_for() -> None:
    if not memory._may_stay():
        pytest.skip("it may not be asked for here")
    done = subprocess.run([sys.executable, "-c", STAYS], capture_output=True, text=True, check=True)
    stays, locked = done.stdout.split()
    assert stays == "True" and int(locked) > 1000


def test_with_a_limit_nothing_is_asked_for_since_what_is_needed_later_would_be_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_capabilities", lambda: 0)
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (8 << 20, 8 << 20))
    assert not memory.stay()
