"""The sounds that conferences play: files and tones, decoded once, kept in memory, shared by all who play them.

Files are looked for below a folder, in a subfolder for each rate where there is one (`sounds/8000/welcome.wav`), or as
they are, and are then resampled. All decoding happens in `prepare`, before calls come; `open` only looks up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from xconf.media.sources import Clip, Samples, SoundError, tone_stream

LONGEST = 600.0  # s that one file may last: sounds are kept in memory


class Sounds:
    """All sounds of a node."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._samples: dict[tuple[str, int], Samples] = {}

    def prepare(self, spec: str, rate: int) -> None:
        """Decode a sound for conferences of that rate. Reads files: not for the tick. Raises SoundError."""
        if (spec, rate) not in self._samples:
            self._samples[spec, rate] = (
                tone_stream(spec, rate) if spec.startswith("tone_stream://") else self._decode(spec, rate)
            )

    def open(self, spec: str, rate: int, *, loop: bool = False) -> Clip:
        """A producer of a sound that was prepared, or that is a tone. Raises SoundError."""
        if (spec, rate) not in self._samples:
            if not spec.startswith("tone_stream://"):
                raise SoundError(f"sound {spec!r} was not loaded at start")
            return Clip(tone_stream(spec, rate), rate, loop=loop)
        return Clip(self._samples[spec, rate], rate, loop=loop)

    def find(self, spec: str, rate: int) -> Path | None:
        """The file of a sound, the one made for that rate first."""
        return next((p for p in (self._folder / str(rate) / spec, self._folder / spec) if p.is_file()), None)

    def _decode(self, spec: str, rate: int) -> Samples:
        if "://" in spec:
            raise SoundError(f"sound {spec!r}: only files and tone_stream:// are played")
        path = self.find(spec, rate)
        if path is None:
            raise SoundError(f"sound {spec!r} is not in {self._folder}")
        return decode_file(path, rate)


def decode_file(path: Path, rate: int) -> Samples:
    """Samples of a sound file (whatever libsndfile reads), mixed down to one channel, at `rate` Hz. Raises SoundError."""
    try:
        with soundfile.SoundFile(path) as file:
            if file.frames > LONGEST * file.samplerate:
                raise SoundError(f"sound {path} is longer than {LONGEST:.0f} s")
            wave: npt.NDArray[np.float32] = file.read(dtype="float32", always_2d=True).mean(axis=1)
            from_rate = file.samplerate
    except (soundfile.LibsndfileError, OSError) as error:
        raise SoundError(f"sound {path} cannot be read: {error}") from None
    if from_rate != rate:
        wave = soxr.resample(wave, from_rate, rate)
    samples: Samples = np.clip(np.rint(wave * 32767.0), -32768, 32767).astype(np.int16)
    return samples
