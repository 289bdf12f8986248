"""What tests measure in sound that is to be a steady tone: how pure it is, where it is interrupted, where it clicks."""

from __future__ import annotations

import numpy as np

Wave = np.ndarray


def residue(wave: Wave, frequency: float, rate: int) -> Wave:
    """What is left of a wave without the tone and its mean."""
    turn = 2 * np.pi * frequency * np.arange(len(wave)) / rate
    basis = np.stack([np.sin(turn), np.cos(turn), np.ones(len(wave))], axis=1)
    found, *_ = np.linalg.lstsq(basis, wave.astype(float), rcond=None)
    left: Wave = wave - basis @ found
    return left


def purity(wave: Wave, frequency: float, rate: int) -> float:
    """The tone to all else, in dB."""
    left = residue(wave, frequency, rate)
    return float(10 * np.log10((wave.astype(float) ** 2).sum() / max((left**2).sum(), 1e-9)))


def envelope(wave: Wave, rate: int, ms: int = 5) -> Wave:
    """The effective value of each stretch of so many ms."""
    size = rate * ms // 1000
    whole = wave[: len(wave) // size * size].reshape(-1, size).astype(float)
    return np.sqrt((whole**2).mean(axis=1))


def steadiness(wave: Wave, rate: int) -> float:
    """The softest 5 ms to the usual ones: 1 of a tone whose periods they hold, 0 where there is a gap."""
    heard = envelope(wave, rate)
    return float(heard.min() / np.median(heard))


def click(wave: Wave, frequency: float) -> float:
    """The steepest step from one sample to the next, to that of the tone itself; `frequency`: turns a sample."""
    steps = np.abs(np.diff(wave.astype(float)))
    height = np.sqrt(2 * (wave.astype(float) ** 2).mean())
    return float(steps.max() / (2 * height * np.sin(np.pi * frequency)))


def turns(wave: Wave) -> int:
    """How often it goes from one sign to the other."""
    signs = np.sign(wave[wave != 0].astype(int))
    return int((np.diff(signs) != 0).sum())


def spectrum(wave: Wave, parts: int) -> Wave:
    """The power in each of so many parts of the spectrum, in dB."""
    power = np.abs(np.fft.rfft(wave.astype(float) * np.hanning(len(wave)))) ** 2
    whole = power[1 : (len(power) - 1) // parts * parts + 1]
    return 10 * np.log10(whole.reshape(parts, -1).mean(axis=1) + 1e-9)
