"""All conferences of one sampling rate: their voices, what is played to them, and the sources that listeners hear.

A *source* is a row of `pcm`, this tick's frame of something that can be heard: silence (row 0), a conference's mix, the
mix without one voice, or a player. Outputs encode sources; legs share outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from xconf.media.rows import Rows
from xconf.media.sources import Sound
from xconf.media.voices import Voices

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
SILENCE = 0
NOISE_FRAMES = 64
Done = Callable[[], None]


class Player:
    """A sound being played: into a conference, to one leg, or to all who wait. `row` is its source (None: mixed in)."""

    def __init__(self, plane: Plane, sound: Sound, row: int | None, mix: int | None, done: Done | None) -> None:
        self.row = row
        self.mix = mix
        self.sound = sound
        self._plane = plane
        self._done = done

    def stop(self) -> None:
        """No more of it is heard; `done` is not called."""
        self._done = None
        self._plane.drop(self)

    def finished(self) -> Done | None:
        """The sound is over: frees it, and returns whom to tell."""
        done, self._done = self._done, None
        self._plane.drop(self)
        return done


class Plane:
    """The conferences of one rate on this node, at most `capacity` voices and as many mixes."""

    def __init__(self, rate: int, capacity: int, rng: np.random.Generator) -> None:
        self.rate = rate
        self.samples = rate // 50
        self.voices = Voices(rate, capacity)
        self._rows = Rows(3 * capacity + 1, "sounds at once", first=1)
        self.pcm = np.zeros((3 * capacity + 1, self.samples), np.int16)
        self._noise_level = np.zeros(3 * capacity + 1, np.float32)
        self._noise = self._make_noise(rng)
        self._mixes: set[int] = set()
        self._mix_rows: Ints | None = None
        self._players: set[Player] = set()

    def _make_noise(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """White noise of mean absolute sample 1, NOISE_FRAMES frames."""
        noise = rng.normal(0.0, np.sqrt(np.pi / 2), (NOISE_FRAMES, self.samples))
        return noise.astype(np.float32)

    @property
    def playing(self) -> bool:
        """Something is played, to anybody."""
        return bool(self._players)

    @property
    def idle(self) -> bool:
        return not (self._mixes or self._players)

    @property
    def used(self) -> int:
        """Source rows in use, without the mixes of conferences."""
        return self._rows.used - len(self._mixes)

    def open_mix(self) -> int:
        """The source row of a new conference's mix."""
        row = self._rows.take()
        self._mixes.add(row)
        self._noise_level[row] = 0.0
        self._mix_rows = None
        return row

    def close_mix(self, row: int) -> None:
        for player in [p for p in self._players if p.mix == row]:
            player.stop()
        self._mixes.discard(row)
        self._mix_rows = None
        self.give(row)

    def set_noise(self, row: int, level: int) -> None:
        """Comfort noise of a mix while nobody speaks: mean absolute sample, 0 = none."""
        self._noise_level[row] = level

    def take(self) -> int:
        """A source row that its owner fills."""
        row = self._rows.take()
        self.pcm[row] = 0
        return row

    def give(self, row: int) -> None:
        self.pcm[row] = 0
        self._rows.give(row)

    def play(self, sound: Sound, mix: int | None, done: Done | None) -> Player:
        """Start a sound with the next tick: into a mix, or (None) as a source of its own."""
        player = Player(self, sound, self.take() if mix is None else None, mix, done)
        self._players.add(player)
        return player

    def drop(self, player: Player) -> None:
        if player in self._players:
            self._players.discard(player)
            if player.row is not None:
                self.give(player.row)

    def run(self, tick: int) -> tuple[Ints, list[Player]]:
        """Fill `pcm` for this tick. Returns the voices that began or ceased to speak, and the players that are over."""
        over, into = self._read_players()
        voices, frames, changed = self.voices.read(tick)
        mixes, first, place = np.unique(self.voices.mix[voices], return_index=True, return_inverse=True)
        loud = np.union1d(mixes, np.array([mix for mix, _ in into], np.int64))
        total = np.zeros((len(loud), self.samples), np.int32)
        if len(voices):
            total[np.searchsorted(loud, mixes)] = np.add.reduceat(frames, first, axis=0, dtype=np.int32)
        for mix, frame in into:
            total[np.searchsorted(loud, mix)] += frame
        self._fill_quiet(loud, tick)
        self.pcm[loud] = np.clip(total, -32768, 32767)
        if len(voices):
            mine = total[np.searchsorted(loud, mixes)[place]] - frames
            self.pcm[self.voices.minus[voices]] = np.clip(mine, -32768, 32767)
        return changed, over

    def _read_players(self) -> tuple[list[Player], list[tuple[int, Samples]]]:
        over: list[Player] = []
        into: list[tuple[int, Samples]] = []
        for player in self._players:
            frame = player.sound.read()
            if frame is None:
                over.append(player)
            elif player.row is not None:
                self.pcm[player.row] = frame
            elif player.mix is not None:
                into.append((player.mix, frame))
        return over, into

    def _fill_quiet(self, loud: Ints, tick: int) -> None:
        """Conferences in which nobody speaks and nothing is played: comfort noise, or silence."""
        if self._mix_rows is None:
            self._mix_rows = np.array(sorted(self._mixes), np.int64)
        quiet = np.setdiff1d(self._mix_rows, loud, assume_unique=True)
        if len(quiet):
            noise = self._noise[tick * 37 % NOISE_FRAMES]
            self.pcm[quiet] = (self._noise_level[quiet, None] * noise).astype(np.int16)
