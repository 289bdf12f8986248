"""Reception statistics of many sources at once (RFC 3550, 6.4.1, A.1, A.3, A.8): what receiver reports say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_HALF = 1 << 15


@dataclass(frozen=True, slots=True)
class Report:
    """One source: packets expected and received since the start, and the interarrival jitter in timestamp units."""

    highest_sequence: int
    expected: int
    received: int
    jitter: float

    @property
    def lost(self) -> int:
        return self.expected - self.received


class Reception:
    """Columns of `capacity` rows."""

    def __init__(self, capacity: int) -> None:
        self.received = np.zeros(capacity, np.int64)
        self._first = np.zeros(capacity, np.int64)
        self._highest = np.zeros(capacity, np.int64)  # extended by cycles
        self._transit = np.zeros(capacity)
        self._jitter = np.zeros(capacity)

    def reset(self, row: int) -> None:
        """A new source in that row."""
        self.received[row] = 0
        self._jitter[row] = 0.0

    def note(self, rows: Ints, sequence: Ints, transit: npt.NDArray[np.float64]) -> None:
        """Packets that came: their sequence numbers, and arrival time minus timestamp, in timestamp units."""
        new = rows[self.received[rows] == 0]
        if len(new):
            fresh = np.isin(rows, new)
            self._first[rows[fresh]] = self._highest[rows[fresh]] = sequence[fresh]
            self._transit[rows[fresh]] = transit[fresh]
        step = (sequence - self._highest[rows] + _HALF) % (1 << 16) - _HALF
        np.maximum.at(self._highest, rows, self._highest[rows] + step)
        np.add.at(self.received, rows, 1)
        moved = np.abs(transit - self._transit[rows])
        self._jitter[rows] += (moved - self._jitter[rows]) / 16.0
        self._transit[rows] = transit

    def report(self, row: int) -> Report:
        """What is known of a row from which something was received."""
        highest = int(self._highest[row])
        return Report(highest, highest - int(self._first[row]) + 1, int(self.received[row]), float(self._jitter[row]))
