"""The packets of a tick: each distinct output is encoded once, into one packet that any number of legs share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xconf.media.codecs import Codec
from xconf.media.levels import scale, step_gain
from xconf.media.resample import Resamplers
from xconf.media.rows import Rows

HEADER = 12
IOVEC = np.dtype([("base", "u8"), ("length", "u8")])
_VERSION = 0x80

Samples = npt.NDArray[np.int16]
Ints = npt.NDArray[np.int64]
Key = tuple[int, int, int, int]  # source, time line, payload type, gain step


class Timelines:
    """RTP time lines: one per conference, so that its packets are the same for all who listen.

    sequence = base + tick; timestamp = base + tick * samples of a tick. Every base is random (RFC 3550, 5.1).
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

    def rtp_time(self, row: int, tick: int, rate: int) -> int:
        """The RTP timestamp of a tick, at the codec's clock rate."""
        return (int(self.timestamp[row]) + tick * (rate // 50)) & 0xFFFFFFFF


class Bank:
    """The packets of one codec and one rate of conferences. A row is one distinct output, see Key."""

    def __init__(self, codec: Codec, rate: int, capacity: int) -> None:
        self.codec = codec
        self._rows = Rows(capacity, f"{codec.name} outputs")
        self._resamplers = Resamplers(rate, codec.rate, capacity)
        self._packets = np.zeros((capacity, HEADER + codec.frame_octets), np.uint8)
        self._iov = np.zeros(capacity, IOVEC)
        self._iov_address: int = self._iov.ctypes.data
        self._packets_address: int = self._packets.ctypes.data
        self._source = np.zeros(capacity, np.int64)
        self._timeline = np.zeros(capacity, np.int64)
        self._gain = np.ones(capacity, np.float32)
        self._rows_by_key: dict[Key, int] = {}
        self._users: dict[int, tuple[Key, int]] = {}  # row -> its key, how many legs hear it
        self._active: Ints | None = None
        self.encoded = 0

    @property
    def outputs(self) -> int:
        """Distinct outputs that somebody hears now."""
        return len(self._users)

    def acquire(self, source: int, timeline: int, payload_type: int, gain: int) -> int:
        """The row of that output; to be given back with `release`. gain: step. Raises OutOfRows."""
        key = (source, timeline, payload_type, gain)
        row = self._rows_by_key.get(key)
        if row is None:
            row = self._rows_by_key[key] = self._rows.take()
            self._source[row], self._timeline[row], self._gain[row] = source, timeline, step_gain(gain)
            self._packets[row, 0:2] = _VERSION, payload_type
            self._iov[row] = self._packets_address + row * self._packets.shape[1], self._packets.shape[1]
            self._users[row] = key, 0
            self._active = None
        self._users[row] = key, self._users[row][1] + 1
        return row

    def release(self, row: int) -> None:
        """One leg fewer hears the row; it is free when none does."""
        key, users = self._users[row]
        if users > 1:
            self._users[row] = key, users - 1
            return
        del self._users[row], self._rows_by_key[key]
        self._resamplers.drop(row)
        self._rows.give(row)
        self._active = None

    def iov(self, row: int) -> int:
        """The address of the row's iovec."""
        return self._iov_address + row * IOVEC.itemsize

    def encode(self, pcm: Samples, timelines: Timelines, tick: int) -> None:
        """Fill the packets of all rows. pcm: int16[sources, samples], the plane's sources."""
        if self._active is None:
            self._active = np.array(sorted(self._users), np.int64)
        rows = self._active
        if not len(rows):
            return
        frames = self._resamplers.run(rows, scale(pcm[self._source[rows]], self._gain[rows]))
        line = self._timeline[rows]
        header = np.empty((len(rows), 10), np.uint8)
        header[:, 0:2] = (timelines.sequence[line] + tick).astype(">u2").view(np.uint8).reshape(-1, 2)
        stamp = timelines.timestamp[line] + tick * (self.codec.rate // 50)
        header[:, 2:6] = (stamp & 0xFFFFFFFF).astype(">u4").view(np.uint8).reshape(-1, 4)
        header[:, 6:10] = timelines.ssrc[line].astype(">u4").view(np.uint8).reshape(-1, 4)
        self._packets[rows, 2:HEADER] = header
        self._packets[rows, HEADER:] = self.codec.encode(frames)
        self.encoded += len(rows)
