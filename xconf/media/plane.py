"""All conferences of one sampling rate and number of channels: their voices, what is played to them, and the sources that listeners hear.

A *source* is a row of `pcm`, this tick's frame of something that can be heard: silence (row 0), a conference's mix, the
mix without one voice, or a player. Outputs encode sources; legs share outputs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.media.levels import saturate
from xconf.media.link import Links
from xconf.media.passing import Passed
from xconf.media.resample import with_channels
from xconf.media.rows import Rows
from xconf.media.sources import Sound
from xconf.media.taps import Tap
from xconf.media.voices import Voices

log = logging.getLogger(__name__)

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
SILENCE = 0
NOISE_FRAMES = 64
Done = Callable[[], None]
Into = list[tuple[int, Samples, bool]]
"""What is played into conferences in a tick: the mix, the frame, and whether it is a prompt."""


class Player:
    """A sound being played: into a conference, to one leg, or to all who wait.

    row: its source; None when it is mixed in, or over. listeners: called when its source is no more, before another takes
    the row. prompt: it is for those who are there; taps leave it out.
    """

    def __init__(
        self, plane: Plane, sound: Sound, row: int | None, mix: int | None, done: Done | None, prompt: bool = False
    ) -> None:
        self.row = row
        self.mix = mix
        self.sound = sound
        self.prompt = prompt
        self.listeners: set[Done] = set()
        self._plane = plane
        self._done = done

    def stop(self) -> None:
        """No more of it is heard; `done` is not called."""
        self._done = None
        self._plane.drop(self)

    def tell(self) -> None:
        """The sound is over: `done` is called, unless it was stopped since."""
        done, self._done = self._done, None
        if done is not None:
            done()


@dataclass(frozen=True, slots=True, eq=False)
class Keep:
    """For how many ticks outputs of a mix that nobody hears are kept, with what their encoders remember."""

    ticks: int


class Plane:
    """The conferences of one rate on this node: at most `capacity` legs, and one conference more.

    samples: of a frame, all channels together; those of one moment lie side by side.
    """

    def __init__(self, rate: int, channels: int, capacity: int, rng: np.random.Generator) -> None:
        self.rate = rate
        self.channels = channels
        self.samples = rate // 50 * channels
        self.voices = Voices(rate, channels, capacity)
        self.links = Links()
        # Silence; a mix without its voice and what is played to it for each leg; a mix, its twin and music for each conference.
        sources = 1 + 2 * capacity + 3 * (capacity + 1)
        self._rows = Rows(sources, "sounds at once", first=1)
        self.pcm = np.zeros((sources, self.samples), np.int16)
        self._noise_level = np.zeros(sources, np.float32)
        self._loud = np.zeros(sources, bool)
        self._twin = np.zeros(sources, np.int64)
        self.passed: dict[int, Passed] = {}
        """Mixes of which not the sound but the one speaker's packet is sent in this tick."""
        self.quiet = np.zeros(sources, bool)
        """Mixes in which nobody speaks and nothing is played: what is heard of them is comfort noise, if anything."""
        self._noise = self._make_noise(rng)
        self.keep: dict[int, Keep] = {}
        self._mixes: set[int] = set()
        self._mix_rows: Ints | None = None
        self._players: set[Player] = set()
        self.taps: set[Tap] = set()

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

    def twin(self, row: int) -> int:
        """The source row of what is heard in that mix with other comfort noise; it ends with the mix."""
        if not self._twin[row]:
            self._twin[row] = self.open_mix()
        return int(self._twin[row])

    def close_mix(self, row: int) -> None:
        if self._twin[row]:
            self.close_mix(int(self._twin[row]))
            self._twin[row] = 0
        for player in [p for p in self._players if p.mix == row]:
            player.stop()
        self.taps = {tap for tap in self.taps if tap.mix != row}
        self._mixes.discard(row)
        self.keep.pop(row, None)
        self.voices.passing.discard(row)
        self.voices.treatments.of.pop(row, None)
        self.links.set(row, None)
        self._mix_rows = None
        self.give(row)

    def set_noise(self, row: int, level: int) -> None:
        """Comfort noise of a mix while nobody speaks: mean absolute sample, 0 = none."""
        self._noise_level[row] = level

    def noise(self, rows: Ints) -> npt.NDArray[np.float32]:
        """The comfort noise that is heard of sources now, as `set_noise` has it."""
        level: npt.NDArray[np.float32] = self._noise_level[rows] * self.quiet[rows]
        return level

    def take(self) -> int:
        """A source row that its owner fills."""
        row = self._rows.take()
        self.pcm[row] = 0
        return row

    def give(self, row: int) -> None:
        self.pcm[row] = 0
        self.quiet[row] = False
        self._rows.give(row)

    def play(self, sound: Sound, mix: int | None, done: Done | None, *, prompt: bool = False) -> Player:
        """Start a sound with the next tick: into a mix, or (None) as a source of its own."""
        player = Player(self, sound, self.take() if mix is None else None, mix, done, prompt)
        self._players.add(player)
        return player

    def drop(self, player: Player) -> None:
        """It is heard no more; its row is free."""
        if player not in self._players:
            return
        self._players.discard(player)
        row, player.row = player.row, None
        for listener in player.listeners:
            listener()
        player.listeners.clear()
        if row is not None:
            self.give(row)

    def run(self, tick: int) -> tuple[Ints, list[Player]]:
        """Fill `pcm` for this tick. Returns the voices that began or ceased to speak, and the players that are over."""
        over, into = self._read_players()
        voices, frames, changed = self.voices.read(tick)
        mix = self.voices.mix[voices]
        begins = np.ones(len(mix), bool)
        np.not_equal(mix[1:], mix[:-1], out=begins[1:])  # voices come sorted by mix
        first = begins.nonzero()[0]
        mixes = mix[first]
        total = np.add.reduceat(frames, first, axis=0, dtype=np.int32) if len(voices) else frames.astype(np.int32)
        if into:
            mixes, total = self._mix_in(into, mixes, total)
        if self.links:
            others = self.links.exchange(tick, mixes, total)
            if others:
                mixes, total = self._mix_in(others, mixes, total)
                into += others
        for tap in self.taps:
            low, high = np.searchsorted(mix, (tap.mix, tap.mix + 1)).tolist()
            played = [frame for row, frame, prompt in into if row == tap.mix and not prompt]
            tap.run(tick, self.voices.leg[voices[low:high]], frames[low:high], played)
        self.pcm[mixes] = saturate(total)
        loud, twins = mixes, self._twin[mixes]
        if twins.any():
            some = twins > 0
            self.pcm[twins[some]] = self.pcm[mixes[some]]
            loud = np.append(mixes, twins[some])
        self._fill_quiet(loud, tick)
        self.passed.clear()
        if self.voices.passing:
            self._pass_on(voices, mix, first, {mix for mix, *_ in into})
            self.passed |= {int(self._twin[row]): packet for row, packet in self.passed.items() if self._twin[row]}
        if len(voices):
            mine = total[np.searchsorted(mixes, mix)] - frames
            self.pcm[self.voices.minus[voices]] = saturate(mine)
        if self.voices.treatments.of:
            self.voices.hear(self.pcm, tick)
        return changed, over

    def _pass_on(self, voices: Ints, mix: Ints, first: Ints, played_into: set[int]) -> None:
        """Mixes without transcoding in which one alone speaks, and nothing is played. first: where each mix's voices begin."""
        alone = np.diff(np.append(first, len(voices))) == 1
        for at in first[alone].tolist():
            row = int(mix[at])
            if row in self.voices.passing and row not in played_into:
                packet = self.voices.passed(int(voices[at]))
                if packet is not None:
                    self.passed[row] = packet

    def _read_players(self) -> tuple[list[Player], Into]:
        """Players that are over, freed, and the frames of those that are mixed in. One that fails is over."""
        over: list[Player] = []
        into: Into = []
        for player in tuple(self._players):
            try:
                frame = player.sound.read()
                if frame is not None and len(frame) * self.channels == self.samples:
                    frame = with_channels(frame, 1, self.channels)
                if frame is not None and frame.shape != (self.samples,):
                    raise ValueError(f"a frame of {frame.shape} samples, where {self.samples} are due")
            except Exception:
                log.exception("a sound failed, and is not played on")
                frame = None
            if frame is None:
                over.append(player)
                self.drop(player)
            elif player.row is not None:
                self.pcm[player.row] = frame
            elif player.mix is not None:
                into.append((player.mix, frame, player.prompt))
        return over, into

    def _mix_in(self, into: Into, mixes: Ints, total: npt.NDArray[np.int32]) -> tuple[Ints, npt.NDArray[np.int32]]:
        """What is played into conferences, added to what is said in them. mixes: sorted."""
        all_mixes = np.union1d(mixes, np.array([mix for mix, *_ in into], np.int64))
        with_sounds = np.zeros((len(all_mixes), self.samples), np.int32)
        with_sounds[np.searchsorted(all_mixes, mixes)] = total
        for mix, frame, _ in into:
            with_sounds[np.searchsorted(all_mixes, mix)] += frame
        return all_mixes, with_sounds

    def _fill_quiet(self, loud: Ints, tick: int) -> None:
        """Conferences in which nobody speaks and nothing is played: comfort noise, or silence."""
        if self._mix_rows is None:
            self._mix_rows = np.array(sorted(self._mixes), np.int64)
        self.quiet[loud] = False
        if len(loud) == len(self._mix_rows):
            return
        self._loud[loud] = True
        quiet = self._mix_rows[~self._loud[self._mix_rows]]
        self._loud[loud] = False
        self.quiet[quiet] = True
        noisy = self._noise_level[quiet] > 0
        self.pcm[quiet[~noisy]] = 0
        if noisy.any():
            noise = self._noise[tick * 37 % NOISE_FRAMES]
            self.pcm[quiet[noisy]] = (self._noise_level[quiet[noisy], None] * noise).astype(np.int16)
