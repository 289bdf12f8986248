"""The tick: every 20 ms, for all conferences of the node at once.

settle - the packets of the last tick are sent; receive - what came since then lands in the jitter rings; mix - per plane;
encode - each distinct output once; send. Digits, talk events and ends of playback are told to their legs afterwards.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from xconf.media.addresses import Addresses
from xconf.media.codecs import Codec
from xconf.media.faults import Faults
from xconf.media.filtering import attach
from xconf.media.leg import Leg, LegMedia, LegStatistics
from xconf.media.mix import Mix
from xconf.media.outputs import Bank, Timelines
from xconf.media.plane import Plane
from xconf.media.receive import NEVER, Receiver
from xconf.media.reports import Reports
from xconf.media.rows import OutOfRows, Rows
from xconf.rtp.fanout import Beat
from xconf.rtp.ports import MediaPorts

log = logging.getLogger(__name__)

TICK = 0.02
FILTER_EVERY = 5  # ticks between two looks at the kernel's filters
MOST_BANKS = 32  # that are kept though nobody hears them
_LATER = 1 << 60
HUSH = 8  # ticks after a packet of a pressed key; some phones send its tone as sound too, and that is still in the ring


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
        self.planes: dict[tuple[int, int], Plane] = {}  # by rate and channels
        self.receiver = Receiver(capacity)
        self.timelines = Timelines(capacity + 1, rng)
        self.tick_number = 0
        self._capacity = capacity
        self._rng = rng
        self._rows = Rows(capacity, "calls")
        self._legs: dict[int, Leg] = {}
        self._noticed = np.full(capacity, _LATER)  # tick at which a leg began, or was last asked for
        self._addresses = Addresses(
            ports,
            self._legs,
            self.receiver,
            self.counters,
            self.touch,
            capacity=capacity,
            relatch=relatch,
            trusts=trusts,
        )
        self._faults = Faults(self.counters)
        self._banks: dict[tuple[Codec, int, Plane], Bank] = {}
        self._heard_from: dict[int, tuple[Bank, int, tuple[int, int, int, int]]] = {}  # leg row -> what it is sent
        self._touched: dict[int, Leg] = {}
        self._told: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.reports = Reports(self.timelines, capacity, rng, ports.hosts)

    # What calls and conferences do

    def create_mix(self, rate: int, channels: int = 1) -> Mix:
        """The sound of a new conference at `rate` Hz."""
        if (rate, channels) not in self.planes:
            self.planes[rate, channels] = Plane(rate, channels, self._capacity, self._rng)
        return Mix(self.planes[rate, channels], self.timelines)

    def create_leg(self, mix: Mix, remote: tuple[str, int] | None, host: str) -> Leg:
        """A leg for a call into that conference; it hears and says nothing until `set_media` and `attach`.

        remote: where the phone says that it expects media, None when that is unknown or implausible; host: where its
        packets will come from. Raises PortError or OutOfRows.
        """
        if self.ports.hosts.crowded:
            self.ports.hosts.keep(self._addresses.hosts() | self.reports.hosts())
        port = self._addresses.choose_port(remote, host)
        row = self._rows.take()
        leg = self._legs[row] = Leg(self, row, port, mix.timeline, mix.plane)
        port.legs += 1
        # Also before its media is known: another call of this host must not get this port meanwhile.
        expected = (host, 0) if remote is None else remote
        self._addresses.expect(leg, *expected, addressed=remote is not None)
        self._noticed[row] = self.tick_number
        return leg

    @property
    def trusts(self) -> Callable[[str], bool]:
        """Whether a host may send for a call of another host."""
        return self._addresses.trusts

    @trusts.setter
    def trusts(self, trusts: Callable[[str], bool]) -> None:
        self._addresses.trusts = trusts

    @property
    def legs(self) -> int:
        return len(self._legs)

    def sizes(self) -> dict[str, int]:
        """Rows in use: all zero when no call is up and nothing is played."""
        return {
            "legs": self._rows.used,
            "sources": len(self.receiver.sources),
            "latches": len(self._addresses),
            "voices": sum(plane.voices.used for plane in self.planes.values()),
            "sounds": sum(plane.used for plane in self.planes.values()),
            "outputs": sum(bank.outputs for bank in self._banks.values()),
            "reports": len(self.reports),
            "packets_per_tick": sum(port.fanouts.count for port in self.ports.ports),
        }

    def statistics(self, leg: Leg) -> LegStatistics:
        row = leg.row
        last = max(int(self.receiver.last[row]), int(self.reports.last_heard[row]))
        if leg.closed or last == NEVER:
            return LegStatistics()
        there = LegStatistics(
            silent_for=(self.tick_number - last) * TICK,
            lost_there=self.reports.lost_there(row),
            round_trip_ms=self.reports.round_trip_ms(row),
        )
        if leg.voice is None or leg.media is None or not self.receiver.reception.received[row]:
            return there
        report = self.receiver.reception.report(np.array([row]))
        jitter = leg.plane.voices.groups[leg.media.codec.heard].jitter
        return replace(
            there,
            packets=int(report.received[0]),
            lost=int(report.lost[0]),
            jitter_ms=float(report.jitter[0]) / leg.media.codec.clock * 1000,
            delay_ms=float(jitter.delay(np.array([leg.voice]))[0]) * 1000,
            concealed=int(jitter.lost[leg.voice]),
            late=int(jitter.late[leg.voice]),
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
        self._addresses.place(leg, media.remote, host, addressed=addressed)

    def open_voice(self, leg: Leg, minus: int) -> int:
        assert leg.media is not None
        codec = leg.media.codec
        voices = leg.plane.voices
        voice = voices.open(leg.row, codec.heard, minus)
        self.receiver.open(leg.row, voice, voices.groups[codec.heard], codec)
        leg.port.stale = True
        self.receiver.reception.reset(leg.row)
        return voice

    def close_voice(self, leg: Leg) -> None:
        assert leg.media is not None and leg.voice is not None
        self.receiver.close(leg.row)
        leg.port.stale = True
        if leg.speaking and leg.on_talk is not None:
            self._told.append((leg.on_talk, (False,)))
        leg.plane.voices.close(leg.voice, leg.media.codec.heard)

    def forget(self, leg: Leg) -> None:
        """The leg is closed: its address is free at once, its row when the next tick has taken it off the fan-out."""
        self.reports.bye(leg)
        self._addresses.forget(leg.row)
        self._count_events(leg, -1)
        self.receiver.forget(leg.row)
        self.touch(leg)

    def _count_events(self, leg: Leg, by: int) -> None:
        payload_type = int(self.receiver.event_type[leg.row])
        if payload_type >= 0:
            leg.port.event_types[payload_type] += by
            leg.port.stale = True

    # The tick

    def tick(self, missed: int, wall: float) -> None:
        """One tick. missed: ticks that were due since the last one and did not happen; wall: the time of day, in s.

        A fault in one part, of one conference's sound or one batch of packets, is counted and touches no other part.
        """
        self.ports.settle()
        self.tick_number += 1 + missed
        self._addresses.tick = self.tick_number
        kept = self._faults.kept
        self._sync()
        if self.tick_number % FILTER_EVERY == 0:
            with kept("filter"):
                attach(self.ports.ports, self.planes.values(), self._legs, self._addresses, self.counters)
        if missed:
            self._skip(missed)
        with kept("receive"):
            self._receive()
        with kept("reports"):
            self.reports.say_bye(self.ports)
        if not self._legs and not any(plane.playing for plane in self.planes.values()):
            return  # nobody hears and nothing waits for an end
        for plane in self.planes.values():
            with kept("mix"):
                self._mix(plane)
        self._sync()
        due: set[Beat] = set()
        for bank in self._banks.values():
            with kept("encode"):
                due.update(bank.encode(self.timelines, self.tick_number))
        with kept("send"):
            self.ports.send(due)
        with kept("reports"):
            self.reports.run(self._legs, self.ports, self.receiver, self.tick_number, wall)

    def deliver(self) -> None:
        """Tell legs what the tick found. A fault of one listener is logged and does not touch the others."""
        told, self._told = self._told, []
        for call, arguments in told:
            try:
                call(*arguments)
            except Exception:
                log.exception("a listener of the media failed")

    def _skip(self, missed: int) -> None:
        for plane in self.planes.values():
            for group in plane.voices.groups.values():
                group.jitter.skip(missed)

    def _receive(self) -> None:
        for batch in self.ports.drain():
            with self._faults.kept("batch"):
                events, new = self.receiver.run(batch, self.tick_number, self._addresses.find)
                for row in new:
                    self._addresses.heard(row)
                for event in events:
                    leg = self._legs.get(event.leg)
                    if leg is not None and leg.voice is not None:
                        leg.plane.voices.hush(leg.voice, self.tick_number + HUSH)
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
        self._told += [(player.tell, ()) for player in over]

    def _sync(self) -> None:
        """Bring the fan-outs in line with what touched legs are to hear."""
        self._addresses.write_names()
        touched, self._touched = self._touched, {}
        for row, leg in touched.items():
            with self._faults.kept("leg"):
                self._point(row, leg)
            self.reports.look_again(row)
            if leg.closed:
                del self._legs[row]
                self._noticed[row] = _LATER
                leg.port.legs -= 1
                self._rows.give(row)

    def _point(self, row: int, leg: Leg) -> None:
        """Have the leg's entry of the fan-out be what it is to hear; none when that cannot be had."""
        had = self._heard_from.get(row)
        wanted = self._wanted(leg)
        if had is not None and wanted is not None and had[0] is wanted[0] and had[2] == wanted[1]:
            return
        fanouts = leg.port.fanouts
        if wanted is None:
            fanouts.discard(row)
            self._release(row)
            return
        bank, key = wanted
        try:
            output = bank.acquire(*key, before=had[1] if had is not None and had[0] is bank else None)
        except OutOfRows:
            fanouts.discard(row)
            raise
        finally:
            self._release(row)
        self._heard_from[row] = bank, output, key
        fanouts.point(row, self._addresses.name(row), bank.beats(output), bank.iovs(output))

    def _release(self, row: int) -> None:
        """The leg gives back the output that it was sent."""
        had = self._heard_from.pop(row, None)
        if had is not None:
            had[0].release(had[1])

    def _drop_banks(self) -> None:
        """Banks that nobody hears go when there are many, for phones may ask for codecs with all kinds of parameters."""
        if len(self._banks) >= MOST_BANKS:
            self._banks = {key: bank for key, bank in self._banks.items() if bank.outputs}

    def _wanted(self, leg: Leg) -> tuple[Bank, tuple[int, int, int, int]] | None:
        """The output that the leg is to be sent; None: nothing (closed, on hold, or nobody knows where to)."""
        media: LegMedia | None = leg.media
        if leg.closed or media is None or not media.sends or leg.latched is None:
            return None
        plane = leg.plane
        bank = self._banks.get((media.codec, media.ptime, plane))
        if bank is None:
            self._drop_banks()
            bank = Bank(media.codec, media.ptime, plane, self._capacity, self.counters)
            self._banks[media.codec, media.ptime, plane] = bank
        return bank, (leg.source(), leg.timeline, media.payload_type, leg.listen_gain)

    def close(self) -> None:
        """Closes the ports; calls are over before."""
        self.reports.say_bye(self.ports, self._capacity)
        self.ports.close()
