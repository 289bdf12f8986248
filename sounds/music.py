"""The hold music: a minute of calm in G major, composed here and rendered with numpy.

Everything is laid onto a ring of samples (a note that rings past the end goes on at the beginning, the reverb and the
filters are circular too), so the last sample is followed by the first one like any other: it loops without a seam.
The piece is 20 bars of four beats at 80 beats a minute: 60 s, a whole number of 20 ms frames at every rate.
"""

from __future__ import annotations

import numpy as np

RENDER_RATE = 16000
BEAT = 0.75
BARS = 20
DURATION = BARS * 4 * BEAT
LEVEL = -27.0  # dBFS, RMS: well under the prompts

# One bar each: the bass note, then the chord from low to high.
CHORDS = """
G3 B3 D4 F#4 A4 | E3 B3 D4 G4 B4 | C3 B3 E4 G4 D5 | D3 A3 D4 G4 B4
B3 D4 F#4 A4 D5 | E3 G3 D4 G4 B4 | A3 C4 E4 G4 B4 | D3 A3 C4 G4 B4
C3 G3 E4 B4 D5  | D3 A3 F#4 A4 E5 | B3 D4 F#4 A4 D5 | E3 G3 B3 G4 D5
G3 B3 D4 F#4 A4 | E3 B3 D4 G4 B4 | C3 B3 E4 G4 D5 | D3 A3 D4 F#4 A4
C3 G3 E4 G4 B4  | B3 D4 F#4 A4 D5 | A3 C4 E4 G4 B4 | D3 A3 C4 G4 A4
"""

# Which note of the chord each eighth of a bar plucks (0 is the bass); by turns from bar to bar.
ARPEGGIOS = ((0, 2, 3, 4, 3, 2, 3, 4), (0, 3, 2, 4, 2, 3, 4, 3))

# Note:beats, - is a rest; a bar is four beats.
MELODY = """
D5:3 B4:1      | G4:2 A4:1 B4:1  | D5:3 E5:1       | D5:2 -:2
F#5:2 E5:1 D5:1 | B4:3 -:1       | C5:2 B4:1 A4:1  | A4:2 -:2
E5:2 G5:2      | F#5:3 E5:1      | D5:2 A4:2       | B4:3 -:1
D5:2 B4:2      | G4:2 B4:1 D5:1  | E5:2 D5:1 B4:1  | A4:2 -:2
G5:2 E5:2      | F#5:1 E5:1 D5:2 | C5:1 B4:1 A4:2  | G4:1 A4:1 -:2
"""

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def frequency(note: str) -> float:
    """Hz of a note such as A4 or F#5, equal temperament, A4 = 440 Hz."""
    semitone = SEMITONES[note[0]] + note.count("#") + 12 * (int(note[-1]) + 1)
    return 440 * 2 ** ((semitone - 69) / 12)


def bars(score: str) -> list[list[str]]:
    return [bar.split() for line in score.strip().splitlines() for bar in line.split("|")]


def lay(track: np.ndarray, start: float, sound: np.ndarray) -> None:
    """Add a sound to the ring at `start` seconds, going on at the beginning when it reaches the end."""
    where = (round(start * RENDER_RATE) + np.arange(len(sound))) % len(track)
    np.add.at(track, where, sound)


def partials(pitch: float, weights: tuple[float, ...], time: np.ndarray) -> np.ndarray:
    """A sum of harmonics; those that a telephone could not carry are left out."""
    tones = (w * np.sin(2 * np.pi * pitch * k * time) for k, w in enumerate(weights, 1) if pitch * k < 6500)
    return np.sum(list(tones), axis=0)


def pluck(pitch: float, strength: float) -> np.ndarray:
    """A soft electric piano: higher harmonics die away sooner."""
    time = np.arange(int(2.4 * RENDER_RATE)) / RENDER_RATE
    body = partials(pitch, (1.0, 0.35, 0.12), time) * np.exp(-2.2 * time)
    bell = partials(pitch, (0, 0, 0.1, 0.12, 0.05), time) * np.exp(-8 * time)
    attack = np.minimum(1, time / 0.008)
    release = np.clip((2.4 - time) / 0.2, 0, 1)
    return strength * attack * release * (body + bell)


