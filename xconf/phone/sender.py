"""The phone's own RTP stream, one packet every 20 ms: sound, or the key that is pressed."""

from __future__ import annotations

import random
from collections import deque

import numpy as np

from xconf.media.codecs import Codec
from xconf.media.sources import Samples, Sound
from xconf.phone.audio import frame_or_silence
from xconf.rtp.packet import RtpPacket
from xconf.rtp.rtcp import ReportBlock, SenderReport, ntp_time
from xconf.rtp.telephone_event import END_PACKETS, EventPacket, event_packets

KEY_HELD = 0.1  # s
KEY_PAUSE = 0.1  # s between two keys
_ONE = np.zeros(1, np.int64)  # the row of the only output


class Sender:
    """What to send at each tick of 20 ms. The time line goes on while nothing is sent, as RFC 3550 wants (5.1)."""

    def __init__(self, codec: Codec, sound: Sound, rng: random.Random) -> None:
        self.ssrc = rng.getrandbits(32)
        self.packets = 0
        self.octets = 0
        self.payload_type = 0
        self.event_type: int | None = None
        """Payload type of telephone-events, None when the other side takes none."""
        self.active = False
        """Whether the call's direction lets us send now."""
        self._codec = codec
        self._sound = sound
        self._encoder = codec.encoder()
        self._step = codec.clock // 50
        self._sequence = rng.getrandbits(16)
        self._timestamp = rng.getrandbits(32)
        self._talkspurt = True
        self._keys: deque[EventPacket | None] = deque()  # one entry a tick; None is the pause behind a key
        self._key_started = 0

    def press(self, digit: str) -> None:
        """Send a digit as a telephone-event as soon as those before it are through. Raises EventError."""
        duration = round(KEY_HELD * self._codec.clock)
        self._keys.extend(event_packets(digit, duration, step=self._step))
        self._keys.extend([None] * (round(KEY_PAUSE * 50) - (END_PACKETS - 1)))

    def tick(self) -> bytes | None:
        """The datagram of the next 20 ms; None while sending is not wanted."""
        frame = frame_or_silence(self._sound, self._codec.rate)
        key = self._keys.popleft() if self._keys else None
        if key is not None and key.marker:
            self._key_started = self._timestamp
        datagram = None
        if self.active:
            datagram = self._key(key) if key and self.event_type is not None else self._voice(frame)
        else:
            self._talkspurt = True
        self._timestamp = (self._timestamp + self._step) & 0xFFFFFFFF
        return datagram

    def skip(self, ticks: int) -> None:
        """Let the time line run over ticks that were missed."""
        self._timestamp = (self._timestamp + ticks * self._step) & 0xFFFFFFFF

    def _voice(self, frame: Samples) -> bytes:
        payloads, lengths = self._encoder.encode(_ONE, frame[None])
        payload = payloads[0, : None if lengths is None else lengths[0]].tobytes()
        marker, self._talkspurt = self._talkspurt, False
        return self._packet(self.payload_type, self._timestamp, payload, marker)

    def _key(self, key: EventPacket) -> bytes:
        assert self.event_type is not None
        return self._packet(self.event_type, self._key_started + key.offset, key.payload, key.marker)

    def _packet(self, payload_type: int, timestamp: int, payload: bytes, marker: bool) -> bytes:
        packet = RtpPacket(payload_type, self._sequence, timestamp & 0xFFFFFFFF, self.ssrc, payload, marker)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets += 1
        self.octets += len(payload)
        return packet.serialize()

    def report(self, wall: float, blocks: tuple[ReportBlock, ...]) -> SenderReport:
        """What was sent until now, a time of day (seconds since 1970), and what was received."""
        octets, packets = self.octets & 0xFFFFFFFF, self.packets & 0xFFFFFFFF
        return SenderReport(self.ssrc, ntp_time(wall), self._timestamp, packets, octets, blocks)
