"""What is heard in place of sound that did not come: the last pitch period, repeated and fading (after G.711 Appendix I), the
joint back to what comes after it, and how a sound goes over into another place of itself.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from xconf.media.between import HALF, taps, weighed

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float32]

FADE_FRAMES = 3  # concealed frames until silence
QUIET = 100.0  # effective value below which a frame is as good as silent
_FADES = 0.04, 0.06  # s that are made up: as loud as before until then, and silent from then on
_LAGS_MS = (2.5, 15)
_SUMMIT = 0.05  # likeness that it is worth to be where it is greatest, and not at the edge of what is searched
_SEARCHED = 8000  # Hz: the rate at which likenesses are looked for; those of higher rates are found near them


def pitch_lag(wave: Wave, rate: int) -> float:
    """The lag, in samples, at which the end of `wave` repeats best (2.5 to 15 ms)."""
    window = int(rate * 0.01)
    shortest, longest = (int(rate * ms / 1000) for ms in _LAGS_MS)
    best, _ = _most_alike(wave[-window - longest : -shortest], wave[-window:], rate // _SEARCHED)
    return longest - best


def _most_alike(wave: Wave, piece: Wave, step: int, lean: float = 0.0) -> tuple[float, float]:
    """Where in `wave`, in samples, that piece is found again best, and how alike (-1..1) both are.

    step: how many samples are looked at as one at first, for the search takes time with the square of their number;
    lean: so much more alike another place has to be than one that lies that many times the wave's room after it.
    """
    if step <= 1:
        return _search(wave, piece, lean)
    coarse = round(_search(_blocks(wave, step), _blocks(piece, step), lean)[0])
    first = max(0, (coarse - 1) * step)
    last = min(len(wave) - len(piece), (coarse + 1) * step)
    fine, alike = _search(wave[first : last + len(piece)], piece)
    return first + fine, alike


def _blocks(wave: Wave, step: int) -> Wave:
    whole = len(wave) // step * step
    means: Wave = wave[:whole].reshape(-1, step).mean(axis=1)
    return means


def _search(wave: Wave, piece: Wave, lean: float = 0.0) -> tuple[float, float]:
    views = np.lib.stride_tricks.sliding_window_view(wave, len(piece))
    alike = (views @ piece) / (np.sqrt((views * views).sum(axis=1) * (piece @ piece)) + 1.0)
    worth = alike + np.linspace(0.0, lean, len(alike), dtype=np.float32)
    worth[1:-1] += _SUMMIT * ((alike[1:-1] >= alike[:-2]) & (alike[1:-1] >= alike[2:]))
    best = int(np.argmax(worth))
    return best + _summit(alike, best), float(alike[best])


def _summit(alike: Wave, best: int) -> float:
    """How far beside the best of them the summit is: that of a cosine through it and its neighbours, as with a tone."""
    if not 0 < best < len(alike) - 1:
        return 0.0
    before, top, after = (float(value) for value in alike[best - 1 : best + 2])
    if top < max(before, after) or not -2 * top < before + after < 2 * top:
        return 0.0
    turn = math.acos((before + after) / (2 * top))
    return math.atan((after - before) / (2 * top * math.sin(turn))) / turn


def _continuation(waves: Wave, rate: int, samples: int, skipped: int) -> Wave:
    """How float32[n, channels] would go on: `samples` more, after `skipped` ones."""
    lag = pitch_lag(waves.mean(axis=1), rate)
    period = len(waves) - round(lag)
    again = np.concatenate([waves, waves[period : period + HALF]])
    return weighed(again, *taps(len(waves) - lag + (np.arange(samples) + skipped) % lag))


def conceal(history: Samples, rate: int, samples: int, skipped: int = 0, channels: int = 1) -> Samples:
    """How `history`, the last 40 ms of sound, goes on where nothing comes: int16[samples * channels], after `skipped` samples of
    each channel that were made up of the same history. It fades; what is made up lasts 60 ms.
    """
    full, end = (moment * rate for moment in _FADES)
    if skipped >= end:
        return np.zeros(samples * channels, np.int16)
    waves = _continuation(history.reshape(-1, channels).astype(np.float32), rate, samples, skipped)
    fade = np.clip((end - skipped - np.arange(samples)) / (end - full), 0.0, 1.0)
    made: Samples = np.clip(np.rint(waves * fade[:, None]), -32768, 32767).astype(np.int16).reshape(-1)
    return made


def join(before: Samples, frame: Samples, rate: int, channels: int = 1) -> Samples:
    """`frame` with its first 5 ms blended from `before`, so that the joint does not click."""
    overlap = rate // 200
    ramp = np.repeat(np.arange(overlap, dtype=np.float32) / overlap, channels)
    joined = frame.copy()
    joined[: len(ramp)] = before[: len(ramp)] * (1 - ramp) + frame[: len(ramp)] * ramp
    return joined


def meeting(before: Samples, stretch: Samples, lean: float = 0.0) -> tuple[float, float]:
    """The place in `stretch`, in samples of each channel, from which on it is most like `before`, and how alike (-1..1) both
    are. The place may be between two samples; silence is like silence, then it is the last one.

    before: int16[samples of 20 ms, channels]; stretch: int16[n, channels], not shorter; lean: so much less alike the last place
    may be than the first one to be taken all the same.
    """
    sought, searched = (sound.astype(np.float32).mean(axis=1) for sound in (before, stretch))
    if sought @ sought + searched @ searched < (len(sought) + len(searched)) * QUIET**2:
        return float(len(searched) - len(sought)), 1.0
    return _most_alike(searched, sought, len(sought) // (_SEARCHED // 50), lean)


def blend(before: npt.NDArray[Any], after: npt.NDArray[Any]) -> Samples:
    """A frame that begins as `before` and ends as `after`, all [samples, channels]."""
    ramp = (np.arange(len(before), dtype=np.float32) / len(before))[:, None]
    frame: Samples = np.clip(np.rint(before * (1 - ramp) + after * ramp), -32768, 32767).astype(np.int16)
    return frame


def splice(first: Samples, second: Samples, most: int, channels: int = 1) -> tuple[Samples, int, float]:
    """One frame made of two by leaving some samples out: the frame, how many were left out (of all channels together), and
    how alike both sides were.

    The frame begins as `first` does and ends where `second` goes on. Left out is half a frame to `most` (of all channels
    together, a frame at most), so much that the waves meet in phase (likeness 1 at best, -1 at worst; silence is like silence).
    """
    before = first.reshape(-1, channels)
    samples, longest = len(before), most // channels
    stretch = np.concatenate([before, second.reshape(-1, channels)])[samples // 2 : longest + samples]
    place, likeness = meeting(before, stretch)
    whole = round(place)
    # From the very place, which may be between two samples, the frame gets to where the samples are.
    at = whole + np.arange(samples) + (place - whole) * (1 - np.arange(samples) / samples)
    frame = blend(before, weighed(stretch.astype(np.float32), *taps(at)))
    return frame.reshape(-1), (samples // 2 + whole) * channels, likeness
