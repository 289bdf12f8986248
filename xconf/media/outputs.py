"""The packets of a tick: each distinct output is encoded once, into packets that any number of legs share."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.media.codecs import Codec, Octets, SampleCodec
from xconf.media.levels import noise_level, scale, step_gain
from xconf.media.pace import Pace
from xconf.media.passing import LOST, Relay
from xconf.media.pauses import Pauses
from xconf.media.plane import Keep, Plane
from xconf.media.resample import Resamplers, with_channels
from xconf.media.rows import Rows
from xconf.rtp.fanout import IOVEC, Beat

HEADER = 12
_FIELDS = np.dtype([("first", "u1"), ("second", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")])
_VERSION = 0x80
_MARKER = 0x80
COMFORT_NOISE = 13  # payload type (RFC 3551, section 6)
_numbers = itertools.count(1)  # of banks

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Key = tuple[int, int, int, int]  # source, time line, payload type, gain step


def source_shift(clock: int, ptime: int) -> int:
    """How far the SSRC is from its time line's base: packets of other clock rates and lengths are other sources, for numbers
    or timestamps leap where a call changes from one to the other (RFC 7160, section 4).
    """
    return clock // 1000 << 6 | ptime


class Timelines:
    """RTP time lines: one per conference, so that its packets are the same for all who listen.

    sequence = base + number of the packet; timestamp = base + samples before it; SSRC = base + `source_shift`. Every base
    is random (RFC 3550, 5.1).
    """

    def __init__(self, capacity: int, rng: np.random.Generator) -> None:
        self._rows = Rows(capacity, "time lines")
        self._rng = rng
        self.sequence = np.zeros(capacity, np.int64)
        self.timestamp = np.zeros(capacity, np.int64)
        self.ssrc = np.zeros(capacity, np.uint32)

    def open(self) -> int:
        row = self._rows.take()
        self.sequence[row] = self._rng.integers(1 << 16)
        self.timestamp[row] = self._rng.integers(1 << 32)
        self.ssrc[row] = self._rng.integers(1, 1 << 32)
        return row

    def close(self, row: int) -> None:
        self._rows.give(row)

    def sources(self, lines: Ints, shift: int | Ints) -> npt.NDArray[np.uint32]:
        """The SSRCs of those lines, see `source_shift`."""
        return self.ssrc[lines] + np.asarray(shift, np.uint32)


@dataclass(frozen=True, slots=True)
class _Place:
    """Which packets of its time lines a tick brings: of several in a tick the part-th, with that number."""

    part: int
    number: int
    timelines: Timelines


class Bank:
    """The packets of one codec and packet time (ms), for the conferences of a plane, and `capacity` legs.

    A row is one distinct output, see Key. What is encoded is counted as `encoded`.
    """

    def __init__(self, codec: Codec, ptime: int, plane: Plane, capacity: int, counters: Counter[str]) -> None:
        capacity += 1  # a leg that changes to another output takes that one before it gives back what it had
        self.codec = codec
        self._counters = counters
        self._plane = plane
        self._rows = Rows(capacity, f"{codec.name} outputs")
        self._resamplers = Resamplers(plane.rate, codec.rate, capacity, codec.channels)
        self._pace = Pace(ptime, codec.rate * codec.channels // 1000, capacity)
        self._encoder = codec.encoder()
        # Packets of 20 ms alone are passed on; and of codecs without a state the same octets come out anyhow.
        self._relay = Relay(self._encoder) if ptime == 20 and codec.decoder() is not None else None
        self._step = codec.clock * ptime // 1000
        self._source_shift = source_shift(codec.clock, ptime)
        # Of a packet time below the tick's there are several packets a tick; each has a beat of its own.
        self._packets = np.zeros((self._pace.parts, capacity, HEADER + codec.room(ptime)), np.uint8)
        self._headers = self._packets[..., :HEADER].view(_FIELDS)[..., 0]
        self._iov = np.zeros((self._pace.parts, capacity), IOVEC)
        self._packet_addresses: list[int] = [packets.ctypes.data for packets in self._packets]
        self._iov_addresses: list[int] = [iov.ctypes.data for iov in self._iov]
        self._beats: tuple[Beat, ...] = tuple((ptime, part) for part in range(self._pace.parts))
        self._pauses = Pauses(capacity) if codec.pauses else None
        self._comforts = isinstance(codec, SampleCodec) and codec.comfort
        self._number = next(_numbers)
        self._source = np.zeros(capacity, np.int64)
        self._timeline = np.zeros(capacity, np.int64)
        self._payload_type = np.zeros(capacity, np.uint8)
        self._loud = np.zeros(capacity, bool)  # more than comfort noise, in the last tick or since the packet began
        self._gain = np.ones(capacity, np.float32)
        self._rows_by_key: dict[Key, int] = {}
        self._users: dict[int, tuple[Key, int]] = {}  # row -> its key, how many legs hear it
        self._kept: dict[int, tuple[int, Keep]] = {}  # those that nobody hears -> the tick at which they go
        self._tick = 0
        self._active: Ints | None = None

    @property
    def outputs(self) -> int:
        """Distinct outputs that somebody hears now."""
        return len(self._users) - len(self._kept)

    def acquire(self, source: int, timeline: int, payload_type: int, gain: int, *, before: int | None = None) -> int:
        """The row of that output; to be given back with `release`. gain: step. Raises OutOfRows.

        before: the row that its listener has heard until now, on which the new one follows.
        """
        key = (source, timeline, payload_type, gain)
        row = self._rows_by_key.get(key)
        if row in self._kept:
            row = self._take_up(row)
        if row is None:
            row = self._rows_by_key[key] = self._take()
            self._source[row], self._timeline[row], self._gain[row] = source, timeline, step_gain(gain)
            self._payload_type[row], self._loud[row] = payload_type, False
            width = self._packets.shape[2]
            for part, address in enumerate(self._packet_addresses):
                self._packets[part, row, 0:2] = _VERSION, payload_type
                self._iov[part, row] = address + row * width, width
            if before is not None:
                for state in (self._resamplers, self._pace, self._encoder):
                    state.follow(row, before)
            self._users[row] = key, 0
            self._active = None
        self._users[row] = key, self._users[row][1] + 1
        return row

    def release(self, row: int) -> None:
        """One leg fewer hears the row; it is free when none does, perhaps after a while."""
        key, users = self._users[row]
        if users > 1:
            self._users[row] = key, users - 1
            return
        keep = self._plane.keep.get(key[0])
        if keep is None:
            self._drop(row)
        else:
            self._users[row] = key, 0
            self._kept[row] = self._tick + keep.ticks, keep
            self._active = None

    def _take(self) -> int:
        """A row; if need be, that of the output which nobody has heard for longest. Raises OutOfRows."""
        if self._kept and self._rows.used == self._rows.capacity:
            self._drop(next(iter(self._kept)))
        return self._rows.take()

    def _take_up(self, row: int) -> int | None:
        """A kept row is heard again; None where its mix is another one meanwhile."""
        _, keep = self._kept.pop(row)
        if self._plane.keep.get(self._users[row][0][0]) is keep:
            self._pace.drop(row)  # what was collected for a packet is of long ago
            self._active = None
            return row
        self._drop(row)
        return None

    def _let_go(self) -> None:
        """Kept rows whose time has come, or whose mix is no more."""
        for row, (until, keep) in tuple(self._kept.items()):
            if self._tick >= until or self._plane.keep.get(self._users[row][0][0]) is not keep:
                self._drop(row)

    def _drop(self, row: int) -> None:
        key, _ = self._users.pop(row)
        self._kept.pop(row, None)
        del self._rows_by_key[key]
        for state in (self._resamplers, self._pace, self._encoder, self._relay):
            if state is not None:
                state.drop(row)
        self._rows.give(row)
        self._active = None

    def beats(self, row: int) -> tuple[Beat, ...]:
        """When the row's packets are sent: with all of this packet time, or where there are pauses, of its time line."""
        if self._pauses is None:
            return self._beats
        return tuple(self._beat_of(int(self._timeline[row]), part) for part in range(self._pace.parts))

    def _beat_of(self, line: int, part: int) -> Beat:
        return -self._number, line * self._pace.parts + part

    def iovs(self, row: int) -> list[int]:
        """The addresses of the row's iovecs, one for each of the bank's beats."""
        return [address + row * IOVEC.itemsize for address in self._iov_addresses]

    def encode(self, timelines: Timelines, tick: int) -> Iterable[Beat]:
        """Fill the packets of all rows from the plane's sources; returns the beats that are due."""
        self._tick = tick
        if self._kept:
            self._let_go()
        if self._active is None:
            self._active = np.array(sorted(self._users.keys() - self._kept.keys()), np.int64)
        rows = self._active
        if not len(rows):
            return ()
        frames = scale(self._plane.pcm[self._source[rows]], self._gain[rows])
        loud = ~self._plane.quiet[self._source[rows]] & frames.any(axis=1) if self._pauses is not None else None
        if loud is not None and self._comforts:
            self._loud[rows] |= loud
        elif loud is not None:
            frames[~loud] = 0
        frames = self._resamplers.run(rows, with_channels(frames, self._plane.channels, self.codec.channels))
        number = self._pace.first(tick)
        beats: list[Beat] = []
        for part, sound in enumerate(self._pace.cut(rows, frames, tick)):
            place = _Place(part, number + part, timelines)
            if self._pauses is None:
                self._fill(rows, sound, place)
                beats.append(self._beats[part])
            else:
                beats += [self._beat_of(line, part) for line in self._fill_some(self._pauses, rows, sound, place)]
        if loud is not None and self._pace.due(tick):
            self._loud[rows] = loud
        return beats

    def _fill_some(self, pauses: Pauses, rows: Ints, sound: Samples, place: _Place) -> set[int]:
        """Packets of the time lines that have something to say; returns these."""
        # Comfort noise is sent as sound while the time line does not pause.
        silent: npt.NDArray[np.bool_] = np.logical_not(self._loud[rows] if self._comforts else sound.any(axis=1))
        sent, first, noise = pauses.choose(self._timeline[rows], silent)
        if not sent.any():
            return set()
        self._packets[place.part, rows[sent], 1] = self._payload_type[rows[sent]]
        self._packets[place.part, rows[first], 1] |= _MARKER
        line = set(self._timeline[rows[sent]].tolist())
        if self._comforts:
            self._tell_noise(rows[noise], place)
            sent &= ~noise
        self._fill(rows[sent], sound[sent], place)
        return line

    def _tell_noise(self, rows: Ints, place: _Place) -> None:
        """How loud the noise is that listeners make of it."""
        if len(rows):
            self._packets[place.part, rows, 1] = COMFORT_NOISE
            levels = noise_level(self._plane.noise(self._source[rows]) * self._gain[rows])
            self._write(rows, levels[:, None], np.ones(len(rows), np.int64), place)

    def _fill(self, rows: Ints, sound: Samples, place: _Place) -> None:
        """A packet of each row."""
        if self._relay is not None:
            passed = self._pass_on(self._relay, rows, sound, place)
            if passed:
                kept = [at for at in range(len(rows)) if at not in passed]
                rows, sound = rows[kept], sound[kept]
            self._relay.encoded(rows)
        if len(rows):
            self._counters["encoded"] += len(rows)
            payloads, lengths = self._encoder.encode(rows, sound)
            if self._comforts:  # what was sent before may have been shorter
                lengths = np.full(len(rows), payloads.shape[1])
            self._write(rows, payloads, lengths, place)

    def _pass_on(self, relay: Relay, rows: Ints, sound: Samples, place: _Place) -> set[int]:
        """What is passed on as it came; which of the rows these are. Of a lost packet the one before goes out once more."""
        done: set[int] = set()
        for at, row in enumerate(rows.tolist() if self._plane.passed else ()):
            found = self._plane.passed.get(int(self._source[row]))
            if found is None or self._gain[row] != 1.0 or (found is not LOST and found.codec != self.codec.name):
                continue
            relay.passed(row, sound[at])
            done.add(at)
            if found is not LOST:
                self._counters["passed"] += 1
                payload = np.frombuffer(found.payload, np.uint8)[None]
                self._write(rows[at : at + 1], payload, np.array([payload.shape[1]]), place)
        return done

    def _write(self, rows: Ints, payloads: Octets, lengths: Ints | None, place: _Place) -> None:
        line = self._timeline[rows]
        timelines, number = place.timelines, place.number
        sequence = timelines.sequence[line] + number
        if self._pauses is not None:
            sequence -= self._pauses.left_out[line]
        headers = self._headers[place.part]
        headers["sequence"][rows] = sequence & 0xFFFF
        headers["timestamp"][rows] = (timelines.timestamp[line] + number * self._step) & 0xFFFFFFFF
        headers["ssrc"][rows] = timelines.sources(line, self._source_shift)
        self._packets[place.part, rows, HEADER : HEADER + payloads.shape[1]] = payloads
        if lengths is not None:
            self._iov["length"][place.part, rows] = HEADER + lengths
