"""A frame made of a few samples more or fewer than it has: so a stream is kept in step with another clock, unheard."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

HALF = 8  # samples that the filter needs before and after
_BETA = 6.0


@functools.cache
def _taps(samples: int, by: int) -> tuple[Ints, Wave]:
    """Which samples, counted from HALF before the frame, make each sample of it, and their weights."""
    at = np.arange(samples) * (1 + by / samples) + HALF
    whole = np.floor(at).astype(np.int64)
    index = whole[:, None] + np.arange(1 - HALF, HALF + 1)
    distance = index - at[:, None]
    window = np.i0(_BETA * np.sqrt(np.clip(1 - (distance / HALF) ** 2, 0, None)))
    taps = np.sinc(distance) * window
    return index, (taps / taps.sum(axis=1, keepdims=True)).astype(np.float32)


def stretched(stretch: Samples, samples: int, by: int) -> Samples:
    """A frame of so many samples that takes `samples + by` of the stream.

    stretch: int16[HALF + samples + by + HALF + 1, channels], from HALF before the frame on. Returns int16[samples, channels].
    """
    index, taps = _taps(samples, by)
    made = np.einsum("ikc,ik->ic", stretch.astype(np.float32)[index], taps)
    frame: Samples = np.clip(np.rint(made), -32768, 32767).astype(np.int16)
    return frame
