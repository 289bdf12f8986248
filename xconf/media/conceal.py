"""What is heard in place of a frame that did not come: the last pitch period, repeated and fading (after G.711 Appendix I),
and the joint back to what comes after it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]

FADE_FRAMES = 3  # concealed frames until silence
HISTORY_MS = 40
QUIET = 100.0  # effective value below which a frame is as good as silent
_LAGS_MS = (2.5, 15)


def pitch_lag(history: Samples, rate: int) -> int:
    """The lag, in samples, at which the end of `history` repeats best (2.5 to 15 ms)."""
    wave = history.astype(np.float32)
    window = int(rate * 0.01)
    shortest, longest = (int(rate * ms / 1000) for ms in _LAGS_MS)
    tail = wave[-window:]
    views = np.lib.stride_tricks.sliding_window_view(wave[-window - longest : -shortest], window)
    energy = np.sqrt((views * views).sum(axis=1)) + 1.0
    best = int(np.argmax((views @ tail) / energy))
    return longest - best


def continuation(history: Samples, rate: int, samples: int, skipped: int = 0) -> Wave:
    """How `history` would go on: `samples` more of it, after `skipped` ones."""
    lag = pitch_lag(history, rate)
    period = history[-lag:].astype(np.float32)
    return period[(np.arange(samples) + skipped) % lag]


def conceal(history: Samples, rate: int, frame: int) -> Samples:
    """The `frame`-th (from 0) frame concealed in a row; int16[rate // 50]. From FADE_FRAMES on it is silence."""
    samples = rate // 50
    if frame >= FADE_FRAMES:
        return np.zeros(samples, np.int16)
    fade = 1.0 - (frame + np.arange(samples, dtype=np.float32) / samples) / FADE_FRAMES
    return (continuation(history, rate, samples) * fade).astype(np.int16)


def join(before: Wave, frame: Samples, rate: int) -> Samples:
    """`frame` with its first 5 ms blended from `before`, so that the joint does not click."""
    overlap = rate // 200
    ramp = np.arange(overlap, dtype=np.float32) / overlap
    joined = frame.copy()
    joined[:overlap] = before[:overlap] * (1 - ramp) + frame[:overlap] * ramp
    return joined


def splice(first: Samples, second: Samples) -> tuple[Samples, int, float]:
    """One frame made of two by leaving some samples out: the frame, how many were left out, and how alike both sides were.

    The frame begins as `first` does and ends where `second` goes on. Left out is half a frame to a whole one, so much that
    the waves meet in phase (likeness 1 at best, -1 at worst; silence is like silence).
    """
    samples = len(first)
    both = np.concatenate([first, second]).astype(np.float32)
    if both @ both < len(both) * QUIET**2:
        return second.copy(), samples, 1.0
    head = both[:samples]
    views = np.lib.stride_tricks.sliding_window_view(both, samples)[samples // 2 :]
    alike = (views @ head) / (np.sqrt((views * views).sum(axis=1) * (head @ head)) + 1.0)
    best = int(np.argmax(alike))
    ramp = np.arange(samples, dtype=np.float32) / samples
    return (head * (1 - ramp) + views[best] * ramp).astype(np.int16), samples // 2 + best, float(alike[best])
