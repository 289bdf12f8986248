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


def shorten(first: Samples, second: Samples, chunk: int) -> tuple[Samples, int]:
    """One frame made of two by leaving out as many chunks as fit best: the frame, and the chunks left out.

    The frame begins as `first` does, and ends where `second` goes on at the place after what was left out.
    """
    both = np.concatenate([first, second]).astype(np.float32)
    samples = len(first)
    chunks = samples // chunk
    power = float((both[:samples] ** 2).sum()) + 1.0
    likeness = [float(both[:samples] @ both[n * chunk : n * chunk + samples]) / power for n in range(1, chunks + 1)]
    left_out = chunks if power < samples * 100.0**2 else 1 + int(np.argmax(likeness))
    ramp = np.arange(samples, dtype=np.float32) / samples
    later = both[left_out * chunk : left_out * chunk + samples]
    return (both[:samples] * (1 - ramp) + later * ramp).astype(np.int16), left_out
