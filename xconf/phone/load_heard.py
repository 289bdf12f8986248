"""What callers hear, in numbers, for all of them at once: loss, order, jitter, lateness, silence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.media.codecs import Codec, Packet, SampleCodec
from xconf.phone.audio import FULL_SCALE, SOUND_LEVEL
from xconf.rtp.packet import HEADER_SIZE, headers

LATE = 0.06
"""Seconds after its due time at which a packet is of no use any more: the delay that a telephone's jitter buffer allows."""

_FRAME = 0.02  # s
_NOBODY = -1
_HALF = 1 << 15
_WRAP = 1 << 32
_DRIFT = 1e-5  # s that the least transit may grow with each packet: clocks of two machines are never quite the same
_JUMP = 5.0  # s by which timestamps leap when their time line is another one
_AMPLITUDE = 10 ** (SOUND_LEVEL / 20) * FULL_SCALE  # RMS from which a frame sounds

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(slots=True, frozen=True)
class Quality:
    """Of the callers that were measured. Counts are packets; jitter of RFC 3550 in ms, over callers; silence in seconds.

    late: of no use to a jitter buffer of 60 ms; silent: packets without sound after a caller's first sound, out of
    `judged`, of callers that somebody speaks to; unheard: such callers that never heard anything.
    """

    callers: int
    received: int
    expected: int
    doubled: int
    out_of_order: int
    late: int
    malformed: int
    jitter_median: float
    jitter_worst: float
    longest_gap: float
    judged: int
    silent: int
    longest_silence: float
    unheard: int

    @property
    def lost(self) -> int:
        return max(self.expected - self.received, 0)


