"""What a node says of itself to the others."""

from __future__ import annotations

import time

import pytest

from xconf.app.nodes import CPU_OVER, Processor


def test_a_daemon_that_has_used_less_than_its_parent_uses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was told to the others as less than nothing, which no status can say: then it told them nothing at all, for ever."""
    now, used = 100.0, 0.8
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "process_time", lambda: used)
    processor = Processor()
    now, used = now + 2 * CPU_OVER, 0.01
    assert processor.percent == 0.0
    now, used = now + 2 * CPU_OVER, used + CPU_OVER
    assert processor.percent == pytest.approx(50)
