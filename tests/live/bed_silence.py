"""How long a tone that should go on is not heard, but for what the machine itself did."""

from __future__ import annotations

import numpy as np
from bed_audio import tone_levels
from bed_cluster import Phone

from bench.stalls import StallMonitor

BUSY = 0.1  # s that telephones which are programs lack now and then while others use the machine, too; on a quiet one, nothing
STALL = 0.3  # s around a moment in which the machine stood still: buffers on the way make its effect late


def silences(phone: Phone, stalls: StallMonitor, tone: float, start: float, end: float) -> list[float]:
    """How long, s, each time that a tone which should be heard from the one moment to the other is not: it is 20 dB less. Those at
    which the machine itself stood still are left out.
    """
    began = phone.started()
    heard = phone.heard()[max(0, round((start - began) * 8000)) : round((end - began) * 8000)]
    missing = tone_levels(heard, tone, segment=0.02) < -38
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(int)))
    spots = [(start + 0.02 * at, start + 0.02 * to) for at, to in zip(edges[::2], edges[1::2], strict=True)]
    return [
        round(float(to - at), 2)
        for at, to in spots
        if not any(one.start - STALL < to and at < one.end + STALL for one in stalls.sure())
    ]