class Heard:
    """Columns of `capacity` callers. expects: callers that somebody speaks to."""

    def __init__(self, capacity: int, codec: Codec, expects: Bools) -> None:
        self.malformed = 0
        self._codec = codec
        self._decoder = codec.decoder()
        self._expects = expects
        self._open, self._started = np.zeros(capacity, bool), np.zeros(capacity, bool)
        self._at, self._gap, self._jitter = (np.zeros(capacity) for _ in range(3))  # s
        self._transit, self._least = (np.zeros(capacity) for _ in range(2))  # s; the least of this source
        counts: list[Ints] = [np.zeros(capacity, np.int64) for _ in range(14)]
        self._payload_type, self._ssrc, self._timestamp = counts[:3]
        self._first, self._highest, self._expected_before = counts[3:6]  # extended by cycles; of earlier sources
        self._received, self._doubled, self._misplaced, self._late = counts[6:10]
        self._sounding, self._silent, self._run, self._longest = counts[10:]  # run, longest: of silent packets
        self._ssrc[:] = _NOBODY

    def start(self, caller: int, payload_type: int) -> None:
        """From now on its packets count."""
        self._open[caller] = self._started[caller] = True
        self._payload_type[caller] = payload_type
        if self._decoder is not None:
            self._decoder.drop(caller)

    def stop(self, caller: int) -> None:
        self._open[caller] = False

    def take(self, callers: Ints, data: npt.NDArray[np.uint8], lengths: Ints, at: Floats) -> None:
        """Datagrams of callers, in the order of their arrival; at: s, monotonic. Those of callers not started are left out."""
        head = headers(data, lengths)
        open_ = self._open[callers]
        self.malformed += int((open_ & ~head.valid & ~head.rtcp).sum())
        ours = np.flatnonzero(open_ & head.valid)
        callers, at = callers[ours], at[ours]
        sequence = head.sequence[ours].astype(np.int64)
        timestamp = head.timestamp[ours].astype(np.int64)
        ssrc = head.ssrc[ours].astype(np.int64)
        sounds = self._sounds(callers, data[ours], lengths[ours], sequence, timestamp)
        sounds &= head.payload_type[ours] == self._payload_type[callers]
        while len(callers):  # one packet of each caller at a time, for each is judged by those before it
            _, now = np.unique(callers, return_index=True)
            self._order(callers[now], sequence[now], ssrc[now], timestamp[now], at[now])
            self._listen(callers[now], sounds[now])
            later = np.ones(len(callers), bool)
            later[now] = False
            callers, sequence, ssrc, timestamp = callers[later], sequence[later], ssrc[later], timestamp[later]
            at, sounds = at[later], sounds[later]

    def _sounds(
        self, callers: Ints, data: npt.NDArray[np.uint8], lengths: Ints, sequence: Ints, timestamp: Ints
    ) -> Bools:
        """Which packets have something to hear in their first 20 ms. Telephones and servers send plain headers."""
        if not isinstance(self._codec, SampleCodec):
            columns = callers.tolist(), sequence.tolist(), timestamp.tolist(), lengths.tolist(), data
            return np.array([self._loud(*each) for each in zip(*columns, strict=True)], bool)
        width = self._codec.frame_octets
        samples = self._codec.decode(np.ascontiguousarray(data[:, HEADER_SIZE : HEADER_SIZE + width]))
        loud = np.square(samples, dtype=np.float32).mean(axis=1) >= _AMPLITUDE**2
        result: Bools = loud & (lengths >= HEADER_SIZE + width)
        return result

    def _loud(self, caller: int, sequence: int, timestamp: int, length: int, datagram: npt.NDArray[np.uint8]) -> bool:
        assert self._decoder is not None
        try:
            packet = Packet(sequence, timestamp, datagram[HEADER_SIZE:length].tobytes())
            stretches = self._decoder.decode(caller, packet)
        except ValueError:
            return False
        return any(np.square(sound, dtype=np.float32).mean() >= _AMPLITUDE**2 for _, sound in stretches)

    def _order(self, callers: Ints, sequence: Ints, ssrc: Ints, timestamp: Ints, at: Floats) -> None:
        new = self._ssrc[callers] != ssrc
        if new.any():
            self._restart(callers[new], sequence[new], ssrc[new], timestamp[new], at[new])
        step = (sequence - self._highest[callers] + _HALF) % (1 << 16) - _HALF
        doubled = (step == 0) & ~new
        self._doubled[callers] += doubled
        self._misplaced[callers] += step < 0
        self._received[callers] += ~doubled
        self._highest[callers] += np.maximum(step, 0)
        self._gap[callers] = np.maximum(self._gap[callers], at - self._at[callers])
        self._at[callers] = at
        self._time(callers, timestamp, at)

    def _time(self, callers: Ints, timestamp: Ints, at: Floats) -> None:
        self._timestamp[callers] += (timestamp - self._timestamp[callers] + _WRAP // 2) % _WRAP - _WRAP // 2
        transit = at - self._timestamp[callers] / self._codec.clock
        moved = np.abs(transit - self._transit[callers])
        jumped = moved > _JUMP
        moved[jumped] = 0.0
        self._jitter[callers] += (moved - self._jitter[callers]) / 16
        self._transit[callers] = transit
        self._least[callers] = np.where(jumped, transit, np.minimum(self._least[callers] + _DRIFT, transit))
        self._late[callers] += transit - self._least[callers] > LATE

    def _restart(self, callers: Ints, sequence: Ints, ssrc: Ints, timestamp: Ints, at: Floats) -> None:
        """The first packet of a source: of the caller's first one, or of another one than before."""
        known = self._ssrc[callers] != _NOBODY
        self._expected_before[callers] += np.where(known, self._highest[callers] - self._first[callers] + 1, 0)
        self._first[callers] = self._highest[callers] = sequence
        self._timestamp[callers] = timestamp
        self._transit[callers] = self._least[callers] = at - timestamp / self._codec.clock
        self._at[callers] = np.where(known, self._at[callers], at)
        self._ssrc[callers] = ssrc

    def _listen(self, callers: Ints, sounds: Bools) -> None:
        self._sounding[callers] += sounds
        silent = ~sounds & (self._sounding[callers] > 0)
        self._silent[callers] += silent
        self._run[callers] = np.where(silent, self._run[callers] + 1, 0)
        self._longest[callers] = np.maximum(self._longest[callers], self._run[callers])

    def received(self) -> int:
        """Packets until now, doubled ones too."""
        return int(self._received.sum() + self._doubled.sum())

    def quality(self) -> Quality:
        """All of it until now."""
        some = self._ssrc != _NOBODY
        judged = self._started & self._expects
        jitter = self._jitter[some] * 1000
        expected = self._expected_before + self._highest - self._first + 1
        return Quality(
            callers=int(self._started.sum()),
            received=int(self._received[some].sum()),
            expected=int(expected[some].sum()),
            doubled=int(self._doubled[some].sum()),
            out_of_order=int(self._misplaced[some].sum()),
            late=int(self._late[some].sum()),
            malformed=self.malformed,
            jitter_median=float(np.median(jitter)) if len(jitter) else 0.0,
            jitter_worst=float(jitter.max(initial=0.0)),
            longest_gap=float(self._gap.max(initial=0.0)),
            judged=int((self._sounding + self._silent)[judged].sum()),
            silent=int(self._silent[judged].sum()),
            longest_silence=float(self._longest[judged].max(initial=0)) * _FRAME,
            unheard=int((self._sounding[judged] == 0).sum()),
        )
