"""The tick: every 20 ms, for all conferences of the node at once.

settle - the packets of the last tick are sent; receive - what came since then lands in the jitter rings; mix - per plane;
encode - each distinct output once; send. Digits, talk events and ends of playback are told to their legs afterwards.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from xconf.media.codecs import Codec
from xconf.media.leg import Leg, LegMedia, LegStatistics
from xconf.media.mix import Mix
from xconf.media.outputs import Bank, Timelines
from xconf.media.plane import Done, Plane
from xconf.media.receive import NEVER, Receiver
from xconf.media.reports import Reports
from xconf.media.rows import Rows
from xconf.rtp.filter import Wanted, program
from xconf.rtp.ports import (
    MediaPort,
    MediaPorts,
    PortError,
    host_number,
    sockaddr,
    source_address,
    source_key,
    source_number,
)
from xconf.rtp.sources import Latches

log = logging.getLogger(__name__)

TICK = 0.02
SILENT = 250  # ticks without a packet after which another source of the same host is believed
BASE_PORTS = 2  # legs are spread over so many ports: each has a sender of its own
FEW = 8
FILTER_EVERY = 5  # ticks between two looks at the kernel's filters
_NAME = 16
_LATER = 1 << 60


class Engine:
    """The media of one node. capacity: calls; relatch: whether a leg whose source fell silent may get a new one;
    trusts: whether a host may send for a call of another host (a phone with two addresses).
    """

    def __init__(
        self,
        ports: MediaPorts,
        capacity: int,
        rng: np.random.Generator,
        *,
        relatch: bool = True,
        trusts: Callable[[str], bool] = lambda host: False,
    ) -> None:
        self.ports = ports
        self.counters: Counter[str] = Counter()
        self.planes: dict[int, Plane] = {}
        self.receiver = Receiver(capacity)
        self.timelines = Timelines(capacity + 1, rng)
        self.tick_number = 0
        self._capacity = capacity
        self._rng = rng
        self._relatch = relatch
        self.trusts = trusts
        self._rows = Rows(capacity, "calls")
        self._legs: dict[int, Leg] = {}
        self._names = np.zeros((capacity, _NAME), np.uint8)
        self._names_address: int = self._names.ctypes.data
        self._noticed = np.full(capacity, _LATER)  # tick at which a leg began, or was last asked for
        self._keys: dict[int, int] = {}  # leg row -> its key in the source table
        self._hosts: dict[int, tuple[int, int]] = {}  # leg row -> its place in the latches
        self._latches = Latches()
        self._banks: dict[tuple[Codec, int], Bank] = {}
        self._heard_from: dict[int, tuple[Bank, int, tuple[int, int, int, int]]] = {}  # leg row -> what it is sent
        self._touched: dict[int, Leg] = {}
        self._told: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.reports = Reports(self.timelines, rng)

    # What calls and conferences do

    def create_mix(self, rate: int) -> Mix:
        """The sound of a new conference at `rate` Hz."""
        if rate not in self.planes:
            self.planes[rate] = Plane(rate, self._capacity, self._rng)
        return Mix(self.planes[rate], self.timelines)

    def create_leg(self, mix: Mix, remote: tuple[str, int] | None, host: str) -> Leg:
        """A leg for a call into that conference; it hears and says nothing until `set_media` and `attach`.

        remote: where the phone says that it expects media, None when that is unknown or implausible; host: where its
        packets will come from. Raises PortError or OutOfRows.
        """
        port = self._choose_port(remote, host)
        row = self._rows.take()
        leg = self._legs[row] = Leg(self, row, port, mix.timeline, mix.plane)
        port.legs += 1
        # Also before its media is known: another call of this host must not get this port meanwhile.
        self._expect(leg, (remote or (host, 0))[0], 0 if remote is None else remote[1], addressed=remote is not None)
        self._noticed[row] = self.tick_number
        return leg

    @property
    def legs(self) -> int:
        return len(self._legs)

    def sizes(self) -> dict[str, int]:
        """Rows in use: all zero when no call is up and nothing is played."""
        return {
            "legs": self._rows.used,
            "sources": len(self.receiver.sources),
            "latches": len(self._latches),
            "voices": sum(plane.voices.used for plane in self.planes.values()),
            "sounds": sum(plane.used for plane in self.planes.values()),
            "outputs": sum(bank.outputs for bank in self._banks.values()),
            "reports": len(self.reports),
            "packets_per_tick": sum(port.fanout.count for port in self.ports.ports),
        }

    def statistics(self, leg: Leg) -> LegStatistics:
        counterpart = self.reports.counterpart(leg.row)
        last = max(int(self.receiver.last[leg.row]), counterpart.last_heard if counterpart else NEVER)
        if leg.closed or last == NEVER:
            return LegStatistics()
        silent = (self.tick_number - last) * TICK
        if leg.voice is None or leg.media is None or not self.receiver.reception.received[leg.row]:
            return LegStatistics(silent_for=silent)
        report = self.receiver.reception.report(leg.row)
        jitter = leg.plane.voices.groups[leg.media.codec.rate].jitter
        return LegStatistics(
            report.received,
            report.lost,
            report.jitter / leg.media.codec.rate * 1000,
            float(jitter.delay(np.array([leg.voice]))[0]) * 1000,
            int(jitter.lost[leg.voice]),
            int(jitter.late[leg.voice]),
            silent,
        )

    def silent_legs(self, seconds: float, limit: int) -> list[Leg]:
        """Up to `limit` legs from which no packet came for so long; each is named once in that time."""
        last = np.maximum(self.receiver.last, self._noticed)
        rows = np.flatnonzero(last < self.tick_number - seconds / TICK)[:limit].tolist()
        legs = [self._legs[row] for row in rows if self.statistics(self._legs[row]).heard_before(seconds)]
        self._noticed[rows] = self.tick_number
        return legs

    # What legs ask for

    def touch(self, leg: Leg) -> None:
        """What the leg hears may have changed: looked at when the next tick begins. One that is gone hears nothing."""
        if self._legs.get(leg.row) is leg:
            self._touched[leg.row] = leg

    def place(self, leg: Leg, host: str, addressed: bool) -> None:
        """Enter the leg's remote address and payload types, at first or anew."""
        media = leg.media
        if media is None:
            return
        receiver, row = self.receiver, leg.row
        receiver.payload_type[row] = media.receive_payload_type
        self._count_events(leg, -1)
        receiver.event_type[row] = -1 if media.event_payload_type is None else media.event_payload_type
        self._count_events(leg, 1)
        if leg.latched is not None and (leg.claimed, leg.host) == (media.remote, host):
            return  # as before, and its packets are known
        leg.claimed, leg.host = media.remote, host
        self._unplace(row)
        leg.latched = None
        receiver.last[row] = NEVER
        if addressed:
            self._latch(leg, media.remote)
        self._expect(leg, media.remote[0] if addressed else host, media.remote[1], addressed=addressed)
        leg.port.stale = True

    def open_voice(self, leg: Leg, minus: int) -> int:
        assert leg.media is not None
        codec = leg.media.codec
        voices = leg.plane.voices
        voice = voices.open(leg.row, codec.rate, minus)
        self.receiver.kind[leg.row] = self.receiver.kind_of(voices.groups[codec.rate], codec)
        self.receiver.voice[leg.row] = voice
        leg.port.stale = True
        self.receiver.reception.reset(leg.row)
        return voice

    def close_voice(self, leg: Leg) -> None:
        assert leg.media is not None and leg.voice is not None
        self.receiver.voice[leg.row] = -1
        leg.port.stale = True
        leg.plane.voices.close(leg.voice, leg.media.codec.rate)

    def forget(self, leg: Leg) -> None:
        """The leg is closed: its address is free at once, its row when the next tick has taken it off the fan-out."""
        self.reports.bye(leg, self.ports)
        self._unplace(leg.row)
        self._count_events(leg, -1)
        self.receiver.forget(leg.row)
        self.touch(leg)

    # Addresses

    def _choose_port(self, remote: tuple[str, int] | None, host: str) -> MediaPort:
        """The least busy of the first ports at which the leg can be told from all others; else the next; else a new one."""
        address = remote or (host, 0)

        def fits(port: MediaPort) -> bool:
            key = source_key(address, port.index)
            free = remote is None or key not in self.receiver.sources
            return free and self._latches.room(port.index, key >> 32, addressed=remote is not None)

        while len(self.ports.ports) < BASE_PORTS:
            self.ports.open()
        base = sorted(self.ports.ports[:BASE_PORTS], key=lambda port: port.legs)
        for port in [*base, *self.ports.ports[BASE_PORTS:]]:
            if fits(port):
                return port
        try:
            return self.ports.open()
        except PortError:
            if remote is None:
                raise
            # Two calls with one media address: both hear, and what comes from there counts as the first one's.
            self.counters["shared_address"] += 1
            return base[0]

    def _expect(self, leg: Leg, host: str, claimed: int, *, addressed: bool) -> None:
        """Packets of that host at the leg's port may be the leg's."""
        port = leg.port.index
        key = source_key((host, 0), port) >> 32
        self._hosts[leg.row] = port, key
        self._latches.add(port, key, leg.row, addressed=addressed, claimed=claimed)

    def _latch(self, leg: Leg, remote: tuple[str, int]) -> None:
        row = leg.row
        self._drop_key(row)
        key = source_key(remote, leg.port.index)
        if self.receiver.sources.add(key, row):
            self._keys[row] = key
        self._names[row] = np.frombuffer(sockaddr(remote), np.uint8)
        leg.latched = remote
        leg.port.stale = True
        self.touch(leg)

    def _drop_key(self, row: int) -> None:
        key = self._keys.pop(row, None)
        if key is not None:
            self.receiver.sources.remove(key)

    def _unplace(self, row: int) -> None:
        self._drop_key(row)
        if row in self._hosts:
            self._latches.remove(*self._hosts.pop(row), row)

    def _find_leg(self, port: int, key: int) -> int | None:
        """The leg that a packet of an unknown source belongs to, latched to it; None: nobody's."""
        host, number = source_address(key)
        row = self._latches.find(port, key >> 32, self._silent)
        if row is None and self.trusts(host):
            row = self._latches.find_claim(port, number)
        leg = None if row is None else self._legs.get(row)
        if row is None or leg is None or leg.closed:
            return None
        self._latches.remove(*self._hosts[row], row)
        self._hosts[row] = port, key >> 32
        self._latches.add(port, key >> 32, row, addressed=True, claimed=number)
        self._latch(leg, (host, number))
        self.counters["latched"] += 1
        return row

    def _silent(self, row: int) -> bool:
        return self._relatch and self.tick_number - int(self.receiver.last[row]) > SILENT

    def _count_events(self, leg: Leg, by: int) -> None:
        payload_type = int(self.receiver.event_type[leg.row])
        if payload_type >= 0:
            leg.port.event_types[payload_type] += by
            leg.port.stale = True

    def _filter(self) -> None:
        """Have the kernel drop what nobody would listen to. Without its help all is sorted here, with the same result."""
        stale = [port for port in self.ports.ports if port.stale]
        if not stale:
            return
        sources: dict[int, set[tuple[int, int]]] = {port.index: set() for port in stale}
        hosts = {port.index: set(self._latches.unaddressed(port.index)) for port in stale}
        claims: dict[int, set[int]] = {port.index: set() for port in stale}
        for plane in self.planes.values():
            for voice in plane.voices.rows():
                leg = self._legs[int(plane.voices.leg[voice])]
                if leg.latched is None or not leg.port.stale:
                    continue
                if self._latches.is_unheard(leg.row) and leg.claimed is not None:
                    claims[leg.port.index].add(leg.claimed[1])
                place = self._hosts[leg.row]
                # The few calls of one host pass whole, so that a speaker whose NAT moved him is found again at once.
                if self._latches.count(*place) <= FEW:
                    hosts[leg.port.index].add(place[1])
                else:
                    sources[leg.port.index].add(source_number(leg.latched))
        for port in stale:
            types = frozenset(payload_type for payload_type, legs in port.event_types.items() if legs > 0)
            whole = frozenset(map(host_number, hosts[port.index]))
            code = program(Wanted(frozenset(sources[port.index]), whole, frozenset(claims[port.index]), types))
            self.counters["filtered" if port.set_filter(code) and code else "unfiltered"] += 1
            port.stale = False

    # The tick

    def tick(self, missed: int, wall: float) -> None:
        """One tick. missed: ticks that were due since the last one and did not happen; wall: the time of day, in s."""
        self.ports.settle()
        self.tick_number += 1 + missed
        self._sync()
        if self.tick_number % FILTER_EVERY == 0:
            self._filter()
        self._receive()
        if not self._legs and not any(plane.playing for plane in self.planes.values()):
            return  # nobody hears and nothing waits for an end
        for plane in self.planes.values():
            for group in plane.voices.groups.values():
                if missed:
                    group.jitter.skip(missed)
            self._mix(plane)
        self._sync()
        for (_, rate), bank in self._banks.items():
            bank.encode(self.planes[rate].pcm, self.timelines, self.tick_number)
        self.ports.send()
        self.reports.run(self._legs, self.ports, self.receiver, self.tick_number, wall)

    def deliver(self) -> None:
        """Tell legs what the tick found. A fault of one listener is logged and does not touch the others."""
        told, self._told = self._told, []
        for call, arguments in told:
            try:
                call(*arguments)
            except Exception:
                log.exception("a listener of the media failed")

    def _receive(self) -> None:
        for batch in self.ports.drain():
            events, new = self.receiver.run(batch, self.tick_number, self._find_leg)
            for row in new:
                if row in self._hosts:
                    self._latches.heard(*self._hosts[row], row)
                    self._legs[row].port.stale |= self._legs[row].voice is not None
            for event in events:
                leg = self._legs.get(event.leg)
                digit = leg.events.feed(event.timestamp, event.marker, event.payload) if leg else None
                if leg is not None and digit is not None:
                    self._told.append((leg.digit, (digit,)))

    def _mix(self, plane: Plane) -> None:
        if plane.idle:
            return
        changed, over = plane.run(self.tick_number)
        for voice in changed.tolist():
            leg = self._legs[int(plane.voices.leg[voice])]
            self.touch(leg)
            if leg.on_talk is not None:
                self._told.append((leg.on_talk, (bool(plane.voices.speaking[voice]),)))
        for player in over:
            done: Done | None = player.finished()
            if done is not None:
                self._told.append((done, ()))

    def _sync(self) -> None:
        """Bring the fan-outs in line with what touched legs are to hear."""
        touched, self._touched = self._touched, {}
        for row, leg in touched.items():
            self._point(row, leg)
            if leg.closed:
                del self._legs[row]
                self._noticed[row] = _LATER
                leg.port.legs -= 1
                self._rows.give(row)

    def _point(self, row: int, leg: Leg) -> None:
        had = self._heard_from.pop(row, None)
        wanted = self._wanted(leg)
        if wanted is None:
            if had is not None:
                leg.port.fanout.remove(row)
        elif had is not None and had[0] is wanted[0] and had[2] == wanted[1]:
            self._heard_from[row] = had
            return
        else:
            bank, key = wanted
            output = bank.acquire(*key)
            self._heard_from[row] = bank, output, key
            if had is None:
                leg.port.fanout.add(row, self._names_address + row * _NAME, bank.iov(output))
            else:
                leg.port.fanout.point(row, bank.iov(output))
        if had is not None:
            had[0].release(had[1])

    def _wanted(self, leg: Leg) -> tuple[Bank, tuple[int, int, int, int]] | None:
        """The output that the leg is to be sent; None: nothing (closed, on hold, or nobody knows where to)."""
        media: LegMedia | None = leg.media
        if leg.closed or media is None or not media.sends or leg.latched is None:
            return None
        key = media.codec, leg.plane.rate
        if key not in self._banks:
            self._banks[key] = Bank(media.codec, leg.plane.rate, self._capacity)
        return self._banks[key], (leg.source(), leg.timeline, media.payload_type, leg.listen_gain)

    def close(self) -> None:
        """Closes the ports; calls are over before."""
        self.ports.close()
