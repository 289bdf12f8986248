"""From datagrams to jitter rings: a batch is sorted by source and payload type, decoded and stored, without a loop over packets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.media.codecs import Codec
from xconf.media.decoding import Kind
from xconf.media.outputs import COMFORT_NOISE
from xconf.media.voices import Heard, VoiceGroup
from xconf.rtp.batch import Batch
from xconf.rtp.packet import Headers, headers
from xconf.rtp.reception import Reception
from xconf.rtp.sources import SourceTable

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NEVER = -1
STRAYS_PER_BATCH = 32  # packets of unknown sources that are looked at; the others are only counted
EVENTS_PER_BATCH, EVENTS_PER_LEG = 512, 16
SHAPES_PER_BATCH = 16  # different packet lengths in a batch, beyond which each leg may have one


@dataclass(slots=True)
class EventPacket:
    """An RTP telephone-event packet of a leg."""

    leg: int
    marker: bool
    timestamp: int
    payload: bytes


class Receiver:
    """Columns per leg that say what its packets are; the rest is work on whole batches."""

    def __init__(self, capacity: int) -> None:
        self.sources = SourceTable()
        self.payload_type = np.zeros(capacity, np.int64)
        self.event_type = np.full(capacity, -1)
        self.kind = np.zeros(capacity, np.int64)  # index into `kinds`
        self.voice = np.full(capacity, -1)
        self.ssrc = np.zeros(capacity, np.uint32)
        self.last = np.full(capacity, NEVER)  # tick of the last packet
        self.reception = Reception(capacity)
        self.kinds: list[Kind | None] = [None]
        self.clocks = np.array([8000])  # Hz, of each kind
        self.ordered = np.array([False])  # of each kind: see `Kind`
        self.counters: Counter[str] = Counter()
        self._numbers: dict[tuple[VoiceGroup, str, Heard], int] = {}

    def forget(self, leg: int) -> None:
        """The row is free."""
        self.voice[leg] = -1
        self.event_type[leg] = -1
        self.last[leg] = NEVER

    def open(self, leg: int, voice: int, group: VoiceGroup, codec: Codec) -> None:
        """The leg's packets are of that codec, and go to a voice of that group."""
        key = group, codec.name, codec.heard
        if key not in self._numbers:
            self._numbers[key] = len(self.kinds)
            kind = Kind(group, codec, self.counters)
            self.kinds.append(kind)
            self.clocks = np.append(self.clocks, codec.clock)
            self.ordered = np.append(self.ordered, kind.ordered)
        self.kind[leg] = self._numbers[key]
        self.voice[leg] = voice

    def close(self, leg: int) -> None:
        """The leg has no voice any more."""
        kind, voice = self.kinds[self.kind[leg]], int(self.voice[leg])
        if kind is not None and voice >= 0:
            kind.drop(voice)
        self.voice[leg] = -1

    def run(
        self, batch: Batch, tick: int, latch: Callable[[int, int], int | None]
    ) -> tuple[list[EventPacket], list[int]]:
        """Store the sound of a batch. latch(port, key) finds the leg of an unknown source.

        Returns the telephone-event packets, and the legs that were heard for the first time.
        """
        head = headers(batch.data, batch.lengths)
        leg = self.sources.find(batch.source)
        self._find_strays(batch, head, leg, latch)
        if not head.valid.all():
            self.counters["malformed"] += int((~head.valid & ~head.rtcp).sum())
        rows = (head.valid & (leg >= 0)).nonzero()[0]
        leg = leg[rows]
        new = list(set(leg[self.last[leg] == NEVER].tolist()))
        self.last[leg] = tick
        payload_type = head.payload_type[rows]
        audio = payload_type == self.payload_type[leg]
        events: list[EventPacket] = []
        if not audio.all():
            event = ~audio & (payload_type == self.event_type[leg])
            noise = ~audio & (payload_type == COMFORT_NOISE) & (head.payload_length[rows] > 0)
            self.counters["other_payload_type"] += int((~audio & ~event & ~noise).sum())
            events = self._events(batch, head, leg[event], rows[event])
        # Most who send are listeners, whose packets tell no more than that they are there.
        heard = (self.voice[leg] >= 0).nonzero()[0]
        if len(heard):
            self._listen(batch, head, leg[heard], rows[heard], audio[heard], tick)
        return events, new

    def _listen(self, batch: Batch, head: Headers, leg: Ints, rows: Ints, audio: Bools, tick: int) -> None:
        """Packets of legs that may be heard. leg: of each row of the batch; audio: which are sound."""
        self._note_sources(leg[audio], head.ssrc[rows[audio]])
        now = self.ssrc[leg] == head.ssrc[rows]
        if not now.all():
            leg, rows, audio = leg[now], rows[now], audio[now]
        self.reception.note(leg, head.sequence[rows].astype(np.int64))
        if not audio.all():
            other = rows[~audio]
            noise = (head.payload_type[other] == COMFORT_NOISE) & (head.payload_length[other] > 0)
            self._rest(batch, head, leg[~audio][noise], other[noise])
            leg, rows = leg[audio], rows[audio]
        if len(rows):
            arrived = (tick * 0.02 - batch.age[rows]) * self.clocks[self.kind[leg]]
            self.reception.note_transit(leg, arrived - head.timestamp[rows])
            self._store(batch, head, leg, rows)

    def _find_strays(self, batch: Batch, head: Headers, leg: Ints, latch: Callable[[int, int], int | None]) -> None:
        strays = ((leg < 0) & head.valid).nonzero()[0]
        if not len(strays):
            return
        for at in strays[:STRAYS_PER_BATCH].tolist():
            found = latch(int(batch.port[at]), int(batch.source[at]))
            if found is not None:
                leg[at] = found
        self.counters["stray"] += int((leg[strays] < 0).sum())

    def _events(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> list[EventPacket]:
        few = (_turn(leg) < EVENTS_PER_LEG).nonzero()[0][:EVENTS_PER_BATCH]
        self.counters["events_dropped"] += len(rows) - len(few)
        return [
            EventPacket(
                of,
                bool(head.marker[at]),
                int(head.timestamp[at]),
                batch.data[at, head.payload_offset[at] : head.payload_offset[at] + head.payload_length[at]].tobytes(),
            )
            for of, at in zip(leg[few].tolist(), rows[few].tolist(), strict=True)
        ]

    def _note_sources(self, leg: Ints, ssrc: npt.NDArray[np.uint32]) -> None:
        """A leg whose SSRC changed is a new source, with a time line of its own. While the old one sends, it stays."""
        same = ssrc == self.ssrc[leg]
        if same.all():
            return
        other = ~same & ~np.isin(leg, leg[same])
        self.ssrc[leg[other]] = ssrc[other]
        changed = np.unique(leg[other])
        self.reception.reset(changed)
        for kind in np.unique(self.kind[changed]).tolist():
            entry = self.kinds[kind]
            if entry is not None:
                entry.new_source(self.voice[changed[self.kind[changed] == kind]])

    def _store(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> None:
        number = self.kind[leg]
        ordered = self.ordered[number]
        if ordered.any():
            self._store_ordered(batch, head, leg[ordered], rows[ordered])
            leg, rows, number = leg[~ordered], rows[~ordered], number[~ordered]
        shape = number << 32 | head.payload_offset[rows] << 16 | head.payload_length[rows]
        shapes = set(shape.tolist())
        if len(shapes) > SHAPES_PER_BATCH:
            # Of a leg that sends packets of many lengths one length is heard, so that it costs the others nothing.
            latest = np.zeros(len(self.kind), np.int64)
            latest[leg] = shape
            alike = shape == latest[leg]
            self.counters["odd_length"] += int((~alike).sum())
            leg, rows, shape = leg[alike], rows[alike], shape[alike]
            shapes = set(shape.tolist())
        for value in shapes:
            alike = shape == value
            kind = self.kinds[value >> 32]
            if kind is not None:
                start, length, those = value >> 16 & 0xFFFF, value & 0xFFFF, rows[alike]
                payload = batch.data[those, start : start + length]
                timestamp = head.timestamp[those].astype(np.int64)
                kind.store(self.voice[leg[alike]], timestamp, payload, batch.age[those])

    def _rest(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> None:
        """Packets of comfort noise: their voices pause."""
        number = self.kind[leg]
        for each in set(number.tolist()):
            kind, alike = self.kinds[each], number == each
            if kind is not None:
                noise = batch.data[rows[alike], head.payload_offset[rows[alike]]]
                kind.group.rest(self.voice[leg[alike]], noise)

    def _store_ordered(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> None:
        number = self.kind[leg]
        for each in set(number.tolist()):
            kind, alike = self.kinds[each], number == each
            if kind is not None:
                kind.store_ordered(batch, head, self.voice[leg[alike]], rows[alike])


def _turn(legs: Ints) -> Ints:
    """Of each packet, how many of the same leg come before it."""
    order = np.argsort(legs, kind="stable")
    ordered = legs[order]
    turn = np.empty(len(legs), np.int64)
    turn[order] = np.arange(len(legs)) - np.searchsorted(ordered, ordered)
    return turn
