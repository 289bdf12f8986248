"""Ears of tests: tones out, and what a recording holds: levels in the spectrum, gaps, clicks, known sounds.

All samples are float arrays in -1..1; levels are dBFS of a sine's RMS unless said otherwise; times are seconds.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

RATE = 8000
FRAME = 0.005  # of the gap finder


def decibel(ratio: float | np.ndarray) -> float | np.ndarray:
    return 20 * np.log10(np.maximum(ratio, 1e-9))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Samples of a 16-bit WAV, two channels mixed down, and its rate. A header that was never finished (phone killed) is no obstacle."""
    data = path.read_bytes()
    start = data.index(b"data") + 8
    rate = int.from_bytes(data[24:28], "little")
    channels = data[22]
    assert data[34:36] == b"\x10\x00", f"{path} is not 16-bit"
    width = 2 * channels
    pcm = np.frombuffer(data[start : start + (len(data) - start) // width * width], "<i2")
    return pcm.reshape(-1, channels).mean(axis=1) / 32768, rate


def write_wav(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def tone(frequency: float, seconds: float, level: float = -18.0, rate: int = RATE) -> np.ndarray:
    """A sine of `level` dBFS RMS, faded in and out over 10 ms."""
    time = np.arange(round(seconds * rate)) / rate
    ramp = np.clip(np.minimum(time, time[-1] - time) / 0.01, 0, 1)
    return 10 ** (level / 20) * np.sqrt(2) * np.sin(2 * np.pi * frequency * time) * ramp


def tone_amplitude(samples: np.ndarray, frequency: float, rate: int = RATE) -> complex:
    """Complex amplitude (RMS) of one tone over the whole piece, through a Blackman window (side lobes -58 dB)."""
    window = np.blackman(len(samples))
    turn = np.exp(-2j * np.pi * frequency / rate * np.arange(len(samples)))
    return complex(np.sum(samples * window * turn) * np.sqrt(2) / np.sum(window))


def tone_level(samples: np.ndarray, frequency: float, rate: int = RATE) -> float:
    """dBFS of one tone over the whole piece; what is not there is as low as the window and the noise allow."""
    return float(decibel(abs(tone_amplitude(samples, frequency, rate))))


def tone_levels(samples: np.ndarray, frequency: float, rate: int = RATE, segment: float = 0.25) -> np.ndarray:
    """The same for every piece of `segment` seconds."""
    size = round(segment * rate)
    count = len(samples) // size
    return np.array([tone_level(samples[i * size : (i + 1) * size], frequency, rate) for i in range(count)])


def tones_between(samples: np.ndarray, frequency: float, rate: int = RATE, floor: float = -45.0) -> tuple[float, float]:
    """When (seconds) a tone is first and last heard above `floor` dBFS, judged in pieces of 50 ms."""
    heard = np.flatnonzero(tone_levels(samples, frequency, rate, 0.05) > floor)
    if not len(heard):
        raise AssertionError(f"no tone of {frequency} Hz in {len(samples) / rate:.2f} s of sound")
    return float(heard[0]) * 0.05, float(heard[-1] + 1) * 0.05


def pitch(samples: np.ndarray, frequency: float, rate: int = RATE) -> float:
    """Hz of a tone of about that frequency, by how its phase goes on from one tenth of a second to the next; the median."""
    size = rate // 10
    pieces = samples[: len(samples) // size * size].reshape(-1, size) * np.hanning(size)
    turn = np.exp(-2j * np.pi * frequency * np.arange(pieces.size) / rate).reshape(-1, size)
    phases = (pieces * turn).sum(axis=1)
    steps = np.angle(phases[1:] / phases[:-1])
    return float(frequency + np.median(steps) / (2 * np.pi * 0.1))


@dataclass(frozen=True)
class Spot:
    """Something wrong in a recording, by its position."""

    start: float
    length: float
    what: str


def gaps(samples: np.ndarray, rate: int = RATE, depth: float = 20.0) -> list[Spot]:
    """Where a sound that should go on is quieter than `depth` dB under its usual level, in frames of 5 ms.

    Beats of tones are up to 20 ms apart in what tests send, so the usual level is the median of the frames' RMS.
    """
    size = round(FRAME * rate)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    levels = np.sqrt(np.mean(frames**2, axis=1))
    quiet = np.concatenate([[False], levels < np.median(levels) * 10 ** (-depth / 20), [False]])
    edges = np.flatnonzero(np.diff(quiet.astype(int)))
    return [Spot(float(a) * FRAME, float(b - a) * FRAME, "gap") for a, b in zip(edges[::2], edges[1::2], strict=True)]


def without_tones(samples: np.ndarray, frequencies: list[float], rate: int = RATE, block: float = 0.1) -> np.ndarray:
    """What is left when the known tones are taken out, by least squares in half-overlapping blocks."""
    size = round(block * rate)
    time = np.arange(size) / rate
    columns = [wave(2 * np.pi * f * time) for f in frequencies for wave in (np.sin, np.cos)]
    basis = np.stack([*columns, np.ones(size)], axis=1)
    project = basis @ np.linalg.pinv(basis)
    window = np.sin(np.pi * (np.arange(size) + 0.5) / size) ** 2
    residual = np.zeros(len(samples))
    for start in range(0, len(samples) - size + 1, size // 2):
        piece = samples[start : start + size]
        residual[start : start + size] += window * (piece - project @ piece)
    return residual


def clicks(samples: np.ndarray, frequencies: list[float], rate: int = RATE, above: float = 12.0) -> list[Spot]:
    """Where something that is none of the tones stands out: steps, lost or repeated packets, phase jumps.

    The known tones are taken out; what remains (companding noise) is nearly even. A frame of 5 ms that is `above` dB
    louder than the usual remainder, and over -50 dBFS, is a click. Neighbours within 100 ms (one block) count as one.
    """
    residual = without_tones(samples, frequencies, rate)
    size = round(FRAME * rate)
    edge = round(0.1 * rate)
    inner = residual[edge:-edge]
    levels = np.sqrt(np.mean(inner[: len(inner) // size * size].reshape(-1, size) ** 2, axis=1))
    threshold = max(np.median(levels) * 10 ** (above / 20), 10 ** (-50 / 20))
    times = np.flatnonzero(levels > threshold) * FRAME + 0.1
    groups = np.split(times, np.flatnonzero(np.diff(times) > 0.1) + 1) if len(times) else []
    return [Spot(float(group[0]), float(group[-1] - group[0]) + FRAME, "click") for group in groups]


def find_sound(recording: np.ndarray, sound: np.ndarray) -> tuple[float, float]:
    """Where a known sound is in a recording, by normalised correlation: (sample position as seconds*rate, likeness 0..1).

    Likeness is that of the best place; a sound heard through G.711 scores above 0.95, another sentence of the same
    voice under 0.5.
    """
    if len(recording) < len(sound):
        recording = np.pad(recording, (0, len(sound) - len(recording)))
    size = len(recording) + len(sound)
    product = np.fft.irfft(np.fft.rfft(recording, size) * np.conj(np.fft.rfft(sound, size)), size)
    places = len(recording) - len(sound) + 1
    energy = np.concatenate([[0], np.cumsum(recording**2)])
    local = np.sqrt(np.maximum(energy[len(sound) :] - energy[: -len(sound)], 1e-6))
    likeness = product[:places] / (local * np.sqrt(np.sum(sound**2)))
    best = int(np.argmax(likeness))
    return float(best), float(likeness[best])


def hears(recording: np.ndarray, sound: np.ndarray, rate: int = RATE, likeness: float = 0.85) -> float | None:
    """When (seconds) a known sound begins in a recording, or None when it is not in there.

    It may lack its end by a little: a phone does not play what its jitter buffer still holds when the call ends.
    """
    recording = np.concatenate([recording, np.zeros(round(0.25 * rate))])
    position, score = find_sound(recording, sound)
    return position / rate if score >= likeness else None


def render(samples: np.ndarray, path: Path, rate: int = RATE) -> Path | None:
    """A picture of the recording's spectrum over time, for a person to look at; None without matplotlib."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    figure = Figure(figsize=(16, 4))
    axes = figure.add_subplot()
    axes.specgram(samples + 1e-7, NFFT=512, Fs=rate, noverlap=256, vmin=-120)
    axes.set(xlabel="s", ylabel="Hz", title=path.stem)
    figure.savefig(path, dpi=100)
    return path
