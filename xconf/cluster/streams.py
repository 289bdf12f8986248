"""The sound of one conference on one other node: what came in datagrams, played in step with this node's ticks.

A frame is laid out to be played 20 ms and a margin after it comes, plus what the way's jitter asks for: so that the two nodes'
ticks may lie anywhere between each other, and drift. Clocks that differ are followed by frames of a few samples more or fewer
(`slip`), so seldom that the pitch stays what it is to human ears; where a stream is a whole frame later than it needs to be,
two frames are made one where they are alike (`splice`); when the way gets longer or much shorter at once, the stream repeats or
skips a piece, cross-faded.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xconf.cluster.pace import FAR, MARGIN, STEADY, TICK, Metronome, Pace
from xconf.cluster.slip import HALF, stretched
from xconf.media.conceal import FADE_FRAMES, conceal, continuation, join, splice

Samples = npt.NDArray[np.int16]

RING = 64  # frames that are held at most
LEAP = RING // 2  # frames that one may be ahead of the others, or that are repeated or skipped at once
PHASE = 0.02  # s more than it needs by which sound after silence may be late
SLIP_EVERY = 4  # ticks: the pitch is off by 0.16 % while a stream slips; four times as much is heard
SPLICE_EVERY = 10  # ticks
ALIKE = 0.8  # likeness from which two frames are made one without being noticed
TRIES = 3  # times that such frames are waited for
_NEVER = 1 << 62


class Stream:
    """One (node, conference). Frames of the sender's `tick` go in by `put`; `end` says that there are no more for now; `read`,
    once in each tick of the metronome, gives what is to be heard. rate: Hz.

    late, concealed, slips, splices, jumps: frames that came too late, that were made up, that were made of more or fewer
    samples, of two frames, and that repeat or skip a piece.
    """

    def __init__(self, rate: int, channels: int, metronome: Metronome) -> None:
        self.rate, self.channels = rate, channels
        self.late = self.concealed = self.slips = self.splices = self.jumps = 0
        self.active = False
        """Something is heard, or is about to be."""
        self._metronome = metronome
        self._samples = rate // 50
        self._step = max(1, self._samples // 160)
        self._ring = np.zeros((RING * self._samples, channels), np.int16)
        self._tags = np.full(RING, -1, np.int64)
        self._parts = np.zeros(RING, np.int64)
        self._whole = np.zeros(RING, bool)
        self._pace = Pace()
        self._laid_out = False
        self._start = self._newest = -1  # first frame since the last silence, and the last one that came
        self._end = _NEVER  # frame from which on there are none
        self._prepared = -1  # frames up to here may have been played
        self._hidden = FADE_FRAMES  # frames made up in a row
        self._tries = 0  # pairs of frames in a row that were not alike
        self._position = 0  # sample that is read next
        self._tick = metronome.tick

    def counts(self) -> dict[str, int]:
        """Frames, by what became of them."""
        return {name: getattr(self, name) for name in ("late", "concealed", "slips", "splices", "jumps")}

    # What comes

    def put(self, tick: int, samples: Samples, part: int, parts: int, now: float) -> None:
        """A frame, or one of its parts, int16[n * channels]. Twice does no harm."""
        if part == 0:
            self._pace.add(now - tick * TICK, now)
        if not self.active or tick >= self._end or tick > self._newest + LEAP:
            self._begin(tick, now)
        elif self._prepared < tick < self._start:
            self._start = tick
        if tick <= self._prepared:
            self.late += 1
            return
        slot = tick % RING
        if self._tags[slot] != tick:
            self._tags[slot], self._parts[slot], self._whole[slot] = tick, 0, False
        piece = samples.reshape(-1, self.channels)
        at = slot * self._samples + part * len(piece)
        self._ring[at : at + len(piece)] = piece
        self._parts[slot] |= 1 << part
        self._whole[slot] = self._parts[slot] == (1 << parts) - 1
        self._newest = max(self._newest, tick)

    def end(self, tick: int) -> None:
        """From that tick on there is nothing."""
        if tick > self._newest:
            self._end = tick

    def _begin(self, tick: int, now: float) -> None:
        """Sound after silence."""
        leapt = tick > self._newest + LEAP
        self._catch_up()
        if leapt or not self.active:
            self._lay_out(tick, now)
            self._newest = tick
        self.active = True
        self._start, self._end = tick, _NEVER

    def _lay_out(self, tick: int, now: float) -> None:
        """Where nothing is heard yet, a stream that is too early or too late can be moved at once."""
        ahead = (tick * self._samples - self._position) / self.rate
        slack = self._metronome.at + ahead - now
        wanted = MARGIN + self._pace.spread
        if not self._laid_out or not 0 <= slack <= wanted + PHASE:
            wait = now + wanted - self._metronome.at
            self._position = tick * self._samples - round(wait * self.rate)
            self._prepared = self._position // self._samples - 1
            self._laid_out = True
        self._hidden = FADE_FRAMES

    def _catch_up(self) -> None:
        """Time went on while nothing was read."""
        self._position += max(0, self._metronome.tick - self._tick) * self._samples
        self._tick = self._metronome.tick

    # What is heard

    def read(self) -> Samples | None:
        """The frame of this tick, int16[samples * channels]; None: nothing is heard."""
        missed = self._metronome.tick - self._tick - 1
        self._tick = self._metronome.tick
        self._position += missed * self._samples
        if not self.active:
            self._position += self._samples
            return None
        frame = self._next(self._correction())
        over = self._position // self._samples
        if over > self._newest and (over >= self._end or self._hidden >= FADE_FRAMES):
            self.active = False
        return frame.reshape(-1)

    def _correction(self) -> int:
        """How many samples are to be skipped, because frames come early, or repeated (less than 0)."""
        if not self._pace.known:
            return 0
        # When the first sample of a frame that comes late would be read, less when it is there.
        slack = self._metronome.at - TICK - self._position / self.rate - self._pace.latest()
        off = slack - MARGIN
        if slack < 0 or off > TICK:
            return round(off * self.rate)
        if abs(off) < STEADY or self._tick % SLIP_EVERY:
            return 0
        return self._step if off > 0 else -self._step

    def _next(self, by: int) -> Samples:
        frame = self._take()
        if by < -self._step or by > FAR * self.rate:
            frame = self._jumped(frame, by)
        elif by > self._step:
            frame = self._spliced(frame)
        elif by and self._can_slip(by):
            stretch = self._peek(self._position - HALF, 2 * HALF + self._samples + by + 1)
            frame = stretched(stretch, self._samples, by)
            self._position += by
            self.slips += 1
        self._position += self._samples
        return frame

    def _take(self) -> Samples:
        """One frame's worth of the stream from where it is."""
        first = self._position // self._samples
        last = (self._position + self._samples - 1) // self._samples
        for tick in range(max(first, self._prepared + 1), last + 1):
            self._prepare(tick)
        return self._peek(self._position, self._samples)

    def _peek(self, position: int, count: int) -> Samples:
        at = position % len(self._ring)
        if at + count <= len(self._ring):
            return self._ring[at : at + count]
        return np.concatenate([self._ring[at:], self._ring[: at + count - len(self._ring)]])

    def _can_slip(self, by: int) -> bool:
        """What comes next is there, and nothing is made up just now."""
        last = (self._position + self._samples + by + HALF) // self._samples
        return not self._hidden and (last <= self._prepared or self._there(last))

    def _spliced(self, first: Samples) -> Samples:
        """A frame that is two, if they are there and alike; now and then, so that speech stays speech."""
        last = (self._position + 2 * self._samples - 1) // self._samples
        there = all(tick <= self._prepared or self._there(tick) for tick in (last - 1, last))
        if self._tick % SPLICE_EVERY or self._hidden or not there:
            return first
        self._position += self._samples
        second = self._take().reshape(-1)
        self._position -= self._samples
        frame, left_out, alike = splice(first.reshape(-1), second, len(second), self.channels)
        self._tries += 1
        if alike < ALIKE and self._tries < TRIES:
            return first
        self._tries = 0
        self._position += left_out // self.channels
        self.splices += 1
        return frame.reshape(-1, self.channels)

    def _jumped(self, before: Samples, by: int) -> Samples:
        """A frame that goes over from here to `by` samples ahead."""
        room = LEAP * self._samples
        self._position += min(max(by, -room), room)
        self.jumps += 1
        after = self._take().reshape(-1)
        joined = join(before.reshape(-1).astype(np.float32), after, self.rate, self.channels)
        return joined.reshape(-1, self.channels)

    # Frames that are missing

    def _there(self, tick: int) -> bool:
        """It came, whole."""
        slot = tick % RING
        return bool(self._tags[slot] == tick and self._whole[slot])

    def _prepare(self, tick: int) -> None:
        """Have the ring hold what is to be heard of a tick."""
        self._prepared = tick
        at = tick % RING * self._samples
        frame = self._ring[at : at + self._samples]
        if self._there(tick):
            if 0 < self._hidden < FADE_FRAMES:
                frame[:] = self._joined(tick, frame)
            self._hidden = 0
        elif self._start <= tick < self._end and self._hidden < FADE_FRAMES:
            made = conceal(self._history(tick), self.rate, self._hidden, self.channels)
            frame[:] = made.reshape(frame.shape)
            self._hidden += 1
            self.concealed += 1
        else:
            frame[:] = 0
            self._hidden = FADE_FRAMES

    def _joined(self, tick: int, frame: Samples) -> Samples:
        """A frame after some that were made up."""
        skipped, fade = self._hidden * self._samples, 1.0 - self._hidden / FADE_FRAMES
        before = continuation(self._history(tick), self.rate, self._samples, skipped, self.channels) * fade
        return join(before, frame.reshape(-1), self.rate, self.channels).reshape(frame.shape)

    def _history(self, tick: int) -> Samples:
        """The last two frames that were not made up."""
        return self._peek((tick - self._hidden - 2) * self._samples, 2 * self._samples).reshape(-1)
