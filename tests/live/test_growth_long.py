"""Twenty real minutes of calls that come and go: memory does not grow. (In virtual time: tests/sim/test_calls_growth.py)"""

from __future__ import annotations

import pytest

from bench import growth


@pytest.mark.long
def test_twenty_minutes_of_calls_leave_nothing_in_memory() -> None:
    found = growth.grow(growth.SETTLED, growth.LONG)
    assert found.failed == 0
    assert found.answered > 0.95 * growth.RATE * growth.LONG
    assert found.left == {}
    assert found.grown <= growth.NOISE, (
        f"{found.grown / 2**20:.1f} MB more than the {found.before / 2**20:.0f} MB before"
    )
