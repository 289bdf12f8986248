"""Jitter buffers of all speakers of one sampling rate, as one array: adaptive playout, concealment asked for, bounded delay.

Decoded sound lies in a ring per speaker at the place that its RTP timestamp names: reordering and duplicates need no
care, and packets of any length fit. Every tick takes one frame of 20 ms per speaker at its cursor.

The delay is steered by the *margin*: how long before its tick a packet was there. A frame that is not there when due,
with nothing later there either, holds the cursor (the delay grows by a tick); with later sound there it was lost, and is
concealed. When the least margin of some seconds exceeds a tick, frames are shortened (the delay shrinks) until it does not.

Positions only ever grow. A time line that jumps, stands still or is another source's goes on after what is there
already, so that a voice always comes back, and a stray timestamp costs nothing of what was heard before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xconf.rtp.rings import Bools, Ints, Rings, Samples

RING = 0.64  # s: the bound of the delay
LONGEST = 0.12  # s of one packet
GUARD = 0.005  # s before its tick that a first packet must be there
SPARE = 0.028  # s: a least margin above this is more than needed (a tick, and a guard that survives the shrinking)
PATIENCE = (50, 400)  # ticks over which the least margin is looked for before the delay shrinks: at first, at most
IDLE = 25  # held ticks after which a speaker counts as silent and starts anew with his next packet
RESTART = 3  # held ticks after which the guard is kept anew
DROPPED = -1
_TICK = 0.02
_HALF = 1 << 31


class JitterBuffers:
    """Rings of `capacity` speakers ("voices"). Positions are in samples.

    rate: Hz; clock: of the RTP time line, which with some codecs differs from the rate; channels: whose samples lie side
    by side, and all count.
    """

    def __init__(self, capacity: int, rate: int, clock: int | None = None, channels: int = 1) -> None:
        self._per_channel, self._clock, self._channels = rate, clock or rate, channels
        self.rate = rate = rate * channels
        self.frame = rate // 50
        self.longest = round(LONGEST * rate)
        self._ring = round(RING * rate)
        self._rings = Rings(capacity, self._ring, rate // 1000, frame=self.frame, longest=self.longest)
        self._reference = np.zeros(capacity, np.int64)  # RTP timestamp of the position below
        self._position = np.zeros(capacity, np.int64)  # of the newest packet
        self._end = np.full(capacity, self._ring)  # of the newest sound; positions begin far enough above zero
        self._cursor = np.full(capacity, self._ring)  # first sample due at the next tick
        self.held = np.full(capacity, IDLE)  # ticks for which the cursor waits; IDLE: not playing
        self._fresh = np.ones(capacity, bool)  # its time line is not known
        self._young = np.zeros(capacity, bool)  # all that waits is one packet, there for less than GUARD
        self._least = np.full(capacity, np.inf)  # least margin of this window
        self._skew = np.zeros(capacity, np.int64)  # samples by which all its packets begin after their frames do
        self._began = np.zeros(capacity, np.int64)  # tick
        # Who had to wait again after his delay had shrunk is given more time, so that the delay does not swing.
        self._patience = np.full(capacity, PATIENCE[0])
        self._shortened = np.zeros(capacity, bool)  # since he waited last
        self._tick = 0
        self.received = np.zeros(capacity, np.int64)
        self.late = np.zeros(capacity, np.int64)
        self.lost = np.zeros(capacity, np.int64)  # ticks concealed because a packet did not come
        self.shrunk = np.zeros(capacity, np.int64)

    def reset(self, voice: int) -> None:
        """A new speaker: nothing is known of him."""
        self._rings.clear(voice)
        self._fresh[voice] = True
        self._young[voice] = False
        self._cursor[voice] = self._end[voice] = self._ring
        self.held[voice] = IDLE
        self._patience[voice] = PATIENCE[0]
        self._shortened[voice] = False
        self._restart_window(voice)
        self.received[voice] = self.late[voice] = self.lost[voice] = self.shrunk[voice] = 0

    def new_source(self, voices: Ints) -> None:
        """What comes next is of another time line; what is there already is heard to its end."""
        self._fresh[voices] = True

    def insert(self, voice: Ints, timestamp: Ints, samples: Samples, age: npt.NDArray[np.float64]) -> Ints:
        """Packets of equal length. samples: int16[n, k], k <= longest; age: s that each had waited at this tick.

        A voice may occur more than once. What is too late, or too far ahead for the ring, is dropped. Returns the position
        of each, DROPPED for these.
        """
        length = samples.shape[1]
        np.add.at(self.received, voice, 1)
        position, ahead, known = self._locate(voice, timestamp, length)
        # A packet that is there already says nothing about how late packets are, nor does the first of a time line.
        telling = known & ~self._rings.holds(voice, position)
        told, ticks = voice[telling], ahead // self.frame
        np.minimum.at(self._least, told, (ticks * _TICK + age)[telling])
        np.minimum.at(self._skew, told, (ahead - ticks * self.frame)[telling])
        behind = ahead + length
        fits = (behind > 0) & (behind <= self._ring - self.frame)
        placed = position
        if not fits.all():
            np.add.at(self.late, voice[behind <= 0], 1)
            placed = np.where(fits, position, DROPPED)
            voice, position, timestamp, age = (a[fits] for a in (voice, position, timestamp, age))
            samples = samples[fits]
        self._rings.write(voice, position, samples)
        # A second packet of a voice that waits to start: then the first has been there for long enough.
        self._young[voice] = (self._end[voice] <= self._cursor[voice]) & (age < GUARD)
        np.maximum.at(self._end, voice, position + length)
        self._reference[voice] = timestamp
        self._position[voice] = position
        return placed

    def taken(self, voice: int) -> int:
        """The position of the frame that was taken last."""
        return int(self._cursor[voice]) - self.frame

    def _locate(self, voice: Ints, timestamp: Ints, length: int) -> tuple[Ints, Ints, Bools]:
        """Positions, how far they are ahead of the cursor, and which packets' time line was known, and neither had jumped
        nor stood still.
        """
        position = self._position[voice] + self._samples(timestamp - self._reference[voice])
        ahead = position - self._cursor[voice]
        moved = self._fresh[voice] | (ahead + length > self._ring - self.frame)
        if (ahead < 0).any():
            moved |= (ahead < -self._ring) | ((2 * ahead + length <= 0) & (self.held[voice] >= RESTART))
        if moved.any():
            position[moved] = self._append(voice, timestamp, position, moved, length)
            ahead = position - self._cursor[voice]
        return position, ahead, ~moved

    def _append(self, voice: Ints, timestamp: Ints, position: Ints, moved: Bools, length: int) -> Ints:
        """Positions of the packets that moved: each voice's go on after its newest sound."""
        end = self._end.copy()
        np.maximum.at(end, voice[~moved], position[~moved] + length)
        voices, first, which = np.unique(voice[moved], return_index=True, return_inverse=True)
        start = np.maximum(end[voices], self._cursor[voices])
        crowded = start + length - self._cursor[voices] > self._ring - self.frame
        self._cursor[voices[crowded]] = start[crowded]  # what waited is given up for what comes
        self._fresh[voices] = False
        positions: Ints = start[which] + self._samples(timestamp[moved] - timestamp[moved][first][which])
        return positions

    def _samples(self, step: Ints) -> Ints:
        """A difference of RTP timestamps in samples: modulo 2**32, the shorter way."""
        wrapped: Ints = ((step + _HALF) & 0xFFFFFFFF) - _HALF
        if self.rate == self._clock:
            return wrapped
        return wrapped * self._per_channel // self._clock * self._channels

    def _restart_window(self, voice: int | Ints) -> None:
        self._least[voice] = np.inf
        self._skew[voice] = self.frame
        self._began[voice] = self._tick

    def skip(self, ticks: int) -> None:
        """Ticks were missed: the sound due in them will not be heard, and the delay stays as it was."""
        self._cursor[self.held == 0] += ticks * self.frame

    def take(self, voices: Ints) -> tuple[Samples, Bools]:
        """The frames due: int16[n, frame], and which of them are there (the others are to be concealed or silent)."""
        self._resume(voices)
        frames, there = self._rings.read(voices, self._cursor[voices])
        there &= self.held[voices] == 0
        if not there.all():
            self._miss(voices[~there])
        self._cursor[voices[there]] += self.frame
        return frames, there

    def _miss(self, missing: Ints) -> None:
        """Frames not there: lost when something later is (the cursor goes on), else late (the cursor waits)."""
        gone = (self.held[missing] == 0) & (self._end[missing] > self._cursor[missing] + self.frame)
        lost, late = missing[gone], missing[~gone]
        self.lost[lost] += 1
        self._cursor[lost] += self.frame
        self.held[late] = np.minimum(self.held[late] + 1, IDLE)

    def _resume(self, voices: Ints) -> None:
        """Voices that waited and have sound again go on: what was concealed meanwhile is not concealed again."""
        waiting = voices[(self.held[voices] > 0) & (self._end[voices] > self._cursor[voices])]
        if not len(waiting):
            return
        young = (self.held[waiting] >= RESTART) & self._young[waiting]
        self._young[waiting] = False
        waiting = waiting[~young]
        held = self.held[waiting]
        gap = self._gap(waiting, held)
        self._cursor[waiting] += np.where(held < IDLE, np.minimum(gap, held * self.frame), gap)
        # A packet shorter than a tick waits for the rest of the frame.
        whole = self._end[waiting] >= self._cursor[waiting] + self.frame
        going, held = waiting[whole], held[whole]
        hasty = going[(held < RESTART) & self._shortened[going]]
        self._patience[hasty] = np.minimum(2 * self._patience[hasty], PATIENCE[1])
        self._shortened[going] = False
        self.held[going] = 0
        self._restart_window(going)

    def _gap(self, waiting: Ints, held: Ints) -> Ints:
        """Samples from the cursor to the first sound; the rest of a spurt that ended in mid-frame does not count."""
        cursor = self._cursor[waiting]
        rest = (held >= RESTART) & ~self._rings.read(waiting, cursor)[1] & (self._end[waiting] > cursor + self.frame)
        gap: Ints = self._rings.first(waiting, cursor + np.where(rest, self.frame, 0)) - cursor
        return gap

    def roomy(self, voices: Ints, tick: int) -> Ints:
        """Voices that have been delayed more than they need for long enough; to be called once a tick."""
        self._tick = tick
        over: Ints = voices[(tick - self._began[voices] >= self._patience[voices]) & (self.held[voices] == 0)]
        if not len(over):
            return over
        room = self.room(over)
        tight = over[room < self.frame // 2]
        self._patience[tight] = np.maximum(self._patience[tight] * 9 // 10, PATIENCE[0])
        self._restart_window(tight)
        roomy: Ints = over[(room >= self.frame // 2) & np.isfinite(self._least[over])]
        return roomy

    def room(self, voices: Ints) -> Ints:
        """Samples that can be left out of each, and no packet comes too late: a frame of who has more than a tick to spare.

        Else as much as all packets begin after their frames do, which they may since something was left out.
        """
        room: Ints = np.where(self._least[voices] > SPARE, self.frame, self._skew[voices])
        return room

    def put_off(self, voice: Ints) -> None:
        """There was nothing to leave out without being heard: it is looked for again after a while."""
        self._restart_window(voice)

    def following(self, voices: Ints) -> tuple[Samples, Bools]:
        """The frames after those just taken (to splice onto them), and which are wholly there."""
        return self._rings.read(voices, self._cursor[voices])

    def shrink(self, voices: Ints, samples: Ints) -> None:
        """The caller has left out so many samples of each: the delay is shorter by them.

        The window goes on: a delay that is several ticks too long is short again some frames later, not some windows.
        """
        ahead = self._position[voices] - self._cursor[voices]
        self._cursor[voices] += samples
        self._least[voices] += ((ahead - samples) // self.frame - ahead // self.frame) * _TICK
        self._skew[voices] = (self._skew[voices] - samples) % self.frame
        self._shortened[voices] = True
        self.shrunk[voices] += 1

    def delay(self, voices: Ints) -> npt.NDArray[np.float64]:
        """Sound buffered ahead of the cursor, in seconds."""
        buffered: npt.NDArray[np.float64] = np.maximum(self._end[voices] - self._cursor[voices], 0) / self.rate
        return buffered
