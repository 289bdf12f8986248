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
        known = (leg >= 0) & head.valid
        if not head.valid.all():
            self.counters["malformed"] += int((~head.valid & ~head.rtcp).sum())
        new = list(set(leg[known & (self.last[leg] == NEVER)].tolist()))
        self.last[leg[known]] = tick
        audio = known & (head.payload_type == self.payload_type[leg])
        events: list[EventPacket] = []
        noise = np.zeros(len(leg), bool)
        if not audio.all():
            event = known & (head.payload_type == self.event_type[leg])
            noise = known & (head.payload_type == COMFORT_NOISE) & (head.payload_length > 0)
            self.counters["other_payload_type"] += int((known & ~audio & ~event & ~noise).sum())
            events = self._events(batch, head, leg, event.nonzero()[0])
        known &= self.voice[leg] >= 0
        self._note_sources(head, leg, (audio & known).nonzero()[0])
        known &= self.ssrc[leg] == head.ssrc
        sound = (audio & known).nonzero()[0]
        self._note(head, leg, known.nonzero()[0], sound, batch, tick)
        self._store(batch, head, leg, sound)
        self._rest(batch, head, leg, (noise & known).nonzero()[0])
        return events, new

    def _find_strays(self, batch: Batch, head: Headers, leg: Ints, latch: Callable[[int, int], int | None]) -> None:
        strays = ((leg < 0) & head.valid).nonzero()[0]
        if not len(strays):
            return
        for at in strays[:STRAYS_PER_BATCH].tolist():
            found = latch(int(batch.port[at]), int(batch.source[at]))
            if found is not None:
                leg[at] = found
        self.counters["stray"] += int((leg[strays] < 0).sum())

    def _events(self, batch: Batch, head: Headers, leg: Ints, found: Ints) -> list[EventPacket]:
        rows = found[_turn(leg[found]) < EVENTS_PER_LEG][:EVENTS_PER_BATCH]
        self.counters["events_dropped"] += len(found) - len(rows)
        return [
            EventPacket(
                int(leg[at]),
                bool(head.marker[at]),
                int(head.timestamp[at]),
                batch.data[at, head.payload_offset[at] : head.payload_offset[at] + head.payload_length[at]].tobytes(),
            )
            for at in rows.tolist()
        ]

    def _note_sources(self, head: Headers, leg: Ints, rows: Ints) -> None:
        """A leg whose SSRC changed is a new source, with a time line of its own. While the old one sends, it stays."""
        legs, ssrc = leg[rows], head.ssrc[rows]
        same = ssrc == self.ssrc[legs]
        if same.all():
            return
        other = ~same & ~np.isin(legs, legs[same])
        self.ssrc[legs[other]] = ssrc[other]
        changed = np.unique(legs[other])
        self.reception.reset(changed)
        for kind in np.unique(self.kind[changed]).tolist():
            entry = self.kinds[kind]
            if entry is not None:
                entry.new_source(self.voice[changed[self.kind[changed] == kind]])

    def _note(self, head: Headers, leg: Ints, rows: Ints, audio: Ints, batch: Batch, tick: int) -> None:
        """Statistics of all packets, those of sound among them."""
        if len(rows):
            self.reception.note(leg[rows], head.sequence[rows].astype(np.int64))
        if len(audio):
            arrived = (tick * 0.02 - batch.age[audio]) * self.clocks[self.kind[leg[audio]]]
            self.reception.note_transit(leg[audio], arrived - head.timestamp[audio])

    def _store(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> None:
        if not len(rows):
            return
        ordered = self.ordered[self.kind[leg[rows]]]
        if ordered.any():
            self._store_ordered(batch, head, leg, rows[ordered])
            rows = rows[~ordered]
        shape = self.kind[leg[rows]] << 32 | head.payload_offset[rows] << 16 | head.payload_length[rows]
        shapes = set(shape.tolist())
        if len(shapes) > SHAPES_PER_BATCH:
            # Of a leg that sends packets of many lengths one length is heard, so that it costs the others nothing.
            latest = np.zeros(len(self.kind), np.int64)
            latest[leg[rows]] = shape
            alike = shape == latest[leg[rows]]
            self.counters["odd_length"] += int((~alike).sum())
            rows, shape = rows[alike], shape[alike]
            shapes = set(shape.tolist())
        for value in shapes:
            alike = rows[shape == value]
            kind = self.kinds[value >> 32]
            if kind is not None:
                start, length = value >> 16 & 0xFFFF, value & 0xFFFF
                payload = batch.data[alike, start : start + length]
                kind.store(self.voice[leg[alike]], head.timestamp[alike].astype(np.int64), payload, batch.age[alike])

    def _rest(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> None:
        """Packets of comfort noise: their voices pause."""
        number = self.kind[leg[rows]]
        for each in np.unique(number).tolist():
            kind, alike = self.kinds[each], rows[number == each]
            if kind is not None:
                kind.group.rest(self.voice[leg[alike]], batch.data[alike, head.payload_offset[alike]])

    def _store_ordered(self, batch: Batch, head: Headers, leg: Ints, rows: Ints) -> None:
        number = self.kind[leg[rows]]
        for each in np.unique(number).tolist():
            kind, alike = self.kinds[each], rows[number == each]
            if kind is not None:
                kind.store_ordered(batch, head, self.voice[leg[alike]], alike)


def _turn(legs: Ints) -> Ints:
    """Of each packet, how many of the same leg come before it."""
    order = np.argsort(legs, kind="stable")
    ordered = legs[order]
    turn = np.empty(len(legs), np.int64)
    turn[order] = np.arange(len(legs)) - np.searchsorted(ordered, ordered)
    return turn