def pad(pitch: float, seconds: float) -> np.ndarray:
    """Strings far away: two voices a little apart, slow to come and go."""
    time = np.arange(int((seconds + 1.0) * RENDER_RATE)) / RENDER_RATE
    voices = sum(partials(pitch * detune, (1.0, 0.4, 0.2, 0.1, 0.05), time) for detune in (0.9985, 1.0015))
    swell = np.sin(np.pi / 2 * np.clip(time / 0.8, 0, 1)) ** 2
    fall = np.sin(np.pi / 2 * np.clip((seconds + 1.0 - time) / 1.0, 0, 1)) ** 2
    return 0.5 * voices * swell * fall


def flute(pitch: float, seconds: float) -> np.ndarray:
    """The melody: nearly a sine, with a vibrato that comes in late."""
    time = np.arange(int((seconds + 0.25) * RENDER_RATE)) / RENDER_RATE
    depth = 0.004 * np.clip(time - 0.3, 0, 1)
    wavering = time + depth / (2 * np.pi * 4.8) * np.sin(2 * np.pi * 4.8 * time)
    envelope = np.minimum(1, time / 0.07) * np.clip((seconds + 0.25 - time) / 0.3, 0, 1)
    return envelope * partials(pitch, (1.0, 0.28, 0.1, 0.03), wavering)


def accompaniment(length: int) -> np.ndarray:
    track = np.zeros(length)
    for index, chord in enumerate(bars(CHORDS)):
        start = index * 4 * BEAT
        for note in chord[1:4]:
            lay(track, start, 0.16 * pad(frequency(note), 4 * BEAT))
        for eighth, step in enumerate(ARPEGGIOS[index % 2]):
            strength = 0.5 if eighth % 4 == 0 else 0.36
            lay(track, start + eighth * BEAT / 2, pluck(frequency(chord[step]), strength))
    return track


def melody(length: int) -> np.ndarray:
    track = np.zeros(length)
    start = 0.0
    for note, beats in (item.split(":") for bar in bars(MELODY) for item in bar):
        if note != "-":
            lay(track, start, 0.3 * flute(frequency(note), int(beats) * BEAT))
        start += int(beats) * BEAT
    return track


def reverb(track: np.ndarray) -> np.ndarray:
    """A small hall: decaying noise as impulse response, folded around the ring."""
    time = np.arange(int(1.2 * RENDER_RATE)) / RENDER_RATE
    noise = np.random.default_rng(7).standard_normal(len(time)) * np.exp(-5 * time)
    response = np.zeros(len(track))
    response[: len(noise)] = noise / np.sqrt(np.sum(noise**2))
    return np.fft.irfft(np.fft.rfft(track) * np.fft.rfft(response), len(track))


def band(track: np.ndarray, rate: int) -> np.ndarray:
    """What a telephone line of this rate carries, at this rate; circular, so the loop stays whole."""
    low, high, stop = 180.0, 0.42 * rate, 0.48 * rate
    spectrum = np.fft.rfft(track)
    frequencies = np.fft.rfftfreq(len(track), 1 / RENDER_RATE)
    rise = np.clip((frequencies - low / 2) / (low / 2), 0, 1)
    fall = np.clip((stop - frequencies) / (stop - high), 0, 1)
    kept = len(track) * rate // RENDER_RATE
    return np.fft.irfft((spectrum * rise * fall)[: kept // 2 + 1], kept) * rate / RENDER_RATE


def hold_music(rate: int) -> np.ndarray:
    """The whole piece at `rate` (8000 or 16000), float samples in -1..1, to be looped."""
    length = round(DURATION * RENDER_RATE)
    dry = accompaniment(length) + melody(length)
    wet = band(dry + 0.35 * reverb(dry), rate)
    return wet * 10 ** (LEVEL / 20) / np.sqrt(np.mean(wet**2))
