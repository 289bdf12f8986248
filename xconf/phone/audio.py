"""What the phone says and what becomes of what it hears: tones, silence, the recording, the level."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from xconf.media.sounds import decode_file
from xconf.media.sources import Clip, Samples, Sound
from xconf.rtp.packet import distance

FULL_SCALE = 32768.0
SOUND_LEVEL = -50.0
"""dB relative to full scale (RMS of a frame) from which on the phone says that it hears something."""

_LONGEST_RECORDING = 3600  # s: a recording is kept in memory until the call is over
_LARGEST_JUMP = 5.0  # s that timestamps may be off the clock before they are taken for a new time line

SoundFactory = Callable[[int], Sound]
"""Makes a sound for a sample rate in Hz, once the codec is known."""


class Tone:
    """Sines that go on for ever, each at `level` dB (RMS, relative to full scale), saturated together."""

    def __init__(self, frequencies: tuple[float, ...], level: float, rate: int) -> None:
        self._turns = 2 * np.pi * np.array(frequencies)[:, None] / rate
        self._amplitude = 10 ** (level / 20) * np.sqrt(2) * FULL_SCALE
        self._frame = rate // 50
        self._at = 0

    def read(self) -> Samples:
        time = np.arange(self._at, self._at + self._frame)
        self._at += self._frame
        wave = np.sin(self._turns * time).sum(axis=0) * self._amplitude
        samples: Samples = np.clip(np.rint(wave), -32768, 32767).astype(np.int16)
        return samples


def silence(rate: int) -> Sound:
    """A sound that is over before it begins: silence is what is sent when nothing is left to say."""
    return Clip(np.zeros(0, np.int16), rate)


def tones(frequencies: tuple[float, ...], level: float) -> SoundFactory:
    """Endless tones, see Tone."""
    return lambda rate: Tone(frequencies, level, rate)


def file(path: Path, rates: set[int], *, loop: bool) -> SoundFactory:
    """A sound file, decoded at once for these rates. Raises media's SoundError."""
    decoded = {rate: decode_file(path, rate) for rate in rates}
    return lambda rate: Clip(decoded[rate], rate, loops=-1 if loop else 1)


def decibels(ratio: float) -> float:
    """A ratio of amplitudes in dB, at least -100."""
    return 20 * float(np.log10(max(ratio, 1e-5)))


class LevelMeter:
    """How loud it was, over the frames in which there was something to hear."""

    def __init__(self) -> None:
        self.frames = 0
        self.sounding = 0
        self.peak = 0
        self._square = 0.0

    def frame(self, samples: Samples) -> bool:
        """Note samples; True when they sound."""
        if not len(samples):
            return False
        square = float(np.mean(np.square(samples, dtype=np.float64)))
        sounds = decibels(square**0.5 / FULL_SCALE) >= SOUND_LEVEL
        self.frames += 1
        self.peak = max(self.peak, int(np.abs(samples.astype(np.int32)).max()))
        if sounds:
            self.sounding += 1
            self._square += square
        return sounds

    @property
    def level(self) -> float:
        """dB relative to full scale, RMS of the sounding frames."""
        return decibels((self._square / self.sounding) ** 0.5 / FULL_SCALE) if self.sounding else -100.0

    @property
    def peak_level(self) -> float:
        """dB relative to full scale of the largest sample."""
        return decibels(self.peak / FULL_SCALE)


class Recorder:
    """Puts sound where its RTP timestamp says, so that what was lost is silence, and late packets still find their place.

    The recording begins with `started` (monotonic seconds), the answer of the call. A source that begins another time
    line (a new SSRC, or timestamps that leap) goes on where the clock is. clock: Hz, of the timestamps, where it is not
    the sound's rate.
    """

    def __init__(self, rate: int, started: float, *, clock: int | None = None) -> None:
        self.rate = rate
        self._clock = clock or rate
        self._started = started
        self._samples = np.zeros(rate * 10, np.int16)
        self._end = 0
        self._anchor: tuple[int, int, int] | None = None  # SSRC, timestamp and position that belong together

    def place(self, ssrc: int, timestamp: int, samples: Samples, now: float) -> None:
        """Take a packet's samples, which arrived `now`. What lies beyond an hour is left out."""
        position = self._position(ssrc, timestamp, now)
        end = position + len(samples)
        if position < 0 or end > _LONGEST_RECORDING * self.rate:
            return
        if end > len(self._samples):
            self._samples = np.concatenate([self._samples, np.zeros(max(end, len(self._samples)), np.int16)])
        self._samples[position:end] = samples
        self._end = max(self._end, end)

    def _position(self, ssrc: int, timestamp: int, now: float) -> int:
        by_clock = round((now - self._started) * self.rate)
        if self._anchor is not None and self._anchor[0] == ssrc:
            _, anchored, position = self._anchor
            position += distance(timestamp, anchored, 32) * self.rate // self._clock
            if abs(position - by_clock) <= _LARGEST_JUMP * self.rate:
                return position
        self._anchor = ssrc, timestamp, by_clock
        return by_clock

    @property
    def samples(self) -> Samples:
        """All of it, int16 at `rate`."""
        return self._samples[: self._end]

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self._end / self.rate

    def save(self, path: Path) -> None:
        """Write a WAV of 16 bits. Raises OSError."""
        try:
            soundfile.write(path, self.samples, self.rate, subtype="PCM_16", format="WAV")
        except soundfile.LibsndfileError as error:
            raise OSError(f"{path} cannot be written: {error}") from None


def frame_or_silence(sound: Sound, rate: int) -> Samples:
    """The next 20 ms: of the sound, or of silence when it is over."""
    frame = sound.read()
    return np.zeros(rate // 50, np.int16) if frame is None else frame
