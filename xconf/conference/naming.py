"""Names as their owners say them: asked for before they come in, kept in memory while they are here, never on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xconf.conference.interfaces import Timer
from xconf.media.levels import mean_level
from xconf.media.rows import OutOfRows
from xconf.media.sources import Clip

if TYPE_CHECKING:
    from xconf.conference.announcer import Announcer
    from xconf.conference.conference import Conference
    from xconf.media.leg import Leg
    from xconf.media.mix import Mix
    from xconf.media.taps import Tap

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.int16]

TONE = "tone_stream://%(200,0,1000)"
LONGEST_PROMPT = 30.0  # s that the question may take, should its end never be told
LONGEST = 4.0  # s for the answer, from the end of the tone
LOOK = 0.2  # s between two looks at what there is of it
QUIET = 50  # ticks of silence after which it is over
LEAST = 5  # loud ticks, below which nothing was said
MARGIN = 4  # ticks of silence that are left at each end
FAINT = 100  # mean level that is speech for sure, where the voice detector has none
MOST = 50  # names that a conference keeps: 3 MB at 8 kHz, 20 MB at 48 kHz


class SpokenName:
    """What somebody said: one channel, at the conference's rate."""

    def __init__(self, samples: Samples, rate: int) -> None:
        self.samples = samples
        self.rate = rate

    def clip(self) -> Clip:
        """To be heard, once."""
        return Clip(self.samples, self.rate)


class NameMenu:
    """Asks somebody who waits to come in for his name. done: called once, with it, or None when nothing was said. A key ends
    the answer; so do a second of silence, and LONGEST.
    """

    def __init__(
        self, conference: Conference, leg: Leg, announcer: Announcer, done: Callable[[SpokenName | None], None]
    ) -> None:
        self._conference = conference
        self._clock = conference.clock
        self._leg = leg
        self._announcer = announcer
        self._done = done
        vad = conference.profile.vad
        self._loud = vad.level if vad.enable and vad.level else FAINT
        self._aside: Mix | None = None  # where nobody else hears it
        self._tap: Tap | None = None
        self._frames: dict[int, Samples] = {}  # by tick
        self._spoken: list[int] = []  # ticks that are loud
        self._timer: Timer | None = self._clock.callLater(LONGEST_PROMPT, self._listen)
        announcer.say("ask-name", conference.profile.member_say_name)
        announcer.say("ask-name-tone", TONE, self._listen)

    def digit(self, digit: str) -> None:
        """A key was pressed: that was the name."""
        if self._tap is not None:
            self._finish()

    def close(self) -> None:
        """Over, without a name."""
        self._stop_timer()
        self._announcer.drop("ask-name")
        self._announcer.drop("ask-name-tone")
        if self._aside is not None:
            self._leg.speaker = False
            self._leg.attach(None)
            self._aside.close()
        self._aside = self._tap = None

    def _listen(self) -> None:
        if self._tap is not None:
            return
        self._stop_timer()
        leg = self._leg
        try:
            self._aside = self._conference.mix.aside()
            leg.attach(self._aside)
            leg.mute, leg.vad_level = False, 0
            leg.speaker = True
        except OutOfRows as error:
            log.warning("%s: a name is not asked for: %s", self._conference.name, error)
            self._finish()
            return
        self._tap = self._aside.tap()
        self._until = self._clock.seconds() + LONGEST
        self._timer = self._clock.callLater(LOOK, self._look)

    def _look(self) -> None:
        self._timer = None
        self._take()
        assert self._tap is not None
        said = bool(self._spoken) and self._tap.length - self._spoken[-1] > QUIET
        if said or self._clock.seconds() >= self._until:
            self._finish()
        else:
            self._timer = self._clock.callLater(LOOK, self._look)

    def _take(self) -> None:
        for heard in self._tap.take() if self._tap is not None else ():
            self._frames[heard.tick] = heard.mix
            if mean_level(heard.mix[None])[0] >= self._loud:
                self._spoken.append(heard.tick)

    def _finish(self) -> None:
        self._take()
        name = self._cut()
        self.close()
        self._done(name)

    def _cut(self) -> SpokenName | None:
        """From the first to the last that was loud."""
        if len(self._spoken) < LEAST:
            return None
        mix = self._conference.mix
        samples = mix.rate // 50
        first, last = max(0, self._spoken[0] - MARGIN), self._spoken[-1] + MARGIN
        name = np.zeros((last - first + 1, samples), np.int16)
        for tick in range(first, last + 1):
            if tick in self._frames:
                name[tick - first] = self._frames[tick].reshape(samples, -1).mean(axis=1)
        return SpokenName(name.ravel(), mix.rate)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
