"""The tools of the benchmarks, on few callers: that they measure what they say."""

from __future__ import annotations

import shutil

import pytest

from bench import floor


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_floor_sends_to_all_and_receives_behind_the_filter() -> None:
    plain = floor.measure(40, 2, 1.0, filtered=False, warm_up=0.5)
    assert plain.sent == 40 * 50
    assert plain.received == pytest.approx(40 * 50, rel=0.2)
    assert plain.arrived >= 40 * 50
    filtered = floor.measure(40, 2, 1.0, warm_up=0.5)
    # The two speakers' packets, and one in 64 of the others'.
    assert filtered.received == pytest.approx(2 * 50 + 38 * 50 / 64, rel=0.4)
