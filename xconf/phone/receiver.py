"""What arrives at the phone's RTP port: sound into the recording and the level meter, keys, statistics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xconf.media.codecs import Codec, Packet, SampleCodec, Stretch
from xconf.phone.audio import LevelMeter, Recorder
from xconf.rtp.packet import RtpError, RtpPacket
from xconf.rtp.rtcp import ReportBlock
from xconf.rtp.statistics import SourceStatistics
from xconf.rtp.telephone_event import EventReceiver

Arrival = Callable[[float, RtpPacket], None]


def _ignore(*_: object) -> None:
    pass


@dataclass(slots=True)
class Totals:
    """Of all sources of a call. `jitter` is that of the last one, in seconds."""

    received: int = 0
    lost: int = 0
    jitter: float = 0.0
    sources: int = 0


class Receiver:
    """Takes datagrams, never raises. `payload_type` and `event_type` are what the session description agreed on."""

    def __init__(self, codec: Codec, recorder: Recorder | None) -> None:
        self.payload_type = 0
        self.event_type: int | None = None
        self.level = LevelMeter()
        self.malformed = 0
        """Datagrams that were no RTP, or sound that is no whole number of samples."""
        self.unwanted = 0
        """Packets of a payload type that was not agreed on."""
        self.on_sound: Callable[[float], None] = _ignore
        """Called once, with the arrival of the first packet in which there is something to hear."""
        self.on_digit: Callable[[str], None] = _ignore
        self.on_arrival: Arrival = _ignore
        self._codec = codec
        self._decoder = codec.decoder()
        self._recorder = recorder
        self._source: SourceStatistics | None = None
        self._events = EventReceiver()
        self._before = Totals()

    def datagram(self, data: bytes, now: float) -> None:
        """Take what arrived at `now` (monotonic seconds)."""
        try:
            packet = RtpPacket.parse(data)
        except RtpError:
            self.malformed += 1
            return
        self.on_arrival(now, packet)
        if packet.payload_type == self.payload_type:
            self._of(packet.ssrc).packet(packet.sequence, now, packet.timestamp)
            self._sound(packet, now)
        elif packet.payload_type == self.event_type:
            self._of(packet.ssrc).packet(packet.sequence, now)
            self._key(packet)
        else:
            self.unwanted += 1

    def _sound(self, packet: RtpPacket, now: float) -> None:
        try:
            stretches = self._decode(packet)
        except ValueError:
            self.malformed += 1
            return
        for timestamp, samples in stretches:
            if self._recorder is not None:
                self._recorder.place(packet.ssrc, timestamp, samples, now)
            if self.level.frame(samples) and self.level.sounding == 1:
                self.on_sound(now)

    def _decode(self, packet: RtpPacket) -> list[Stretch]:
        """Raises ValueError."""
        if self._decoder is not None:
            return self._decoder.decode(0, Packet(packet.sequence, packet.timestamp, packet.payload))
        assert isinstance(self._codec, SampleCodec)
        if len(packet.payload) % self._codec.octets:
            raise ValueError("no whole number of samples")
        return [(packet.timestamp, self._codec.decode(np.frombuffer(packet.payload, np.uint8)))]

    def _key(self, packet: RtpPacket) -> None:
        digit = self._events.feed(packet.timestamp, packet.marker, packet.payload)
        if digit is not None:
            self.on_digit(digit)

    def _of(self, ssrc: int) -> SourceStatistics:
        """The statistics of that source, which is another one when the SSRC has changed."""
        if self._source is None or self._source.ssrc != ssrc:
            self._before = self.totals()
            self._source = SourceStatistics(ssrc, self._codec.clock)
            self._events = EventReceiver()
            if self._decoder is not None:
                self._decoder.drop(0)
        return self._source

    @property
    def source(self) -> SourceStatistics | None:
        """The source that is heard now."""
        return self._source

    def totals(self) -> Totals:
        """All sources together."""
        before, source = self._before, self._source
        if source is None:
            return before
        jitter = source.jitter / source.clock_rate
        lost = before.lost + max(source.lost, 0)
        return Totals(before.received + source.received, lost, jitter, before.sources + 1)

    def reports(self, now: float) -> tuple[ReportBlock, ...]:
        """The report block for the source that is heard now."""
        return (self._source.report(now),) if self._source is not None else ()
