"""The sound of one conference on one other node: what came in datagrams, played in step with this node's ticks.

A frame is laid out to be played 20 ms and a margin after it comes, plus what the way's jitter asks for: so that the two nodes'
ticks may lie anywhere between each other, and drift. Clocks that differ are followed by frames of a few samples more or fewer
(`slip`), so seldom that the pitch stays what it is to human ears; where a stream is a whole frame later than it needs to be,
two frames are made one where they are alike.

What does not come is made up of what was heard before. When the way gets longer, the first frame that comes late shows it: the
stream goes back by that much and some more, to where it is most like what would be heard else (`meeting`). So what was made up
takes the place of nothing, and a tone goes on in phase. Then it stays as late for a while, in case it happens again.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xconf.cluster.pace import FAR, KEPT, MARGIN, STEADY, TICK, Metronome, Pace
from xconf.cluster.slip import stretched
from xconf.media.between import HALF, taps, weighed
from xconf.media.conceal import FADE_FRAMES, blend, conceal, join, meeting

Samples = npt.NDArray[np.int16]

RING = 64  # frames that are held at most
LEAP = RING // 2  # frames that one may be ahead of the others, or that are repeated or skipped at once
PHASE = 0.02  # s more than it needs by which sound after silence may be late
SLIP_EVERY = 4  # ticks: the pitch is off by 0.16 % while a stream slips; four times as much is heard
SPLICE_EVERY = 10  # ticks
ALIKE = 0.8  # likeness from which two frames are made one without being noticed
TRIES = 3  # times that such frames are waited for
LEAN = 0.1  # likeness that it is worth to become 10 ms less late
GLIDE = 1 / 128  # of a sample in each frame, by which a stream that lies between samples gets to them
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
        self._last = -np.inf  # transit of the newest frame
        self._silence = np.zeros((self._samples, channels), np.int16)
        self._heard = [self._silence] * 2  # the last two frames
        self._history = np.zeros(0, np.int16)  # what was heard before that which is made up
        self._made = 0  # samples made up in a row
        self._beside = 0.0  # samples from the position to where the stream is
        self._grown = -KEPT  # tick at which the stream became later
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
            if tick > self._newest:
                self._last = now - tick * TICK
        if not self.active or tick >= self._end or tick > self._newest + LEAP:
            self._begin(tick, now)
        elif self._position <= tick * self._samples and tick < self._start:
            self._start = tick
        if tick * self._samples < self._position:
            self.late += 1
        if tick <= self._newest - LEAP:
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
            self._heard = [self._silence] * 2
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
            self._laid_out = True

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
        self._heard = [self._heard[1], frame]
        over = self._position // self._samples
        if over > self._newest and (over >= self._end or self._faded):
            self.active = False
        return frame.reshape(-1)

    def _correction(self) -> int:
        """How many samples are to be skipped, because frames come early, or repeated (less than 0)."""
        if not self._pace.known:
            return 0
        latest = self._pace.latest()
        if self._overdue():
            latest = max(latest, self._last)
        # When the first sample of a frame that comes late would be read, less when it is there.
        slack = self._metronome.at - TICK - self._position / self.rate - latest
        off = slack - MARGIN
        if slack < 0 or off > FAR:
            return round(off * self.rate)
        if off > 0 and self._tick - self._grown < KEPT:
            return 0
        if off > TICK:
            return round(off * self.rate)
        if abs(off) < STEADY or self._tick % SLIP_EVERY:
            return 0
        return self._step if off > 0 else -self._step

    def _overdue(self) -> bool:
        """A frame is needed now, and neither it nor a later one is there."""
        last = (self._position + self._samples - 1) // self._samples
        return self._newest < last < self._end

    def _next(self, by: int) -> Samples:
        if by < -self._step or by > FAR * self.rate:
            frame = self._moved(by)
        elif by > self._step:
            frame = self._spliced()
        elif by and self._can_slip(by):
            stretch = self._piece(self._position - HALF, 2 * HALF + self._samples + by + 1)
            frame = stretched(stretch, self._samples, by)
            self._position += by
            self.slips += 1
        else:
            frame = self._take()
        self._position += self._samples
        return frame

    def _can_slip(self, by: int) -> bool:
        """What comes next is there, and nothing is made up just now."""
        return not self._made and self._whole_from(self._position, self._samples + by + HALF)

    def _spliced(self) -> Samples:
        """A frame that is two, if they are there and alike; now and then, so that speech stays speech."""
        before, half = self._take(), self._samples // 2
        if self._tick % SPLICE_EVERY or self._made or not self._whole_from(self._position, 2 * self._samples):
            return before
        place, alike = meeting(before, self._piece(self._position + half, half + self._samples))
        self._tries += 1
        if alike < ALIKE and self._tries < TRIES:
            return before
        self._tries = 0
        self.splices += 1
        return self._going_over(before, half + place)

    def _moved(self, by: int) -> Samples:
        """A frame that goes over from here to `by` samples ahead, or up to half a frame less."""
        room, half = LEAP * self._samples, self._samples // 2
        first = min(max(by, -room), room) - half
        before = self._continued(self._samples) if self._made else self._take()
        place = float(half)
        count = half + 1 + self._samples  # a tone may meet itself just there
        if self._whole_from(self._position + first, count):
            place, _ = meeting(before, self._piece(self._position + first, count), LEAN)
        self._made = 0
        self.jumps += 1
        if by < 0:
            self._grown = self._tick
        return self._going_over(before, first + place)

    def _going_over(self, before: Samples, by: float) -> Samples:
        """A frame that begins as that one, and goes on so far ahead."""
        self._position += round(by)
        self._beside = by - round(by)
        return blend(before, self._take())

    # Frames, and what takes the place of those that are missing

    def _take(self) -> Samples:
        """One frame's worth of the stream from where it is."""
        first, offset = divmod(self._position, self._samples)
        gone = self._gone(first)
        then = self._gone(first + 1) if offset else gone
        if not (gone or then or self._made):
            return self._gliding() if self._beside else self._piece(self._position, self._samples)
        self._beside = 0.0
        frame = self._piece(self._position, self._samples).copy()
        middle = self._samples - offset if gone != then else 0
        for lost, at, to in ((gone, 0, middle), (then, middle, self._samples)):
            if lost or (self._made and to - at < self.rate // 200):  # too short for a joint
                frame[at:to] = self._made_up(to - at, frame[:at])
            elif self._made and (frame[at:to].any() or not self._faded):
                before = self._continued(self.rate // 200)
                joined = join(before.reshape(-1), frame[at:to].reshape(-1), self.rate, self.channels)
                frame[at:to] = joined.reshape(-1, self.channels)
                self._made = 0
        return frame

    def _gliding(self) -> Samples:
        """The same of a stream that lies between samples, and gets to them."""
        beyond = HALF if self._whole_from(self._position, self._samples + HALF) else 0
        stretch = self._piece(self._position - HALF, HALF + self._samples + beyond).astype(np.float32)
        nearer = max(abs(self._beside) - GLIDE, 0.0) if beyond else 0.0
        beside = np.linspace(self._beside, np.copysign(nearer, self._beside), self._samples, endpoint=False)
        self._beside = float(np.copysign(nearer, self._beside)) if nearer else 0.0
        made = weighed(stretch, *taps(HALF + np.arange(self._samples) + beside))
        frame: Samples = np.clip(np.rint(made), -32768, 32767).astype(np.int16)
        return frame

    def _made_up(self, samples: int, before: Samples) -> Samples:
        """What takes the place of what is missing. before: what of this frame is heard before it."""
        if not self._made:
            self._history = np.concatenate([*self._heard, before])[-2 * self._samples :].reshape(-1)
        made = self._continued(samples)
        frames = [min(-(-count // self._samples), FADE_FRAMES) for count in (self._made, self._made + samples)]
        self.concealed += frames[1] - frames[0]
        self._made += samples
        return made

    def _continued(self, samples: int) -> Samples:
        """How that which was made up last goes on."""
        made = conceal(self._history, self.rate, samples, self._made, self.channels)
        return made.reshape(-1, self.channels)

    @property
    def _faded(self) -> bool:
        """So much was made up that nothing is left of it."""
        return self._made >= FADE_FRAMES * self._samples

    def _there(self, tick: int) -> bool:
        """It came, whole."""
        slot = tick % RING
        return bool(self._tags[slot] == tick and self._whole[slot])

    def _gone(self, tick: int) -> bool:
        """It should be heard, and is not there."""
        return self._start <= tick < self._end and not self._there(tick)

    def _whole_from(self, position: int, count: int) -> bool:
        """All of these samples came."""
        ticks = range(position // self._samples, (position + count - 1) // self._samples + 1)
        return all(map(self._there, ticks))

    def _piece(self, position: int, count: int) -> Samples:
        """These samples; 0 where they are missing."""
        at = position % len(self._ring)
        if at + count <= len(self._ring):
            piece = self._ring[at : at + count]
        else:
            piece = np.concatenate([self._ring[at:], self._ring[: at + count - len(self._ring)]])
        if self._whole_from(position, count):
            return piece
        ticks = np.arange(position, position + count) // self._samples
        slots = ticks % RING
        there = (self._tags[slots] == ticks) & self._whole[slots]
        missing: Samples = np.where(there[:, None], piece, np.int16(0))
        return missing
