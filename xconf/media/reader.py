"""Sound files, read a piece at a time. All of this waits for the disk: never on the tick.

A *reader* gives a sound from its beginning to its end, in pieces of any length, to one thread at a time.
"""

from __future__ import annotations

import logging
import random
import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from xconf.media.sources import Samples, SoundError

log = logging.getLogger(__name__)

CHUNK = 0.5  # s of a file that are decoded together
RATES = range(1000, 384_001)
MOST_CHANNELS = 16
MOST_FILES = 10_000  # of a folder
KINDS = frozenset((".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au"))


class Reader(Protocol):
    """seconds: how long it is; None: nobody knows, and it cannot be wound."""

    @property
    def seconds(self) -> float | None: ...

    def read(self, samples: int) -> Samples:
        """The next so many; fewer at the end, none after it. Raises SoundError."""

    def seek(self, seconds: float) -> None:
        """Go on from there; beyond the end, it is over. Raises SoundError."""

    def close(self) -> None:
        """It is read no more."""


class _SoundFile(soundfile.SoundFile):  # type: ignore[misc]
    """soundfile seeks after each piece that it reads, to where it is: in an MP3 that is heard, as a tenth of a second of
    silence.
    """

    def seekable(self) -> bool:
        return False


class FileReader:
    """A file of whatever format libsndfile reads, mixed down to one channel, at `rate` Hz. Raises SoundError."""

    def __init__(self, path: Path, rate: int) -> None:
        self._path = path
        self._rate = rate
        try:
            # A pipe or a device would keep who opens it waiting, or never end.
            if not stat.S_ISREG(path.stat().st_mode):
                raise SoundError(f"sound {path} is no file")
            self._file = _SoundFile(path)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SoundError(f"sound {path} cannot be read: {error}") from None
        if self._file.samplerate not in RATES or self._file.channels > MOST_CHANNELS:
            self._file.close()
            raise SoundError(f"sound {path} has {self._file.channels} channels of {self._file.samplerate} Hz")
        self.seconds = self._file.frames / self._file.samplerate
        self._begin()

    def _begin(self) -> None:
        same = self._file.samplerate == self._rate
        self._resampler = None if same else soxr.ResampleStream(self._file.samplerate, self._rate, 1, dtype="float32")
        self._ready: list[Samples] = []
        self._held = 0
        self._ended = False

    def read(self, samples: int) -> Samples:
        while self._held < samples and not self._ended:
            self._decode()
        joined = np.concatenate(self._ready) if self._ready else np.zeros(0, np.int16)
        self._ready = [joined[samples:]] if len(joined) > samples else []
        self._held = max(0, len(joined) - samples)
        return joined[:samples]

    def _decode(self) -> None:
        wanted = round(CHUNK * self._file.samplerate)
        try:
            wave: npt.NDArray[np.float32] = self._file.read(wanted, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SoundError(f"sound {self._path} cannot be read on: {error}") from None
        self._ended = len(wave) < wanted
        mono = wave.mean(axis=1, dtype=np.float32)
        if self._resampler is not None:
            mono = self._resampler.resample_chunk(mono, last=self._ended)
        piece = np.rint(np.clip(np.nan_to_num(mono), -1.0, 1.0) * 32767.0).astype(np.int16)
        self._ready.append(piece)
        self._held += len(piece)

    def seek(self, seconds: float) -> None:
        at = min(max(0, round(seconds * self._file.samplerate)), self._file.frames)
        try:
            self._file.seek(at)
        except (soundfile.LibsndfileError, OSError) as error:
            raise SoundError(f"sound {self._path} cannot be sought: {error}") from None
        self._begin()

    def close(self) -> None:
        self._file.close()


def sound_files(folder: Path) -> list[Path]:
    """The sound files of a folder, as people sort them: 2 before 10. Raises SoundError when there are none."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in KINDS and not path.name.startswith(".")]
    except OSError as error:
        raise SoundError(f"folder {folder} cannot be read: {error.strerror}") from None
    if not found:
        raise SoundError(f"there is no sound file in {folder}")
    if len(found) > MOST_FILES:
        raise SoundError(f"there are more than {MOST_FILES} sound files in {folder}")
    return sorted(found, key=_order)


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (1 << 62, part) for part in parts], path.name


class Programme:
    """Several files, one after the other without a gap: in order, or shuffled; once, or round and round.

    `files` is asked again at the end of each: what came meanwhile is played, what went is not. A file that cannot be
    read is logged and left out; when none of a whole round can, a SoundError is raised.
    """

    seconds = None

    def __init__(
        self, files: Callable[[], Sequence[Path]], rate: int, *, loop: bool = False, shuffled: bool = False
    ) -> None:
        self._files = files
        self._rate = rate
        self._loop = loop
        self._shuffled = shuffled
        self._reader: FileReader | None = None
        self._played: list[Path] = []  # of this round
        self._failed = ""
        self._heard = False
        self._next()

    def read(self, samples: int) -> Samples:
        pieces: list[Samples] = []
        missing = samples
        while missing and self._reader is not None:
            piece = self._piece(missing)
            pieces.append(piece)
            missing -= len(piece)
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    def _piece(self, samples: int) -> Samples:
        assert self._reader is not None
        try:
            piece = self._reader.read(samples)
        except SoundError as error:
            self._failed = str(error)
            log.warning("%s; the next is played", error)
            piece = np.zeros(0, np.int16)
        self._heard = self._heard or len(piece) > 0
        if len(piece) < samples:
            self._next()
        return piece

    def _next(self) -> None:
        """Open the next file that can be read; none, when all have been played."""
        self.close()
        while self._reader is None:
            path = self._choose()
            if path is None:
                return
            self._played.append(path)
            try:
                self._reader = FileReader(path, self._rate)
            except SoundError as error:
                self._failed = str(error)
                log.warning("%s; the next is played", error)

    def _choose(self) -> Path | None:
        files = self._files()
        left = self._left(files)
        if not left:
            if not self._heard and (self._failed or self._loop):
                raise SoundError(self._failed or "there is nothing to hear in the files")
            if not self._loop:
                return None
            last, self._played, self._heard, self._failed = self._played[-1:], [], False, ""
            left = [path for path in files if path not in last] if self._shuffled else []
            left = left or list(files)
        return random.choice(left) if self._shuffled else left[0]

    def _left(self, files: Sequence[Path]) -> list[Path]:
        """What is still to come in this round."""
        if self._shuffled:
            played = set(self._played)
            return [path for path in files if path not in played]
        last = self._played[-1] if self._played else None
        return [path for path in files if last is None or _order(path) > _order(last)]

    def seek(self, seconds: float) -> None:
        raise SoundError("a folder cannot be wound")

    def close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
