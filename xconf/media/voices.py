"""Voices: the legs that may be heard, as rows of arrays. From packets in jitter rings to frames with gain, and who speaks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xconf.media.breaks import Breaks
from xconf.media.conceal import FADE_FRAMES, conceal, join, splice
from xconf.media.levels import AGC_PERIOD, automatic_gain, gate, mean_level, scale
from xconf.media.passing import LOST, Passed, Payloads
from xconf.media.resample import Resamplers, with_channels
from xconf.media.rows import Rows
from xconf.media.treatment import Treatments
from xconf.rtp.jitter import IDLE, JitterBuffers

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
CONCEALED_PER_TICK = 64  # frames; what is missing beyond them is silence
ALIKE = 0.8  # likeness from which two frames are made one without being noticed
SHRUNK_PER_TICK = 16
TRIES = 50  # ticks for which such frames are waited for

Heard = tuple[int, int, int]
"""What packets are decoded to: rate (Hz), clock of the RTP time line (Hz), channels."""


class VoiceGroup:
    """The voices whose sound comes in one way, in conferences of a given rate and number of channels."""

    def __init__(self, heard: Heard, owner: Voices) -> None:
        capacity = len(owner.mute)
        codec_rate, clock, self._channels = heard
        self._owner = owner
        self.jitter = JitterBuffers(capacity, codec_rate, clock, self._channels)
        self.members: set[int] = set()
        self._resamplers = Resamplers(codec_rate, owner.rate, capacity, self._channels)
        self._recent = np.zeros((capacity, 2, self.jitter.frame), np.int16)  # the last two frames that were there
        self._turn = np.zeros(capacity, np.int64)
        self._tries = np.zeros(capacity, np.int64)
        self._concealed = np.full(capacity, FADE_FRAMES)
        self._breaks = Breaks(capacity, self.jitter.frame)
        self._rate = codec_rate
        self._order: Ints | None = None
        self._payloads = Payloads(self.jitter.frame)

    @property
    def mute(self) -> Bools:
        """Who is muted, of all voices."""
        return self._owner.mute

    def passes(self, voice: int) -> bool:
        """Whether its packets are to be kept, to be passed on."""
        return int(self._owner.mix[voice]) in self._owner.passing

    def keep(self, voice: int, position: int, packet: Passed) -> None:
        """A packet of 20 ms whose sound is at that position."""
        self._payloads.keep(voice, position, packet)

    def passed(self, voice: int) -> Passed | None:
        """What is passed on of a voice whose frame was just read; None: it has to be encoded."""
        packet = self._payloads.due(voice, self.jitter.taken(voice))
        return LOST if packet is None and self._concealed[voice] else packet

    def rest(self, voices: Ints, noise: npt.NDArray[np.uint8]) -> None:
        """They pause. noise: the first octets of their packets of comfort noise."""
        self._breaks.tell(voices, noise)

    def add(self, voice: int) -> None:
        self.members.add(voice)
        self._breaks.drop(voice)
        self.jitter.reset(voice)
        self._concealed[voice] = FADE_FRAMES
        self._order = None

    def remove(self, voice: int) -> None:
        self.members.discard(voice)
        self._payloads.drop(voice)
        self._resamplers.drop(voice)
        self._order = None

    def read(self, tick: int, speaking: Bools) -> tuple[Ints, Samples, Bools]:
        """The voices; their frames of this tick, int16[n, rate // 50 * channels], concealed where lost, zero where silent;
        and which of them play.
        """
        if self._order is None:
            self._order = np.array(sorted(self.members), np.int64)
        voices = self._order
        if not len(voices):
            return voices, np.zeros((0, 0), np.int16), np.zeros(0, bool)
        frames, there = self.jitter.take(voices)
        self._mend(voices, frames, there, speaking, tick)
        self._shrink(voices, frames, there, tick)
        good = voices[there]
        self._recent[good, self._turn[good]] = frames[there]
        self._turn[good] ^= 1
        frames = with_channels(self._resamplers.run(voices, frames), self._channels, self._owner.channels)
        return voices, frames, self.jitter.held[voices] < IDLE

    def _mend(self, voices: Ints, frames: Samples, there: Bools, speaking: Bools, tick: int) -> None:
        """Conceal what is missing, and blend what comes after it; in place."""
        concealed = self._concealed[voices]
        if there.all() and not concealed.any():
            return
        frames[~there] = 0
        rests = self._breaks.fill(voices, frames, there, tick)
        odd = ((concealed > 0) & there | (concealed < FADE_FRAMES) & ~there & ~rests & speaking[voices]).nonzero()[0]
        samples = frames.shape[1] // self._channels
        for at in odd[:CONCEALED_PER_TICK].tolist():
            voice, count = int(voices[at]), int(concealed[at])
            made = conceal(self._history(voice), self._rate, samples, count * samples, self._channels)
            frames[at] = join(made, frames[at], self._rate, self._channels) if there[at] else made
        concealed = np.where(there, 0, np.minimum(concealed + 1, FADE_FRAMES))
        self._concealed[voices] = np.where(rests, FADE_FRAMES, concealed)

    def _history(self, voice: int) -> Samples:
        older = int(self._turn[voice])
        return np.concatenate([self._recent[voice, older], self._recent[voice, older ^ 1]])

    def _shrink(self, voices: Ints, frames: Samples, there: Bools, tick: int) -> None:
        """Make one frame of two where a voice is delayed more than it needs; in place."""
        roomy = self.jitter.roomy(voices, tick)
        if not len(roomy):
            return
        # All are delayed alike when it was this machine that stood still: some at each tick, each in its turn.
        roomy = np.roll(roomy, -tick * SHRUNK_PER_TICK % len(roomy))[:SHRUNK_PER_TICK]
        at = np.searchsorted(voices, roomy)
        following, whole = self.jitter.following(roomy)
        room = self.jitter.room(roomy)
        for index in (whole & there[at]).nonzero()[0].tolist():
            voice, most = roomy[index : index + 1], int(room[index])
            self._tries[voice] += 1
            frame, left_out, likeness = splice(frames[at[index]], following[index], most, self._channels)
            weary = self._tries[voice] > TRIES
            if likeness >= ALIKE or (weary and most == self.jitter.frame):
                frames[at[index]] = frame
                self.jitter.shrink(voice, np.array([left_out]))
            elif weary:
                self.jitter.put_off(voice)
            else:
                continue
            self._tries[voice] = 0


class Voices:
    """All voices of one plane. Columns are set by their legs; `speaking` is what the last tick found."""

    def __init__(self, rate: int, channels: int, capacity: int) -> None:
        self.rate, self.channels = rate, channels
        self._rows = Rows(capacity, "speakers")
        self.groups: dict[Heard, VoiceGroup] = {}
        self._group_of: dict[int, VoiceGroup] = {}  # by voice
        self.mix = np.full(capacity, -1, np.int64)  # source row of the conference's mix, -1: none
        self.minus = np.zeros(capacity, np.int64)  # source row of the mix without this voice
        self.leg = np.zeros(capacity, np.int64)
        self.mute = np.zeros(capacity, bool)
        self.passing: set[int] = set()  # mixes whose voices' packets are kept, to be passed on
        self.gain = np.ones(capacity, np.float32)
        self.threshold = np.zeros(capacity, np.int64)
        self.agc = np.zeros((4, capacity), np.int64)  # target, low level, factor in percent, margin
        self.speaking = np.zeros(capacity, bool)
        self.treatments = Treatments(rate, channels, capacity)
        self._hang = np.zeros(capacity, np.int64)
        self._hushed = np.zeros(capacity, np.int64)  # tick until which it is not heard, whatever it says
        self._agc_gain = np.ones(capacity, np.float32)
        self._loudness = np.zeros(capacity, np.float32)

    @property
    def used(self) -> int:
        return self._rows.used

    def rows(self) -> list[int]:
        """The voices in use."""
        return [voice for group in self.groups.values() for voice in group.members]

    def open(self, leg: int, heard: Heard, minus: int) -> int:
        """A row for a leg that may be heard. Raises OutOfRows."""
        voice = self._rows.take()
        self.mix[voice], self.minus[voice], self.leg[voice] = -1, minus, leg
        self.mute[voice] = self.speaking[voice] = False
        self.gain[voice] = self._agc_gain[voice] = 1.0
        self.threshold[voice] = self._hang[voice] = self._hushed[voice] = 0
        self.agc[:, voice] = 0
        self._loudness[voice] = 0.0
        if heard not in self.groups:
            self.groups[heard] = VoiceGroup(heard, self)
        group = self._group_of[voice] = self.groups[heard]
        group.add(voice)
        return voice

    def close(self, voice: int, heard: Heard) -> None:
        self.groups[heard].remove(voice)
        del self._group_of[voice]
        self.treatments.drop(voice)
        self.mix[voice] = -1
        self.speaking[voice] = False
        self._rows.give(voice)

    def hush(self, voice: int, until: int) -> None:
        """It is not heard before that tick."""
        self._hushed[voice] = until

    def read(self, tick: int) -> tuple[Ints, Samples, Ints]:
        """(voices that speak, sorted by mix; their frames with gain; voices whose `speaking` changed)."""
        parts = [group.read(tick, self.speaking) for group in self.groups.values() if group.members]
        if not parts:
            none = np.zeros(0, np.int64)
            return none, np.zeros((0, self.rate // 50 * self.channels), np.int16), none
        voices, frames, playing = parts[0] if len(parts) == 1 else map(np.concatenate, zip(*parts, strict=True))
        treated = self.treatments if self.treatments.of else None
        if treated is not None:
            frames = treated.clean(voices, self.mix[voices], frames, playing)
        level = mean_level(frames)
        self._adapt(voices, level, tick)
        if treated is not None:
            level = treated.levels(voices, self.mix[voices], frames, level)
        hang = self._hang[voices]
        loud = gate(level, self.threshold[voices], hang)
        self._hang[voices] = hang
        speaking = loud & playing & ~self.mute[voices] & (self.mix[voices] >= 0) & (self._hushed[voices] <= tick)
        changed = voices[speaking != self.speaking[voices]]
        self.speaking[voices] = speaking
        chosen = speaking.nonzero()[0]
        chosen = chosen[self.mix[voices[chosen]].argsort(kind="stable")]
        heard = voices[chosen]
        return heard, scale(frames[chosen], self.gain[heard] * self._agc_gain[heard]), changed

    def hear(self, pcm: Samples, tick: int) -> None:
        """What is sent in this tick: of some of it an echo may come back. pcm: by source."""
        voices = np.array(self.rows(), np.int64)
        rows = np.where(self.speaking[voices], self.minus[voices], self.mix[voices])
        self.treatments.sent(voices, self.mix[voices], lambda at: pcm[rows[at]], tick)

    def passed(self, voice: int) -> Passed | None:
        """What is passed on of a voice that was just read; None: it has to be encoded, louder or softer than it came."""
        if self.gain[voice] * self._agc_gain[voice] != 1.0:
            return None
        return self._group_of[voice].passed(voice)

    def _adapt(self, voices: Ints, level: npt.NDArray[np.float32], tick: int) -> None:
        """Automatic gain, from the mean level of AGC_PERIOD frames."""
        self._loudness[voices] += level
        if tick % AGC_PERIOD:
            return
        mean = self._loudness[voices] / np.float32(AGC_PERIOD)
        self._loudness[voices] = 0.0
        self._agc_gain[voices] = automatic_gain(self._agc_gain[voices], mean, *self.agc[:, voices])
