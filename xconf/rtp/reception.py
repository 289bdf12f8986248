"""Reception statistics of many sources at once (RFC 3550, 6.4.1, A.1, A.3, A.8): what receiver reports say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_HALF = 1 << 15
_HALF_TIME = float(1 << 31)
MAX_DROPOUT = 3000  # packets ahead that still are the same run of numbers (A.1)
MAX_MISORDER = 100  # packets behind that still are late ones
LONGEST_TRANSIT = 48000.0  # a step of the transit time beyond it is one of the sender's time line


@dataclass(frozen=True, slots=True)
class Report:
    """Some sources: packets expected and received since the start, and the interarrival jitter in timestamp units."""

    highest_sequence: Ints
    expected: Ints
    received: Ints
    jitter: npt.NDArray[np.float64]

    @property
    def lost(self) -> Ints:
        return self.expected - self.received


class Reception:
    """Columns of `capacity` rows."""

    def __init__(self, capacity: int) -> None:
        self.received = np.zeros(capacity, np.int64)
        self._first = np.zeros(capacity, np.int64)
        self._highest = np.zeros(capacity, np.int64)  # extended by cycles
        self._timed = np.zeros(capacity, bool)
        self._transit = np.zeros(capacity)
        self._jitter = np.zeros(capacity)

    def reset(self, row: int | Ints) -> None:
        """A new source in that row, or those."""
        self.received[row] = 0
        self._timed[row] = False
        self._jitter[row] = 0.0

    def note(self, rows: Ints, sequence: Ints) -> None:
        """Packets that came, of whatever payload type, by their sequence numbers."""
        new = self.received[rows] == 0
        if new.any():
            self._first[rows[new]] = self._highest[rows[new]] = sequence[new]
        step = (sequence - self._highest[rows] + _HALF) % (1 << 16) - _HALF
        jumped = (step > MAX_DROPOUT) | (step < -MAX_MISORDER)
        if jumped.any():  # the source counts anew
            again = rows[jumped]
            self._first[again] = self._highest[again] = sequence[jumped]
            self.received[again] = 0
            step[np.isin(rows, again)] = 0
        np.maximum.at(self._highest, rows, self._highest[rows] + step)
        np.add.at(self.received, rows, 1)

    def note_transit(self, rows: Ints, transit: npt.NDArray[np.float64]) -> None:
        """Packets whose timestamps are sampling times: arrival time minus timestamp, in timestamp units."""
        step = transit - self._transit[rows]
        moved = np.abs((step + _HALF_TIME) % (2 * _HALF_TIME) - _HALF_TIME)
        # The first of a source, and one after a time line that jumped, say nothing of how packets travel.
        moved[~self._timed[rows] | (moved > LONGEST_TRANSIT)] = 0.0
        self._timed[rows] = True
        self._jitter[rows] += (moved - self._jitter[rows]) / 16.0
        self._transit[rows] = transit

    def report(self, rows: Ints) -> Report:
        """What is known of rows from which something was received."""
        highest = self._highest[rows]
        return Report(highest, highest - self._first[rows] + 1, self.received[rows], self._jitter[rows])
