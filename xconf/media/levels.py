"""Loudness of many speakers at once: gain, voice activity, automatic gain. One row is one speaker's frame of 20 ms."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

HANG_OVER = 60  # frames that a gate stays open after the last loud one
STEPS = 4  # volume steps each way
STEP_DB = 3.0
AGC_PERIOD = 100  # frames over which the automatic gain looks
AGC_BOUNDS = (0.25, 8.0)


def step_gain(step: int) -> float:
    """The factor of a volume step (-STEPS..STEPS)."""
    return float(10 ** (step * STEP_DB / 20))


def saturate(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Samples beyond what 16 bits hold, as loud as they can be. (np.clip takes five times as long for few of them.)"""
    bounded: npt.NDArray[Any] = np.minimum(np.maximum(frames, -32768), 32767)
    return bounded


def scale(frames: Samples, gain: Floats) -> Samples:
    """frames: int16[n, samples], times gain: float32[n]; saturates. Rows of gain 1 are untouched."""
    rows = (gain != 1.0).nonzero()[0]
    if not len(rows):
        return frames
    frames = frames.copy()
    frames[rows] = saturate(np.rint(frames[rows] * gain[rows, None])).astype(np.int16)
    return frames


def mean_level(frames: Samples) -> Floats:
    """Mean of the absolute sample, per row."""
    total = np.add.reduce(np.abs(frames, dtype=np.int32), axis=1)  # at most 5760 samples of 16 bits: 32 bits hold it
    level: Floats = (total / frames.shape[1]).astype(np.float32)
    return level


def noise_level(mean: Floats) -> npt.NDArray[np.uint8]:
    """The octet that tells how loud noise of that mean absolute sample is: -dBov (RFC 3389, section 3); 127 for none."""
    root_mean_square = np.maximum(mean * np.sqrt(np.pi / 2), 1e-9)
    level: npt.NDArray[np.uint8] = np.clip(np.rint(20 * np.log10(32768 / root_mean_square)), 0, 127).astype(np.uint8)
    return level


def gate(level: Floats, threshold: Ints, hang: Ints) -> npt.NDArray[np.bool_]:
    """Who speaks: level at or above the threshold now or in the last HANG_OVER frames; threshold 0 is always open.

    hang: frames that each gate stays open yet; changed in place.
    """
    loud = level >= threshold
    np.subtract(hang, 1, out=hang)
    np.maximum(hang, 0, out=hang)
    hang[loud] = HANG_OVER
    speaks: npt.NDArray[np.bool_] = hang > 0
    return speaks


def automatic_gain(gain: Floats, mean: Floats, target: Ints, low: Ints, factor: Ints, margin: Ints) -> Floats:
    """New gains after AGC_PERIOD frames of mean level `mean` (as it came in, before the gain).

    A speaker above `low` whose level with the gain is more than `margin` off `target` is moved by `factor` percent.
    target 0: no automatic gain.
    """
    heard = mean * gain
    on = (target > 0) & (mean > low)
    step = 1.0 + factor / 100.0
    moved = np.where(heard < target - margin, gain * step, np.where(heard > target + margin, gain / step, gain))
    return np.where(on, np.clip(moved, *AGC_BOUNDS), np.where(target > 0, gain, 1.0)).astype(np.float32)
