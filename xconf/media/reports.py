"""RTCP of all legs (RFC 3550, section 6): a report to each every five seconds, spread over the ticks; theirs are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xconf.media.outputs import Timelines, source_shift
from xconf.media.receive import NEVER, Receiver
from xconf.rtp.batch import Batch
from xconf.rtp.hosts import LENGTH_SIX, Hosts, is_six, sockaddr
from xconf.rtp.ports import MediaPorts
from xconf.rtp.rtcp import ntp_time
from xconf.rtp.rtcp_columns import Blocks, Sent, compose, read
from xconf.rtp.sources import SourceTable

if TYPE_CHECKING:
    from xconf.media.leg import Address, Leg, LegMedia

PERIOD = 250  # ticks between two reports to a leg
EVERY = 10  # ticks between two batches of reports, and two looks at the RTCP sockets
_TICK, _TICK_MS = 0.02, 20
BYES = 64  # at a tick
LAST_PORT = 65535

Ints = npt.NDArray[np.int64]


class Reports:
    """Reports to and from the legs of an engine, one row of the columns for each. `capacity`: legs.

    last_heard: tick of the last RTCP.
    """

    def __init__(self, timelines: Timelines, capacity: int, rng: np.random.Generator, hosts: Hosts) -> None:
        self._timelines = timelines
        self._hosts = hosts
        self._cname = f"{int(rng.integers(1 << 48)):012x}@xconf"  # RFC 7022: random, of one run
        self._placed: dict[int, tuple[LegMedia, Address]] = {}  # leg row -> what its columns were made of
        self._keys: dict[int, int] = {}
        self._sources = SourceTable()
        self._byes: list[tuple[int, npt.NDArray[np.uint8], int]] = []
        self._stale, self._ready = np.zeros(capacity, bool), np.zeros(capacity, bool)
        self._names = np.zeros((capacity, LENGTH_SIX), np.uint8)  # sockaddr of its RTCP
        self._port = np.zeros(capacity, np.int64)
        self._sends = np.zeros(capacity, bool)
        self._shift = np.zeros(capacity, np.int64)  # see source_shift
        self._clock = np.zeros(capacity, np.int64)  # Hz, of RTP timestamps
        self._ptime = np.full(capacity, _TICK_MS)
        self._octets = np.zeros(capacity, np.int64)  # of the payload of one tick
        self._timeline = np.zeros(capacity, np.int64)
        self._since = np.zeros(capacity, np.int64)  # tick
        self._expected = np.zeros(capacity, np.int64)  # until the last report
        self._received = np.zeros(capacity, np.int64)
        self._last_sr = np.zeros(capacity, np.int64)
        self._last_sr_tick = np.zeros(capacity, np.int64)
        self.last_heard = np.full(capacity, NEVER)
        self._lost_there = np.full(capacity, np.nan)
        self._round_trip = np.full(capacity, np.nan)
        self.counters: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._placed)

    def hosts(self) -> set[int]:
        """The numbers of all hosts that reports come from."""
        return {key >> 32 for key in self._keys.values()}

    def lost_there(self, row: int) -> float | None:
        """The share of our packets that the phone misses; None before it said so."""
        return _known(self._lost_there[row])

    def round_trip_ms(self, row: int) -> float | None:
        """There and back; None before it is known."""
        return _known(self._round_trip[row] * 1000)

    def run(self, legs: Mapping[int, Leg], ports: MediaPorts, receiver: Receiver, tick: int, wall: float) -> None:
        """To be called at each tick. Now and then: read what came, and send the reports that are due."""
        turn, rest = divmod(tick, EVERY)
        if rest:
            return
        for batch in ports.drain_rtcp():
            self._read(batch, tick, wall)
        turns = PERIOD // EVERY
        rows = np.arange(turn % turns, len(self._port), turns)
        for row in rows[self._stale[rows]].tolist():
            self._ready[row] = self._prepare(legs.get(row), tick)
        self._stale[rows] = False
        due = rows[self._ready[rows]]
        if len(due):
            self._send(due, ports, receiver, tick, wall)

    def look_again(self, row: int) -> None:
        """The leg's media, address or time line may be others than when it was reported to last."""
        self._stale[row] = True

    def _prepare(self, leg: Leg | None, tick: int) -> bool:
        """Bring the leg's columns up to date; whether there is somebody to report to."""
        if leg is None or leg.media is None or leg.latched is None:
            return False
        placed = self._placed.get(leg.row)
        if placed is None or placed[0] is not leg.media or placed[1] is not leg.latched:
            self._place(leg, leg.media, leg.latched, tick)
        self._timeline[leg.row] = leg.timeline
        return True

    def _place(self, leg: Leg, media: LegMedia, latched: Address, tick: int) -> None:
        row = leg.row
        if row not in self._placed:
            self._since[row] = tick
            self._expected[row] = self._received[row] = self._last_sr[row] = 0
            self.last_heard[row] = NEVER
            self._lost_there[row] = self._round_trip[row] = np.nan
        self._placed[row] = media, latched
        self._port[row], self._sends[row] = leg.port.index, media.sends
        self._clock[row], self._octets[row] = media.codec.clock, media.codec.typical(_TICK_MS)
        self._ptime[row] = media.ptime
        self._shift[row] = source_shift(media.codec.clock, media.ptime)
        self._drop_key(row)
        remote = latched[0], latched[1] + 1
        if latched == media.remote and is_six(media.remote_rtcp[0]) is leg.port.six:
            remote = media.remote_rtcp
        self._names[row] = 0  # nowhere: there is no port after the last one
        if remote[1] <= LAST_PORT:
            self._names[row] = np.frombuffer(sockaddr(remote), np.uint8)
            key = self._hosts.key(remote, leg.port.index)
            if self._sources.add(key, row):
                self._keys[row] = key

    def _drop_key(self, row: int) -> None:
        key = self._keys.pop(row, None)
        if key is not None:
            self._sources.remove(key)

    def _send(self, due: Ints, ports: MediaPorts, receiver: Receiver, tick: int, wall: float) -> None:
        """Packets alike in shape, and of one port, are made and sent together."""
        heard = (receiver.voice[due] >= 0) & (receiver.reception.received[due] > 0)
        shape = self._port[due] << 2 | self._sends[due].astype(np.int64) << 1 | heard
        for value in set(shape.tolist()):
            rows = due[shape == value]
            packets = compose(
                self._timelines.sources(self._timeline[rows], self._shift[rows]).astype(np.int64),
                self._cname,
                sent=self._sent(rows, tick, wall) if value & 2 else None,
                blocks=self._blocks(rows, receiver, tick) if value & 1 else None,
            )
            ports.send_rtcp(value >> 2, packets, self._names[rows])

    def _sent(self, rows: Ints, tick: int, wall: float) -> Sent:
        line, ticks = self._timeline[rows], tick - self._since[rows]
        stamp = self._timelines.timestamp[line] + tick * (self._clock[rows] // 50)
        return Sent(ntp_time(wall), stamp, ticks * _TICK_MS // self._ptime[rows], ticks * self._octets[rows])

    def _blocks(self, rows: Ints, receiver: Receiver, tick: int) -> Blocks:
        """What came from those legs, since the last report and in all."""
        reception = receiver.reception.report(rows)
        expected, received = reception.expected - self._expected[rows], reception.received - self._received[rows]
        self._expected[rows], self._received[rows] = reception.expected, reception.received
        lost = np.clip(expected - received, 0, np.maximum(expected, 0))
        sr = self._last_sr[rows]
        return Blocks(
            receiver.ssrc[rows].astype(np.int64),
            np.minimum(255, lost * 256 // np.maximum(expected, 1)),
            np.clip(reception.lost, -(1 << 23), (1 << 23) - 1),
            reception.highest_sequence,
            np.minimum(reception.jitter.astype(np.int64), 0xFFFFFFFF),
            sr,
            np.where(sr != 0, ((tick - self._last_sr_tick[rows]) * _TICK * 65536).astype(np.int64), 0),
        )

    def _read(self, batch: Batch, tick: int, wall: float) -> None:
        rows = self._sources.find(batch.source)
        told = read(batch.data, batch.lengths, wall)
        self.counters["stray"] += int((rows < 0).sum())
        self.last_heard[rows[rows >= 0]] = tick
        self.counters["malformed"] += int((~told.well_formed & (rows >= 0)).sum())
        sr = (told.sr != 0) & (rows >= 0)
        self._last_sr[rows[sr]], self._last_sr_tick[rows[sr]] = told.sr[sr], tick
        block = told.block & (rows >= 0)
        self._lost_there[rows[block]] = told.fraction[block] / 256
        self._round_trip[rows[block]] = told.round_trip[block]

    def bye(self, leg: Leg) -> None:
        """The call is over: the phone is told at the next tick (RFC 3550, 6.6), and the leg forgotten."""
        if self._placed.pop(leg.row, None) is None:
            return
        self._ready[leg.row] = False
        self._drop_key(leg.row)
        ssrc = int(self._timelines.sources(np.array([leg.timeline]), self._shift[[leg.row]])[0])
        self._byes.append((leg.port.index, self._names[leg.row].copy(), ssrc))

    def say_bye(self, ports: MediaPorts, limit: int = BYES) -> None:
        """Tell up to so many phones that their call is over; when thousands hang up at once it takes some ticks."""
        if not self._byes:
            return
        byes, self._byes = self._byes[:limit], self._byes[limit:]
        for index in {port for port, _, _ in byes}:
            mine = [bye for bye in byes if bye[0] == index]
            packets = compose(np.array([ssrc for _, _, ssrc in mine]), self._cname, bye=True)
            ports.send_rtcp(index, packets, np.array([name for _, name, _ in mine]))


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
