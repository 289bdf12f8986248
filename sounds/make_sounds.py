#!/usr/bin/env python3
"""Render the prompts (prompts.yaml, by festival's voice) and the hold music (music.py) to 8000/ and 16000/.

Usage, from the checkout's virtual environment: `python sounds/make_sounds.py [NAME ...]`; without names, everything.
Needs Debian's packages festival and festvox-us-slt-hts for the speech; the music needs numpy alone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import music
import numpy as np
import soundfile
import soxr
import yaml

HERE = Path(__file__).parent
RATES = (8000, 16000)
VOICE = "(voice_cmu_us_slt_arctic_hts)"

SPEECH_LEVEL = -20.0  # dBFS, RMS over the frames in which somebody speaks
PEAK = -4.0  # dBFS; a margin under -3, for what G.711 and resampling add
SILENCE = -50.0  # dBFS of a 5 ms frame; what is quieter at either end goes
LEAD_IN = 0.03  # seconds left before and after the speech
LOW_CUT = 120.0  # Hz: under the voice, and the telephone does not carry it


def decibel(x: float) -> float:
    return 20 * np.log10(max(x, 1e-9))


def speak(sentence: str) -> tuple[np.ndarray, int]:
    """The sentence as float samples in -1..1 at the voice's own rate."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "speech.wav")
        command = ["text2wave", "-eval", VOICE, "-o", str(path)]
        subprocess.run(command, input=sentence.encode(), check=True)
        samples, rate = soundfile.read(path)
    return samples, rate


def frame_levels(samples: np.ndarray, size: int) -> np.ndarray:
    """RMS of every whole frame of `size` samples."""
    whole = len(samples) // size * size
    return np.sqrt(np.mean(samples[:whole].reshape(-1, size) ** 2, axis=1))


def speech_level(samples: np.ndarray, rate: int) -> float:
    """dBFS over the 20 ms frames that are within 25 dB of the loudest one: pauses do not count."""
    levels = frame_levels(samples, rate // 50)
    active = levels[levels > levels.max() * 10 ** (-25 / 20)]
    return decibel(float(np.sqrt(np.mean(active**2))))


def high_pass(samples: np.ndarray, rate: int) -> np.ndarray:
    """Without what lies under LOW_CUT, over the whole file at once (no phase shift)."""
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    frequencies = np.fft.rfftfreq(2 * len(samples), 1 / rate)
    slope = np.clip((frequencies - 0.5 * LOW_CUT) / (0.5 * LOW_CUT), 0, 1)
    return np.fft.irfft(spectrum * np.sin(slope * np.pi / 2) ** 2)[: len(samples)]


def trim(samples: np.ndarray, rate: int) -> np.ndarray:
    """Without the silence at both ends, but for a short lead-in."""
    size = rate // 200
    loud = np.flatnonzero(frame_levels(samples, size) > 10 ** (SILENCE / 20))
    margin = int(LEAD_IN * rate)
    return samples[max(0, loud[0] * size - margin) : (loud[-1] + 1) * size + margin]


def limit(samples: np.ndarray, rate: int) -> np.ndarray:
    """Peaks brought under PEAK by a gain that moves slowly enough not to be heard as distortion."""
    reach = rate // 200
    ceiling = 10 ** (PEAK / 20)
    padded = np.pad(np.abs(samples), 2 * reach)
    loudest = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1).max(axis=1)
    gain = np.minimum(1, ceiling / np.maximum(loudest, ceiling))
    window = np.hanning(2 * reach + 3)[1:-1]
    return samples * np.convolve(gain, window / window.sum(), mode="valid")


def fade(samples: np.ndarray, rate: int) -> np.ndarray:
    """From and to nothing within 10 ms, so that neither end clicks."""
    ramp = np.sin(np.linspace(0, np.pi / 2, rate // 100)) ** 2
    faded = samples.copy()
    faded[: len(ramp)] *= ramp
    faded[-len(ramp) :] *= ramp[::-1]
    return faded


def finish(samples: np.ndarray, native: int, rate: int) -> np.ndarray:
    """A recording, as a prompt at `rate`: trimmed, at SPEECH_LEVEL, under PEAK."""
    out = high_pass(soxr.resample(samples, native, rate, quality="VHQ"), rate)
    for _ in range(4):  # limiting costs a little level, so it is approached
        out = limit(out * 10 ** ((SPEECH_LEVEL - speech_level(out, rate)) / 20), rate)
    return fade(trim(out, rate), rate)


def write(name: str, samples: np.ndarray, rate: int) -> None:
    path = HERE / str(rate) / f"{name}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.round(samples * 32767).astype(np.int16), rate, subtype="PCM_16")
    print(f"{path.relative_to(HERE)}: {len(samples) / rate:.2f} s, peak {decibel(np.abs(samples).max()):.1f} dBFS")


def main(names: list[str]) -> None:
    sentences: dict[str, str] = yaml.safe_load((HERE / "prompts.yaml").read_text())
    known = [*sentences, "moh"]
    unknown = set(names) - set(known)
    if unknown:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(known)}")
    for name in names or known:
        if name == "moh":
            for rate in RATES:
                write(name, music.hold_music(rate), rate)
            continue
        samples, native = speak(sentences[name])
        for rate in RATES:
            write(name, finish(samples, native, rate), rate)


if __name__ == "__main__":
    main(sys.argv[1:])
