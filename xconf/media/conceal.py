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
_SEARCHED = 8000  # Hz: the rate at which likenesses are looked for; those of higher rates are found near them


def pitch_lag(wave: Wave, rate: int) -> int:
    """The lag, in samples, at which the end of `wave` repeats best (2.5 to 15 ms)."""
    window = int(rate * 0.01)
    shortest, longest = (int(rate * ms / 1000) for ms in _LAGS_MS)
    best, _ = _most_alike(wave[-window - longest : -shortest], wave[-window:], rate // _SEARCHED)
    return longest - best


def _most_alike(wave: Wave, piece: Wave, step: int) -> tuple[int, float]:
    """Where in `wave` that piece is found again best, and how alike (-1..1) both are.

    step: how many samples are looked at as one at first, for the search takes time with the square of their number.
    """
    if step <= 1:
        return _search(wave, piece)
    coarse, _ = _search(_blocks(wave, step), _blocks(piece, step))
    first = max(0, (coarse - 1) * step)
    last = min(len(wave) - len(piece), (coarse + 1) * step)
    fine, alike = _search(wave[first : last + len(piece)], piece)
    return first + fine, alike


def _blocks(wave: Wave, step: int) -> Wave:
    whole = len(wave) // step * step
    means: Wave = wave[:whole].reshape(-1, step).mean(axis=1)
    return means


def _search(wave: Wave, piece: Wave) -> tuple[int, float]:
    views = np.lib.stride_tricks.sliding_window_view(wave, len(piece))
    alike = (views @ piece) / (np.sqrt((views * views).sum(axis=1) * (piece @ piece)) + 1.0)
    best = int(np.argmax(alike))
    return best, float(alike[best])


def continuation(history: Samples, rate: int, samples: int, skipped: int = 0, channels: int = 1) -> Wave:
    """How `history` would go on: `samples` more of each channel, after `skipped` ones."""
    waves = history.reshape(-1, channels).astype(np.float32)
    lag = pitch_lag(waves.mean(axis=1), rate)
    return waves[-lag:][(np.arange(samples) + skipped) % lag].reshape(-1)


def conceal(history: Samples, rate: int, frame: int, channels: int = 1) -> Samples:
    """The `frame`-th (from 0) frame concealed in a row; int16[rate // 50 * channels]. From FADE_FRAMES on it is silence."""
    samples = rate // 50
    if frame >= FADE_FRAMES:
        return np.zeros(samples * channels, np.int16)
    fade = np.repeat(1.0 - (frame + np.arange(samples, dtype=np.float32) / samples) / FADE_FRAMES, channels)
    return (continuation(history, rate, samples, channels=channels) * fade).astype(np.int16)


def join(before: Wave, frame: Samples, rate: int, channels: int = 1) -> Samples:
    """`frame` with its first 5 ms blended from `before`, so that the joint does not click."""
    overlap = rate // 200
    ramp = np.repeat(np.arange(overlap, dtype=np.float32) / overlap, channels)
    joined = frame.copy()
    joined[: len(ramp)] = before[: len(ramp)] * (1 - ramp) + frame[: len(ramp)] * ramp
    return joined


def splice(first: Samples, second: Samples, most: int, channels: int = 1) -> tuple[Samples, int, float]:
    """One frame made of two by leaving some samples out: the frame, how many were left out (of all channels together), and
    how alike both sides were.

    The frame begins as `first` does and ends where `second` goes on. Left out is half a frame to `most` (of all channels
    together, a frame at most), so much that the waves meet in phase (likeness 1 at best, -1 at worst; silence is like silence).
    """
    samples, longest = len(first) // channels, most // channels
    waves = np.concatenate([first, second]).reshape(-1, channels).astype(np.float32)
    both = waves.mean(axis=1)
    if both @ both < len(both) * QUIET**2:
        return waves[longest : longest + samples].astype(np.int16).reshape(-1), longest * channels, 1.0
    head = both[:samples]
    best, likeness = _most_alike(both[samples // 2 : longest + samples], head, samples // (_SEARCHED // 50))
    left_out = samples // 2 + best
    ramp = (np.arange(samples, dtype=np.float32) / samples)[:, None]
    frame = waves[:samples] * (1 - ramp) + waves[left_out : left_out + samples] * ramp
    return frame.astype(np.int16).reshape(-1), left_out * channels, likeness
