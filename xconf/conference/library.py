"""The sounds that conferences play: those of profiles, which are ready before calls come, and files that somebody names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xconf.conference.profile import Profile
from xconf.media.sounds import decode_file
from xconf.media.sources import Clip, Samples, Sound, SoundError

if TYPE_CHECKING:
    from xconf.media.sounds import Sounds

Decode = Callable[[], Samples]
Decoded = Callable[[Samples | Exception], None]
Aside = Callable[[Decode, Decoded], None]


def at_once(work: Decode, done: Decoded) -> None:
    """Does the work where it stands. A server hands it to a thread instead, so that the tick does not wait."""
    try:
        samples = work()
    except SoundError as error:
        done(error)
    else:
        done(samples)


class Library:
    """aside: runs the decoding of a file elsewhere, then calls back, here, with the samples or with what went wrong."""

    def __init__(self, sounds: Sounds, aside: Aside = at_once) -> None:
        self._sounds = sounds
        self._aside = aside

    def locate(self, spec: str, profile: Profile) -> str:
        """The name of a sound below the folder of all sounds: with the profile's prefix where there is such a file."""
        prefix, rate = profile.sound_prefix.rstrip("/"), profile.sample_rate
        if not prefix or "://" in spec or spec.startswith("/"):
            return spec
        places = (f"{prefix}/{rate}/{spec}", f"{prefix}/{spec}")
        return next((place for place in places if self._sounds.find(place, rate)), spec)

    def open(self, spec: str, profile: Profile, *, loop: bool = False) -> Sound:
        """A producer of a prepared sound, or of a tone. Raises SoundError."""
        return self._sounds.open(self.locate(spec, profile), profile.sample_rate, loop=loop)

    def fetch(self, spec: str, profile: Profile, then: Callable[[Sound | SoundError], None]) -> None:
        """Any sound: `then` gets its producer, now or when the file has been decoded. Raises SoundError when there is
        no such sound.
        """
        rate = profile.sample_rate
        if spec.startswith("tone_stream://"):
            then(self._sounds.open(spec, rate))
            return
        if "://" in spec:
            raise SoundError(f"sound {spec!r}: only files and tone_stream:// are played")
        path = self._sounds.find(self.locate(spec, profile), rate)
        if path is None:
            raise SoundError(f"no sound {spec!r}")

        def decoded(result: Samples | Exception) -> None:
            if isinstance(result, Exception):
                then(result if isinstance(result, SoundError) else SoundError(f"sound {spec!r}: {result}"))
            else:
                then(Clip(result, rate))

        self._aside(lambda: decode_file(path, rate), decoded)
