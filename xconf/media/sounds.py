"""The sounds that conferences play: tones, files, folders of files, spoken words and, where that is allowed, addresses.

A sound is named by text: `tone_stream://…`, `say:words`, `https://…`, a file or a folder below the folder of all sounds
or with its whole path (`shuffle:` before a folder: in no order). A file is looked for in a subfolder for the rate first
(`sounds/8000/welcome.wav`), then as it is, then in the subfolders of other rates, and is resampled.

What profiles name is made ready before calls come (`prepare`), and `open` only looks it up; what somebody names later is
made ready by `load`, which waits for the disk. Short files are held in memory and shared, long ones are streamed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from weakref import WeakSet

from xconf.media.cache import Cache
from xconf.media.reader import FileReader, Programme, Reader, sound_files
from xconf.media.sources import Clip, Recorded, Samples, SoundError
from xconf.media.streaming import Ahead, Stream, Work
from xconf.media.tones import PREFIX as TONE
from xconf.media.tones import tone_stream

SHORT = 100.0  # s: a file up to that is held in memory,
HELD = 64 << 20  # octets of such files together
LONGEST = 600.0  # s of a file that is decoded as a whole
MOST_STREAMS = 1000
LONGEST_NAME = 2048
SHUFFLE = "shuffle:"
RATES = (8000, 16000, 32000, 48000)  # for which there may be a subfolder

Make = Callable[[bool], Recorded]
"""Makes a producer of a sound, without end if True. Does not wait for anything."""


def here(work: Work) -> None:
    """Decodes at once, where it stands."""
    work()


class Sounds:
    """All sounds of a node. ahead: how streams have more decoded; `counters` tell how they fare.

    made: what makes a file of a sound, by how its text begins, like `say:`; it waits, and may raise SoundError.
    """

    def __init__(self, folder: Path, ahead: Ahead = here) -> None:
        self.counters: Counter[str] = Counter()
        self.ahead = ahead
        self.made: dict[str, Callable[[str], Path]] = {}
        self._folder = folder
        self._prepared: dict[tuple[str, int], Make] = {}
        self._short: Cache[tuple[Path, int, int, int], Samples] = Cache(HELD, lambda samples: samples.nbytes)
        self._streams: WeakSet[Stream] = WeakSet()

    @property
    def streams(self) -> int:
        """How many sounds are being streamed."""
        return len(self._streams)

    def prepare(self, spec: str, rate: int) -> None:
        """Make a sound ready for conferences of that rate. Waits for the disk. Raises SoundError."""
        if (spec, rate) not in self._prepared:
            self._prepared[spec, rate] = self._make(spec, rate)

    def open(self, spec: str, rate: int, *, loop: bool = False) -> Recorded:
        """A producer of a sound that was prepared, or that is a tone. Raises SoundError."""
        make = self._prepared.get((spec, rate))
        if make is None and spec.startswith(TONE):
            make = self._make(spec, rate)
        if make is None:
            raise SoundError(f"sound {spec!r} was not loaded at start")
        return make(loop)

    def load(self, spec: str, rate: int) -> Recorded:
        """A producer of any sound, ready to be heard. Waits for the disk. Raises SoundError."""
        sound = self._make(spec, rate)(False)
        if isinstance(sound, Stream):
            sound.prime()
        return sound

    def maker(self, spec: str) -> Callable[[str], Path] | None:
        """What makes a file of that sound, where it is none."""
        return next((make for prefix, make in self.made.items() if spec.startswith(prefix)), None)

    def find(self, spec: str, rate: int) -> Path | None:
        """The file or folder of a sound, the one that sounds best at that rate. Raises SoundError where it leads astray."""
        name = spec.removeprefix(SHUFFLE)
        if ".." in Path(name).parts:
            raise SoundError(f"sound {spec!r} leads out of the folder of sounds; give its whole path")
        own, *others = (self._folder / str(each) / name for each in best_rates(rate))
        places = (own, self._folder / name, *others)
        return next((place for place in places if len(name) <= LONGEST_NAME and _exists(place)), None)

    def _make(self, spec: str, rate: int) -> Make:
        if spec.startswith(TONE):
            stream = tone_stream(spec, rate)
            return lambda loop: stream.clip(rate, loop=loop)
        make = self.maker(spec)
        if make is not None:
            return self._file(make(spec), rate)
        if "://" in spec:
            raise SoundError(f"sound {spec!r}: only files and tone_stream:// are played, and what sounds.urls allows")
        path = self.find(spec, rate)
        if path is None:
            raise SoundError(f"sound {spec!r} is not in {self._folder}")
        if path.is_dir():
            return self._folder_of_sounds(path, rate, shuffled=spec.startswith(SHUFFLE))
        return self._file(path, rate)

    def _folder_of_sounds(self, folder: Path, rate: int, *, shuffled: bool) -> Make:
        files = partial(sound_files, folder)
        files()  # says what is wrong with it while there is somebody to be told
        return lambda loop: self._stream(lambda: Programme(files, rate, loop=loop, shuffled=shuffled), rate)

    def _file(self, path: Path, rate: int) -> Make:
        samples = self._held(path, rate)
        if samples is not None:
            return lambda loop: Clip(samples, rate, loops=-1 if loop else 1)

        def reader(loop: bool) -> Reader:
            return Programme(lambda: [path], rate, loop=True) if loop else FileReader(path, rate)

        return lambda loop: self._stream(lambda: reader(loop), rate)

    def _held(self, path: Path, rate: int) -> Samples | None:
        """A short file, as a whole; None when it is long. A file that has changed is read again."""
        try:
            about = path.stat()
        except OSError as error:
            raise SoundError(f"sound {path} cannot be read: {error}") from None
        key = path, about.st_mtime_ns, about.st_size, rate
        samples = self._short.get(key)
        if samples is None:
            samples = read_file(path, rate, SHORT)
            if samples is not None:
                self._short.put(key, samples)
        return samples

    def _stream(self, reader: Callable[[], Reader], rate: int) -> Stream:
        if len(self._streams) >= MOST_STREAMS:
            raise SoundError(f"{MOST_STREAMS} sounds are played at once already; wait until one is over")
        stream = Stream(reader, rate, self.ahead, self.counters)
        self._streams.add(stream)
        return stream


def best_rates(rate: int) -> list[int]:
    """The rates of recordings, in the order in which they are wanted: that one, the next better, at last the worse ones."""
    return sorted(RATES, key=lambda each: (each < rate, abs(each - rate)))


def _exists(path: Path) -> bool:
    try:
        return path.is_file() or path.is_dir()
    except OSError:  # a name too long, a folder that may not be looked into
        return False


def read_file(path: Path, rate: int, longest: float) -> Samples | None:
    """Samples of a sound file (whatever libsndfile reads), mixed down to one channel, at `rate` Hz; None when it is
    longer than so many seconds. Raises SoundError.
    """
    reader = FileReader(path, rate)
    try:
        return reader.read(round((longest + 1) * rate)) if reader.seconds <= longest else None
    finally:
        reader.close()


def decode_file(path: Path, rate: int) -> Samples:
    """The same of a file of at most LONGEST seconds. Raises SoundError."""
    samples = read_file(path, rate, LONGEST)
    if samples is None:
        raise SoundError(f"sound {path} is longer than {LONGEST:.0f} s")
    return samples
