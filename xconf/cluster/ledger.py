"""Calls that were sent to other nodes, and that those do not show yet."""

from __future__ import annotations

from collections import deque

KEPT = 2.0  # s after which a call that was sent has arrived, or never will
ARRIVES = 0.5  # s within which it arrives: what its node tells later shows it
MOST = 10_000  # of one node


class Ledger:
    """How many calls are on their way to which node. Times in s, of a clock that only goes forward."""

    def __init__(self) -> None:
        self._sent: dict[str, deque[float]] = {}
        self._swept = 0.0

    def note(self, node: str, now: float) -> None:
        """A call is sent there."""
        if now - self._swept > KEPT:
            self._swept = now
            self._sent = {name: times for name, times in self._sent.items() if times and times[-1] > now - KEPT}
        self._sent.setdefault(node, deque(maxlen=MOST)).append(now)

    def count(self, node: str, told: float, now: float) -> int:
        """told: when its latest status came."""
        times = self._sent.get(node)
        if times is None:
            return 0
        shown = max(now - KEPT, told - ARRIVES)
        while times and times[0] <= shown:
            times.popleft()
        return len(times)

    def __len__(self) -> int:
        """Of how many nodes something is kept."""
        return len(self._sent)
