"""Pauses: time lines on which nothing is to be heard need no packets, where the listeners have asked for that (Opus: usedtx).

RTP numbers go on only with packets that are sent (RFC 3550, section 5.1; a gap in them would be taken for a loss), and a
listener may be moved from any output of a time line to any other. So a time line pauses as a whole: when all of its outputs
are silent. Now and then a packet goes out all the same, which keeps ways through translators of addresses open.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
AFTER = 10  # packets of silence that are sent
EVERY = 20  # of the packets of a pause one in so many is sent, the first among them


class Pauses:
    """The time lines (rows of a table) of the outputs of one bank."""

    def __init__(self, capacity: int) -> None:
        self.left_out = np.zeros(capacity, np.int64)
        """Packets of each time line that were not sent: so much lower are its sequence numbers."""
        self._silent = np.zeros(capacity, np.int64)  # packets for which all outputs have been silent
        self._loud = np.zeros(capacity, bool)

    def choose(self, lines: Ints, silent: Bools) -> tuple[Bools, Bools, Bools]:
        """Of a packet of each output: which are to be sent; which of these are the first after a pause, and which are of one.

        lines: the time line of each output.
        """
        present = np.unique(lines)
        self._loud[lines[~silent]] = True
        loud, before = self._loud[present], self._silent[present]
        self._loud[present] = False
        count = self._silent[present] = np.where(loud, 0, before + 1)
        paused = (count > AFTER) & ((count - AFTER) % EVERY != 1)
        self.left_out[present[paused]] += 1
        at = np.searchsorted(present, lines)
        return ~paused[at], (loud & (before > AFTER))[at], ((count > AFTER) & ~paused)[at]
