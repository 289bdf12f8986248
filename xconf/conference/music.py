"""Hold music: one producer for all who wait, in whatever conference; who comes later joins in the middle."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from xconf.conference.interfaces import Clock, Timer
from xconf.conference.library import Library
from xconf.conference.profile import Profile
from xconf.media.sources import Recorded, SoundError

if TYPE_CHECKING:
    from xconf.media.leg import Leg
    from xconf.media.mix import Mix
    from xconf.media.plane import Player

log = logging.getLogger(__name__)

RETRY = 10.0  # s until music that failed is tried again

Key = tuple[str, int, int]


@dataclass(slots=True, eq=False)
class _Station:
    """profile, mix: of who came first; any would do."""

    profile: Profile
    mix: Mix
    legs: set[Leg] = field(default_factory=set)
    sound: Recorded | None = None
    player: Player | None = None
    retry: Timer | None = None


class Music:
    """The music of a node."""

    def __init__(self, library: Library, clock: Clock) -> None:
        self._library = library
        self._clock = clock
        self._stations: dict[Key, _Station] = {}
        self._keys: dict[Leg, Key] = {}

    @property
    def stations(self) -> int:
        """How many are heard."""
        return len(self._stations)

    def tune(self, leg: Leg, mix: Mix, profile: Profile) -> None:
        """Let a leg hear the music of its conference, in place of the mix, until `leave`. Again does nothing."""
        if leg in self._keys or not profile.moh:
            return
        key = profile.moh + "\0" + profile.sound_prefix, mix.rate, mix.channels
        self._keys[leg] = key
        station = self._stations.get(key)
        if station is None:
            station = self._stations[key] = _Station(profile, mix)
            self._begin(key, station)
        station.legs.add(leg)
        leg.tune(station.player)

    def leave(self, leg: Leg) -> None:
        """It hears its conference again."""
        key = self._keys.pop(leg, None)
        if key is None:
            return
        leg.tune(None)
        station = self._stations[key]
        station.legs.discard(leg)
        if not station.legs:
            del self._stations[key]
            self._end(station)

    def _begin(self, key: Key, station: _Station) -> None:
        station.retry = None
        try:
            station.sound = self._library.open(station.profile.moh, station.profile, loop=True)
        except SoundError as error:
            self._failed(key, station, str(error))
            return
        station.player = station.mix.broadcast(station.sound, lambda: self._over(key, station))
        for leg in station.legs:
            leg.tune(station.player)

    def _over(self, key: Key, station: _Station) -> None:
        """Music has no end: something went wrong."""
        if self._stations.get(key) is station and station.sound is not None:
            error = station.sound.error or "it ended"
            self._end(station)
            self._failed(key, station, error)

    def _failed(self, key: Key, station: _Station, error: str) -> None:
        log.warning("music %s: %s; it is tried again in %.0f s", station.profile.moh, error, RETRY)
        station.retry = self._clock.callLater(RETRY, self._begin, key, station)

    def _end(self, station: _Station) -> None:
        if station.retry is not None:
            station.retry.cancel()
        if station.player is not None:
            station.player.stop()
        if station.sound is not None:
            station.sound.close()
        station.player = station.sound = station.retry = None
