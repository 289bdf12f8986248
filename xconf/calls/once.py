"""What nodes tell one another by way of others is believed once, and soon: by the clock of both."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

WITHIN = 60.0  # s by which the clocks of two nodes, and the way between them, may differ
MOST = 20_000  # seals that are remembered, so that none is taken twice


class Once:
    """Of one kind. clock: the time of day."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._taken: OrderedDict[str, float] = OrderedDict()

    def takes(self, seal: str, at: float) -> bool:
        """Whether this one, which was made at that time, comes soon enough, and for the first time."""
        now = self.clock()
        if abs(now - at) > WITHIN:
            return False
        while self._taken and (next(iter(self._taken.values())) < now - 2 * WITHIN or len(self._taken) >= MOST):
            self._taken.popitem(last=False)
        if seal in self._taken:
            return False
        self._taken[seal] = now
        return True
