"""The sounds that conferences play: those of profiles, which are ready before calls come, and those that somebody names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from xconf.conference.profile import Profile
from xconf.media.sounds import SHUFFLE, best_rates
from xconf.media.sources import Recorded, SoundError
from xconf.media.tones import PREFIX as TONE

if TYPE_CHECKING:
    from xconf.media.sounds import Sounds

Load = Callable[[], Any]
Loaded = Callable[[Any], None]
Aside = Callable[[Load, Loaded], None]


def at_once(work: Load, done: Loaded) -> None:
    """Does the work where it stands. A server hands it to a thread instead, so that the tick does not wait."""
    try:
        sound = work()
    except SoundError as error:
        done(error)
    else:
        done(sound)


SAY = "say:"
_APART = "\0"  # in no text that anybody types


def spoken(spec: str) -> tuple[str, str, str]:
    """Engine, voice and words of a spoken sound, as `Library.locate` names it."""
    engine, voice, words = spec.removeprefix(SAY).split(_APART, 2)
    return engine, voice, words


class Library:
    """aside: makes a sound ready elsewhere, then calls back, here, with it or with what went wrong."""

    def __init__(self, sounds: Sounds, aside: Aside = at_once) -> None:
        self._sounds = sounds
        self._aside = aside

    def locate(self, spec: str, profile: Profile) -> str:
        """The name of a sound below the folder of all sounds: with the profile's prefix where there is such a file or
        folder. What is spoken: with the profile's engine and voice. Raises SoundError.
        """
        if spec.startswith(SAY):
            words = spec.removeprefix(SAY).replace(_APART, "")
            return SAY + _APART.join((profile.tts_engine, profile.tts_voice, words))
        shuffle, name = SHUFFLE if spec.startswith(SHUFFLE) else "", spec.removeprefix(SHUFFLE)
        prefix, rate = profile.sound_prefix.rstrip("/"), profile.sample_rate
        if not prefix or "://" in spec or self._sounds.maker(spec) or name.startswith("/"):
            return spec
        own, *others = (f"{prefix}/{each}/{name}" for each in best_rates(rate))
        places = (own, f"{prefix}/{name}", *others)
        return next((shuffle + place for place in places if self._sounds.find(place, rate)), spec)

    def open(self, spec: str, profile: Profile, *, loop: bool = False) -> Recorded:
        """A producer of a prepared sound, or of a tone. Raises SoundError."""
        return self._sounds.open(self.locate(spec, profile), profile.sample_rate, loop=loop)

    def fetch(self, spec: str, profile: Profile, then: Callable[[Recorded | SoundError], None]) -> None:
        """Any sound: `then` gets its producer, now or when it is ready. Raises SoundError when there is no such sound."""
        rate = profile.sample_rate
        if spec.startswith(TONE):
            then(self._sounds.open(spec, rate))
            return
        place = self.locate(spec, profile)
        if self._sounds.maker(spec) is None:
            if "://" in spec:
                raise SoundError(
                    f"sound {spec!r}: only files and tone_stream:// are played, and what sounds.urls allows"
                )
            if self._sounds.find(place, rate) is None:
                raise SoundError(f"no sound {spec!r}")

        def loaded(result: Recorded | Exception) -> None:
            if isinstance(result, Exception) and not isinstance(result, SoundError):
                result = SoundError(f"sound {spec!r}: {result}")
            then(result)

        self._aside(lambda: self._sounds.load(place, rate), loaded)

    def prepare(self, specs: Sequence[str], profile: Profile, then: Callable[[SoundError | None], None]) -> None:
        """Makes sounds of a profile ready for `open`: `then` is told when they are, or what is wrong with one of them."""

        def load() -> None:
            for spec in specs:
                self._sounds.prepare(self.locate(spec, profile), profile.sample_rate)

        def loaded(result: Exception | None) -> None:
            if isinstance(result, Exception) and not isinstance(result, SoundError):
                result = SoundError(str(result))
            then(result)

        self._aside(load, loaded)

    def fetch_all(
        self, choices: Sequence[Sequence[str | Recorded]], profile: Profile, then: Callable[[list[Recorded]], None]
    ) -> None:
        """Words that are said one after the other: `then` gets their producers, now or when they are ready. Of each choice
        the first one that can be had, a sound as it is; a choice of which there is none is left out. Raises SoundError when it is too much.
        """

        def load() -> list[Recorded]:
            return [sound for specs in choices if (sound := self._first(specs, profile)) is not None]

        self._aside(load, lambda result: then([] if isinstance(result, Exception) else result))

    def _first(self, specs: Sequence[str | Recorded], profile: Profile) -> Recorded | None:
        for spec in specs:
            if not isinstance(spec, str):
                return spec
            try:
                return self._sounds.load(self.locate(spec, profile), profile.sample_rate)
            except SoundError:
                continue
        return None
