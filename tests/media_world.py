"""An engine, its conference and its phones: phones are sockets on the loopback, time is the tick's."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import numpy as np

from xconf.media.codecs import PCMU, Codec, Encoder, Packet, SampleCodec
from xconf.media.engine import Engine
from xconf.media.leg import Leg, LegMedia
from xconf.media.mix import Mix
from xconf.rtp.batch import Batch
from xconf.rtp.ports import MediaPorts
from xconf.rtp.telephone_event import event_packets

EVENTS = 101
HOST, HOST_SIX = "127.0.0.1", "::1"


class Wire:
    """A phone as the engine sees it: a UDP socket that sends and keeps RTP packets."""

    def __init__(self, leg: Leg, codec: Codec = PCMU, payload_type: int = 0, host: str = HOST) -> None:
        self.leg, self.codec, self.payload_type, self.host = leg, codec, payload_type, host
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.address: tuple[str, int] = self.socket.getsockname()[:2]
        self.sequence, self.timestamp, self.ssrc = 1000, 5_000_000, 77
        self.packets: list[bytes] = []
        self._encoders: dict[Codec, Encoder] = {}

    def media(self, **kwargs: bool | int) -> LegMedia:
        address = self.address
        return LegMedia(
            self.codec, self.payload_type, self.payload_type, EVENTS, address, (address[0], address[1] + 1), **kwargs
        )

    def raw(self, payload_type: int, timestamp: int, payload: bytes, marker: bool = False) -> None:
        head = struct.pack(
            "!BBHII", 0x80, marker << 7 | payload_type, self.sequence & 0xFFFF, timestamp & 0xFFFFFFFF, self.ssrc
        )
        self.socket.sendto(head + payload, (self.host, self.leg.local_port))
        self.sequence += 1

    def speak(self, samples: np.ndarray) -> None:
        """One packet. samples: of all channels together."""
        self.raw(self.payload_type, self.timestamp, self._encode(samples))
        self.timestamp += self._steps(len(samples))

    def lose(self, samples: np.ndarray) -> None:
        """A packet that is lost on its way."""
        self._encode(samples)
        self.skip(len(samples))

    def _encode(self, samples: np.ndarray) -> bytes:
        if self.codec not in self._encoders:
            self._encoders[self.codec] = self.codec.encoder()
        payloads, lengths = self._encoders[self.codec].encode(np.zeros(1, np.int64), samples[None])
        return payloads[0, : None if lengths is None else lengths[0]].tobytes()

    def _steps(self, samples: int) -> int:
        """Of the RTP time line."""
        return samples // self.codec.channels * self.codec.clock // self.codec.rate

    def skip(self, samples: int) -> None:
        """A packet that is never sent."""
        self.sequence += 1
        self.timestamp += self._steps(samples)

    def press(self, digit: str) -> None:
        """All packets of a key, at once."""
        for packet in event_packets(digit, 800):
            self.raw(EVENTS, self.timestamp + packet.offset, packet.payload, packet.marker)

    def receive(self) -> None:
        while True:
            try:
                packet = self.socket.recv(4096)
            except BlockingIOError:
                return
            if not 192 <= packet[1] < 224:  # a neighbour's RTCP, whose port is the next after his RTP's
                self.packets.append(packet)

    def heard(self, last: int = 0) -> np.ndarray:
        """What the phone has heard, int16, of all packets or the last ones."""
        if isinstance(self.codec, SampleCodec):
            payload = b"".join(packet[12:] for packet in self.packets[-last:])
            return self.codec.decode(np.frombuffer(payload, np.uint8)[None])[0]
        decoder = self.codec.decoder()
        heads = [struct.unpack("!HHII", packet[:12]) for packet in self.packets]
        stretches = [
            decoder.decode(0, Packet(head[1], head[2], packet[12:]))
            for head, packet in zip(heads, self.packets, strict=True)
        ]
        return np.concatenate([sound for part in stretches[-last:] for _, sound in part])


def level(wave: np.ndarray, frequency: float, rate: int = 8000) -> float:
    """Amplitude of a tone in a wave."""
    window = np.hanning(len(wave))
    turn = np.exp(-2j * np.pi * frequency * np.arange(len(wave)) / rate)
    return float(2 * abs((wave * window * turn).sum()) / window.sum())


class VirtualPorts(MediaPorts):
    """Time is the tick's: what arrives came just now, also where the machine stood still meanwhile."""

    def drain(self) -> Iterator[Batch]:
        for batch in super().drain():
            batch.age[:] = 0.0
            yield batch


class Room:
    """An engine with one conference and its phones."""

    def __init__(self, rate: int = 8000, capacity: int = 256, channels: int = 1) -> None:
        self.engine = Engine(VirtualPorts(HOST, 20000, 20999, six=HOST_SIX), capacity, np.random.default_rng(1))
        self.mix: Mix = self.engine.create_mix(rate, channels)
        self.phones: list[Wire] = []
        self.ticks = 0

    def phone(
        self,
        *,
        speaker: bool = True,
        codec: Codec = PCMU,
        payload_type: int = 0,
        at: Mix | None = None,
        ptime: int = 20,
        host: str = HOST,
        addressed: bool = True,
    ) -> Wire:
        leg = self.engine.create_leg(at or self.mix, None, host)
        wire = Wire(leg, codec, payload_type, host)
        leg.set_media(wire.media(ptime=ptime), host=host, addressed=addressed)
        leg.attach(at or self.mix)
        leg.speaker = speaker
        self.phones.append(wire)
        return wire

    def tick(self, missed: int = 0) -> None:
        self.engine.tick(missed, 1e9 + self.ticks * 0.02)
        self.engine.ports.settle()
        self.engine.deliver()
        self.ticks += 1 + missed
        for phone in self.phones:
            phone.receive()

    def quiet(self, ticks: int) -> None:
        """Ticks at which nobody sends."""
        for _ in range(ticks):
            self.tick()

    def talk(self, tones: dict[Wire, float], ticks: int, amplitude: float = 8000.0) -> None:
        """Each phone speaks its tone for so many ticks."""
        for _ in range(ticks):
            for phone, frequency in tones.items():
                rate = phone.codec.rate
                time = (self.ticks * rate // 50 + np.arange(rate // 50)) / rate
                wave = (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.int16)
                phone.speak(np.repeat(wave, phone.codec.channels))
            self.tick()

    def close(self) -> None:
        for phone in self.phones:
            phone.leg.close()
            phone.socket.close()
        self.tick_quietly()
        self.mix.close()
        sizes = self.engine.sizes()
        self.engine.close()
        assert not any(sizes.values()), sizes

    def tick_quietly(self) -> None:
        self.engine.tick(0, 1e9)
        self.engine.ports.settle()
