"""Jitter buffers of all speakers of one sampling rate, as one array: adaptive playout, concealment asked for, bounded delay.

Decoded sound lies in a ring per speaker, in chunks of 5 ms, at the place that its RTP timestamp names: reordering and
duplicates need no care, and packets of any multiple of 5 ms fit. Every tick takes one frame of 20 ms per speaker at
its cursor, which may stand at any sample.

The delay is steered by the *margin*: how long before its tick a packet was there. A frame that is not there when due,
with nothing later there either, holds the cursor (the delay grows by a tick); with later sound there it was lost, and is
concealed. When the least margin of some seconds exceeds a tick, a frame is shortened (the delay shrinks).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

CHUNKS_PER_TICK = 4
RING = 128  # chunks: 640 ms, the bound of the delay
GUARD = 0.005  # s before its tick that a first packet must be there
SPARE = (
    0.028  # s: a least margin above this is more delay than needed (a tick, and a guard that survives the shrinking)
)
PATIENCE = (50, 800)  # ticks over which the least margin is looked for before the delay shrinks: at first, at most
IDLE = 25  # held ticks after which a speaker counts as silent and starts anew with his next packet
RESTART = 3  # held ticks after which the guard is kept anew
_NEVER = np.int64(-(1 << 40))

Ints = npt.NDArray[np.int64]
Samples = npt.NDArray[np.int16]


class JitterBuffers:
    """Rings of `capacity` speakers ("voices"), sounds at `rate` Hz."""

    def __init__(self, capacity: int, rate: int) -> None:
        self.chunk = rate // 200
        self.frame = rate // 50
        self.rate = rate
        self._pcm = np.zeros((capacity, RING, self.chunk), np.int16)
        self._stamp = np.full((capacity, RING), _NEVER)  # the absolute chunk that lies in each place
        self._reference = np.zeros(capacity, np.int64)  # RTP timestamp of the position below
        self._position = np.zeros(capacity, np.int64)  # in samples, of the newest packet
        self._end = np.zeros(capacity, np.int64)  # of the newest sound, in samples
        self._cursor = np.zeros(capacity, np.int64)  # first sample due at the next tick
        self.held = np.full(capacity, IDLE, np.int64)  # ticks for which the cursor waits; IDLE: not playing
        self._fresh = np.ones(capacity, bool)  # nothing heard since reset
        self._young = np.zeros(capacity, bool)  # all that waits is one packet, there for less than GUARD
        self._least = np.full(capacity, np.inf)  # least margin of this window
        self._began = np.zeros(capacity, np.int64)  # tick
        # A network that was late once is given more time, so that the delay does not swing.
        self._patience = np.full(capacity, np.int64(PATIENCE[0]))
        self._tick = 0
        self.received = np.zeros(capacity, np.int64)
        self.late = np.zeros(capacity, np.int64)
        self.lost = np.zeros(capacity, np.int64)  # ticks concealed because a packet did not come
        self.shrunk = np.zeros(capacity, np.int64)

    def reset(self, voice: int) -> None:
        """A new speaker, or a new source of an old one: nothing is known of his time line."""
        self._stamp[voice] = _NEVER
        self._fresh[voice] = True
        self._cursor[voice] = 0
        self._end[voice] = 0
        self.held[voice] = IDLE
        self._least[voice] = np.inf
        self._patience[voice] = PATIENCE[0]
        self.received[voice] = self.late[voice] = self.lost[voice] = self.shrunk[voice] = 0

    def insert(self, voice: Ints, timestamp: Ints, samples: Samples, age: npt.NDArray[np.float64]) -> None:
        """Packets of equal length. samples: int16[n, k * chunk]; age: s that each had waited at this tick.

        A voice may occur more than once. What is too late, or implausibly far ahead, is dropped or starts the time line anew.
        """
        position = self._locate(voice, timestamp)
        chunk = (position + self.chunk // 2) // self.chunk
        ahead = chunk * self.chunk - self._cursor[voice]
        margin = ahead // self.frame * 0.02 + age
        np.minimum.at(self._least, voice, margin)
        np.add.at(self.received, voice, 1)
        length = samples.shape[1] // self.chunk
        late = ahead + samples.shape[1] <= 0
        if late.any():
            np.add.at(self.late, voice[late], 1)
            voice, chunk, position, timestamp, age = (a[~late] for a in (voice, chunk, position, timestamp, age))
            samples = samples[~late]
        places = chunk[:, None] + np.arange(length)
        rows = voice[:, None]
        self._pcm[rows, places % RING] = samples.reshape(len(voice), length, self.chunk)
        self._stamp[rows, places % RING] = places
        # A second packet of a voice that waits to start: then the first has been there for long enough.
        self._young[voice] = (self._end[voice] <= self._cursor[voice]) & (age < GUARD)
        np.maximum.at(self._end, voice, (chunk + length) * self.chunk)
        self._reference[voice] = timestamp
        self._position[voice] = position

    def _locate(self, voice: Ints, timestamp: Ints) -> Ints:
        """Positions in samples on each voice's time line; voices that are new or have jumped get a new one."""
        step = (timestamp - self._reference[voice] + (1 << 31)) % (1 << 32) - (1 << 31)
        position = self._position[voice] + step
        ahead = position - self._cursor[voice]
        bound = (RING - 2 * CHUNKS_PER_TICK) * self.chunk
        astray = self._fresh[voice] | (ahead < -RING * self.chunk) | (ahead >= bound)
        for voice_number in dict.fromkeys(voice[astray].tolist()):
            at = int(np.flatnonzero(voice == voice_number)[0])
            self._start(voice_number, int(timestamp[at]))
        if astray.any():
            step = (timestamp - self._reference[voice] + (1 << 31)) % (1 << 32) - (1 << 31)
            position = self._position[voice] + np.clip(step, -bound, bound - 1)
        return position

    def _start(self, voice: int, timestamp: int) -> None:
        self._stamp[voice] = _NEVER
        self._fresh[voice] = False
        self._reference[voice] = timestamp
        self._position[voice] = 0
        self._cursor[voice] = 0
        self._end[voice] = 0
        self.held[voice] = IDLE
        self._restart_window(voice)

    def _restart_window(self, voice: int | Ints) -> None:
        self._least[voice] = np.inf
        self._began[voice] = self._tick

    def skip(self, ticks: int) -> None:
        """Ticks were missed: the sound due in them will not be heard, and the delay stays as it was."""
        self._cursor[self.held == 0] += ticks * self.frame

    def take(self, voices: Ints) -> tuple[Samples, npt.NDArray[np.bool_]]:
        """The frames due: int16[n, frame], and which of them are there (the others are to be concealed or silent)."""
        self._resume(voices)
        frames, there = self._peek(voices)
        there &= self.held[voices] == 0
        missing = voices[~there]
        if len(missing):
            self._miss(missing)
        self._cursor[voices[there]] += self.frame
        return frames, there

    def _peek(self, voices: Ints) -> tuple[Samples, npt.NDArray[np.bool_]]:
        """The frames at the cursors, and which of them are wholly there."""
        first, offset = np.divmod(self._cursor[voices], self.chunk)
        places = first[:, None] + np.arange(CHUNKS_PER_TICK + 1)
        rows = voices[:, None]
        filled = self._stamp[rows, places % RING] == places
        there: npt.NDArray[np.bool_] = filled[:, :CHUNKS_PER_TICK].all(axis=1) & (filled[:, -1] | (offset == 0))
        stretch = self._pcm[rows, places % RING].reshape(len(voices), -1)
        frames = stretch[:, : self.frame]
        for at in np.flatnonzero(offset).tolist():  # only voices whose delay has shrunk
            frames[at] = stretch[at, offset[at] : offset[at] + self.frame].copy()
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
        waiting = (self.held[voices] > 0) & (self._end[voices] > self._cursor[voices])
        for index in np.flatnonzero(waiting).tolist():
            voice = int(voices[index])
            held = int(self.held[voice])
            if held >= RESTART and self._young[voice]:
                self._young[voice] = False
                continue
            self._cursor[voice] += self._gap(voice, held)
            if self._end[voice] < self._cursor[voice] + self.frame:
                continue  # a packet shorter than a tick: wait for the rest of the frame
            if held < RESTART:
                self._patience[voice] = min(2 * int(self._patience[voice]), PATIENCE[1])
            self.held[voice] = 0
            self._restart_window(voice)

    def _gap(self, voice: int, held: int) -> int:
        """Samples from the cursor to the first sound there is, so far as they have been concealed."""
        cursor = int(self._cursor[voice])
        stamps = self._stamp[voice]
        first = max(cursor, int(stamps[stamps >= cursor // self.chunk].min()) * self.chunk)
        if held >= IDLE:
            return first - cursor
        return min((first - cursor) // self.frame, held) * self.frame

    def roomy(self, voices: Ints, tick: int) -> Ints:
        """Voices that have been delayed more than they need for long enough; to be called once a tick."""
        self._tick = tick
        over = voices[(tick - self._began[voices] >= self._patience[voices]) & (self.held[voices] == 0)]
        tight = over[self._least[over] <= SPARE]
        self._patience[tight] = np.maximum(self._patience[tight] * 9 // 10, PATIENCE[0])
        self._restart_window(tight)
        roomy: Ints = over[np.isfinite(self._least[over]) & (self._least[over] > SPARE)]
        return roomy

    def following(self, voice: int) -> Samples | None:
        """The frame after the one just taken (to splice onto it), when it is wholly there."""
        frames, there = self._peek(np.array([voice]))
        return frames[0] if there[0] else None

    def shrink(self, voice: int, samples: int) -> None:
        """The caller has left out so many samples: the delay is shorter by them."""
        self._cursor[voice] += samples
        self._restart_window(voice)
        self.shrunk[voice] += 1

    def delay(self, voices: Ints) -> npt.NDArray[np.float64]:
        """Sound buffered ahead of the cursor, in seconds."""
        buffered: npt.NDArray[np.float64] = np.maximum(self._end[voices] - self._cursor[voices], 0) / self.rate
        return buffered
