"""A frame made of a few samples more or fewer than it has: so a stream is kept in step with another clock, unheard."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from xconf.media.between import HALF, Ints, Wave, taps, weighed

Samples = npt.NDArray[np.int16]


@functools.cache
def _taps(samples: int, by: int) -> tuple[Ints, Wave]:
    return taps(np.arange(samples) * (1 + by / samples) + HALF)


def stretched(stretch: Samples, samples: int, by: int) -> Samples:
    """A frame of so many samples that takes `samples + by` of the stream.

    stretch: int16[HALF + samples + by + HALF + 1, channels], from HALF before the frame on. Returns int16[samples, channels].
    """
    made = weighed(stretch.astype(np.float32), *_taps(samples, by))
    frame: Samples = np.clip(np.rint(made), -32768, 32767).astype(np.int16)
    return frame
