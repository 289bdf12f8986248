"""A mix: the sound of one conference, as the conference sees it."""

from __future__ import annotations

from xconf.media.link import Link
from xconf.media.outputs import Timelines
from xconf.media.pace import TICK
from xconf.media.plane import Done, Keep, Plane, Player
from xconf.media.sources import Sound
from xconf.media.taps import Tap
from xconf.media.treatment import Treatment


class Mix:
    """Made by `Engine.create_mix`. timeline: of whose packets its own are in step with; None: one of its own."""

    def __init__(self, plane: Plane, timelines: Timelines, timeline: int | None = None) -> None:
        self.plane = plane
        self.row = plane.open_mix()
        self.timeline = timelines.open() if timeline is None else timeline
        self._own = timeline is None
        self.closed = False
        self._timelines = timelines
        self._noise = 0

    @property
    def rate(self) -> int:
        """Hz."""
        return self.plane.rate

    @property
    def channels(self) -> int:
        """1, or 2 of a conference in stereo."""
        return self.plane.channels

    @property
    def passing(self) -> bool:
        """Without transcoding: who speaks alone is passed on as he was encoded."""
        return self.row in self.plane.voices.passing

    @passing.setter
    def passing(self, on: bool) -> None:
        passing = self.plane.voices.passing
        passing.add(self.row) if on else passing.discard(self.row)

    @property
    def treatment(self) -> Treatment:
        """What is done to its voices before they are mixed."""
        return self.plane.voices.treatments.of.get(self.row, Treatment())

    @treatment.setter
    def treatment(self, treatment: Treatment) -> None:
        if treatment == Treatment():
            self.plane.voices.treatments.of.pop(self.row, None)
        else:
            self.plane.voices.treatments.of[self.row] = treatment

    @property
    def comfort_noise(self) -> int:
        """Mean absolute sample of the noise heard while nobody speaks; 0 = none."""
        return self._noise

    @comfort_noise.setter
    def comfort_noise(self, level: int) -> None:
        self._noise = level
        self.plane.set_noise(self.row, level)

    def twin(self, comfort_noise: int) -> int:
        """The source row of the same for those who are to hear other noise, or none, while nobody speaks."""
        row = self.plane.twin(self.row)
        self.plane.set_noise(row, comfort_noise)
        return row

    @property
    def keep(self) -> float:
        """Seconds that what is sent of it is kept going when nobody hears it any more: who comes then is sent what goes on, not
        the beginning of something new.
        """
        keep = self.plane.keep.get(self.row)
        return keep.ticks * TICK / 1000 if keep else 0.0

    @keep.setter
    def keep(self, seconds: float) -> None:
        if seconds == self.keep:
            return
        self.plane.keep.pop(self.row, None)
        if seconds:
            self.plane.keep[self.row] = Keep(round(seconds * 1000 / TICK))

    @property
    def link(self) -> Link | None:
        """Its way to the same conference on other nodes."""
        return self.plane.links.get(self.row)

    @link.setter
    def link(self, link: Link | None) -> None:
        self.plane.links.set(self.row, link)

    def unlink(self) -> None:
        """Neither heard on other nodes nor hearing them any more."""
        link, self.link = self.link, None
        if link is not None:
            link.close()

    def play(self, sound: Sound, done: Done | None = None, *, prompt: bool = False) -> Player:
        """Mix a sound in, from the next tick on, for all to hear. Taps leave out a prompt."""
        return self.plane.play(sound, self.row, done, prompt=prompt)

    def broadcast(self, sound: Sound, done: Done | None = None) -> Player:
        """One producer that any number of legs may `tune` to, of other mixes of its rate too; `stop` it when none does."""
        return self.plane.play(sound, None, done)

    def aside(self) -> Mix:
        """One beside it, for legs that come in later: when they do, their packets go on as before. To be closed first."""
        return Mix(self.plane, self._timelines, self.timeline)

    def tap(self) -> Tap:
        """What is said and played in it, from the next tick on, until `untap`."""
        tap = Tap(self.row, self.plane.samples)
        self.plane.taps.add(tap)
        return tap

    def untap(self, tap: Tap) -> None:
        """No more; what waits there stays."""
        self.plane.taps.discard(tap)

    def close(self) -> None:
        """Ends what is played into it; twice does no harm. Its legs are to be closed, or attached elsewhere, before."""
        if self.closed:
            return
        self.closed = True
        self.unlink()
        self.plane.close_mix(self.row)
        if self._own:
            self._timelines.close(self.timeline)
