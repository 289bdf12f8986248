"""What a sound is between its samples: by a windowed sinc, from a table."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Wave = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.floating[Any]]

HALF = 8  # samples before and after a place of which its value is made
STEPS = 640  # places between two samples: of frames of a sample more or fewer, none is in between
_BETA = 6.0


def _table() -> Wave:
    """The weights of the samples around each of these places."""
    distance = np.arange(1 - HALF, HALF + 1) - np.arange(STEPS)[:, None] / STEPS
    weights = np.sinc(distance) * np.i0(_BETA * np.sqrt(np.clip(1 - (distance / HALF) ** 2, 0, None)))
    table: Wave = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return table


_TABLE = _table()
_AROUND = np.arange(1 - HALF, HALF + 1)


def taps(at: Places) -> tuple[Ints, Wave]:
    """Of which samples, and with which weights, the values at those places are made: both [len(at), 2 * HALF]."""
    steps = np.rint(at * STEPS).astype(np.int64)
    return (steps // STEPS)[:, None] + _AROUND, _TABLE[steps % STEPS]


def weighed(waves: Wave, index: Ints, weights: Wave) -> Wave:
    """float32[n, channels] at the places of these taps. Beyond its ends a wave stays as it is there."""
    around = waves.take(index, axis=0, mode="clip")
    made: Wave = np.einsum("ikc,ik->ic", around, weights)
    return made
