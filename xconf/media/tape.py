"""The files of a recording. All of this waits for the disk: never on the tick."""

from __future__ import annotations

import os
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Samples = npt.NDArray[np.int16]
Format = Literal["wav", "opus"]

MIX = ""
MOST_TRACKS = 100  # files beside the mix
CHUNK = 500  # ticks that are written together
LONGEST_WAVE = 2**31 - 2**20  # octets of a file; the format ends at 2**32, and some players at half of that
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)  # Hz, RFC 6716 section 2


class TapeError(Exception):
    """The files cannot be written; the text says which, and why."""


@dataclass(frozen=True, slots=True)
class Block:
    """A frame of a track (`MIX`, or a name of its own), at that tick of the recording."""

    track: str
    tick: int
    samples: Samples


class File(Protocol):
    def write(self, samples: Samples) -> None: ...
    def close(self) -> None: ...


def _create(path: Path) -> int:
    """A new file for nobody but us: its descriptor."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)


class _WaveWriter(wave.Wave_write):
    def __del__(self) -> None:
        """The one of the library would write once more to a disk that is full."""


class WaveFile:
    """Whole after each write: its header is told how long it is."""

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        self._stream = os.fdopen(_create(path), "w+b")
        self._wave = _WaveWriter(self._stream)
        self._wave.setparams((channels, 2, rate, 0, "NONE", ""))

    def write(self, samples: Samples) -> None:
        self._wave.writeframes(samples.astype("<i2").tobytes())
        self._stream.flush()

    def close(self) -> None:
        try:
            self._wave.close()
        finally:
            self._stream.close()


class OpusFile:
    """Opus in Ogg (RFC 7845)."""

    def __init__(self, path: Path, rate: int, channels: int) -> None:
        self._channels = channels
        encoded = rate if rate in OPUS_RATES else 48000
        self._resampler = None if encoded == rate else soxr.ResampleStream(rate, encoded, channels, dtype="int16")
        descriptor = _create(path)
        try:
            self._file = soundfile.SoundFile(
                descriptor, "w", samplerate=encoded, channels=channels, format="OGG", subtype="OPUS", closefd=True
            )
        except Exception:
            os.close(descriptor)
            raise

    def write(self, samples: Samples) -> None:
        frames = samples.reshape(-1, self._channels)
        if self._resampler is not None:
            frames = self._resampler.resample_chunk(frames)
        self._file.write(frames)

    def close(self) -> None:
        try:
            if self._resampler is not None:  # it holds some of the end yet
                rest = np.zeros((0, self._channels), np.int16)
                self._file.write(self._resampler.resample_chunk(rest, last=True))
        finally:
            self._file.close()


class Track:
    """One sound, in as many files as it takes: `NAME.wav`, `NAME-2.wav` …"""

    def __init__(self, stem: Path, rate: int, channels: int, form: Format) -> None:
        self.samples = rate // 50 * channels
        self._stem, self._rate, self._channels, self._form = stem, rate, channels, form
        self._part = 0
        self._left = 0  # ticks for which there is room in this file
        self._file: File | None = None
        self.ticks = 0

    def write(self, blocks: Iterable[Block], length: int) -> None:
        """Up to `length` ticks from the beginning; what no block is for is silent. Raises OSError and others."""
        self._room()
        coming = [block for block in blocks if self.ticks <= block.tick < length]
        while self.ticks < length:
            ticks = min(CHUNK, length - self.ticks)
            ticks = min(ticks, self._room())
            frames = np.zeros((ticks, self.samples), np.int16)
            for block in coming:
                if self.ticks <= block.tick < self.ticks + ticks:
                    frames[block.tick - self.ticks] = block.samples
            assert self._file is not None
            self._file.write(frames.ravel())
            self.ticks += ticks
            self._left -= ticks

    def _room(self) -> int:
        """Ticks for which the file has room; of the next one, when it has none."""
        if self._left <= 0:
            self.close()
            self._part += 1
            number = f"-{self._part}" if self._part > 1 else ""
            kind = WaveFile if self._form == "wav" else OpusFile
            path = self._stem.with_name(f"{self._stem.name}{number}.{self._form}")
            self._file = kind(path, self._rate, self._channels)
            self._left = LONGEST_WAVE // (2 * self.samples)
        return self._left

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.close()


class Tape:
    """A recording on disk: the mix, and beside it a track of each who speaks where that is wished; all equally long.

    folder: made if need be, for nobody but us; name: of the files, without their ending; rate: Hz. One thread at a time.
    """

    def __init__(self, folder: Path, name: str, rate: int, channels: int, form: Format) -> None:
        self.path = folder / f"{name}.{form}"
        self._folder, self._name = folder, name
        self._format: tuple[int, int, Format] = rate, channels, form
        self._tracks: dict[str, Track] = {}
        self.left_out = 0
        """Tracks beyond MOST_TRACKS, which are in the mix alone."""

    def write(self, blocks: Iterable[Block], length: int) -> None:
        """What was heard; complete up to `length` ticks from the beginning. Raises TapeError."""
        by_track: dict[str, list[Block]] = {MIX: []}
        for block in blocks:
            by_track.setdefault(block.track, []).append(block)
        try:
            for name in by_track:
                self._open(name)
            for name, track in self._tracks.items():
                track.write(by_track.get(name, ()), length)
        except Exception as error:  # libsndfile's, the disk's, and an assertion of soundfile's when the disk is full
            reason = getattr(error, "strerror", None) or str(error) or "it cannot be written"
            raise TapeError(f"{self.path}: {reason}") from error

    def _open(self, name: str) -> None:
        if name in self._tracks:
            return
        if len(self._tracks) > MOST_TRACKS:
            self.left_out += 1
            return
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stem = f"{self._name}-{name}" if name else self._name
        self._tracks[name] = Track(self._folder / stem, *self._format)

    def close(self) -> None:
        """No more is written. Raises TapeError."""
        fault: Exception | None = None
        for track in self._tracks.values():
            try:
                track.close()
            except Exception as error:
                fault = error
        if fault is not None:
            raise TapeError(f"{self.path}: {fault}")
