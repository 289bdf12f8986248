"""From payloads to the rings of voices: whole matrices at a time where each octet stands for itself, else packet by packet."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.media.codecs import Codec, Packet, SampleCodec, Samples
from xconf.media.passing import LOST, Passed
from xconf.media.voices import VoiceGroup
from xconf.rtp.batch import Batch
from xconf.rtp.jitter import DROPPED
from xconf.rtp.packet import Headers, distance

Ints = npt.NDArray[np.int64]
SHORTEST_PACKET = 0.005  # s of sound
PACKETS_PER_VOICE, PACKETS_PER_BATCH = 32, 1024  # that are decoded one by one: the newest ones


@dataclass(slots=True)
class _Decoded:
    """A stretch of a voice's sound, and how long the packet that it is of had waited."""

    voice: int
    timestamp: int
    sound: Samples
    age: float
    passed: Passed | None = None  # what is to be passed on of it, if anything


class Kind:
    """The voices of one group that send one codec."""

    def __init__(self, group: VoiceGroup, codec: Codec, counters: Counter[str]) -> None:
        self.group = group
        self.codec = codec
        self._decoder = codec.decoder()
        self._counters = counters

    @property
    def ordered(self) -> bool:
        """Its packets are to be decoded one after the other."""
        return self._decoder is not None

    def drop(self, voice: int) -> None:
        """The voice is gone, or another source."""
        if self._decoder is not None:
            self._decoder.drop(voice)

    def new_source(self, voices: Ints) -> None:
        """What comes next is of another time line."""
        self.group.jitter.new_source(voices)
        for voice in voices.tolist():
            self.drop(voice)

    def store(self, voice: Ints, timestamp: Ints, payload: npt.NDArray[np.uint8], age: npt.NDArray[np.float64]) -> None:
        """Packets of one length, uint8[n, octets], in any order."""
        assert isinstance(self.codec, SampleCodec)
        samples, rest = divmod(payload.shape[1], self.codec.octets)
        if rest or samples % self.codec.channels or not self._fits(samples):
            self._counters["odd_length"] += len(payload)
            return
        self.group.jitter.insert(voice, timestamp, self.codec.decode(payload), age)

    def _fits(self, samples: int) -> bool:
        jitter = self.group.jitter
        return jitter.rate * SHORTEST_PACKET <= samples <= jitter.longest

    def store_ordered(self, batch: Batch, head: Headers, voice: Ints, rows: Ints) -> None:
        """Those rows of a batch, each with its voice. Who is muted is not decoded."""
        loud = ~self.group.mute[voice]
        sent: dict[int, list[tuple[int, int]]] = {}  # voice -> (sequence number, row of the batch) of its packets
        for one, sequence, at in zip(
            voice[loud].tolist(), head.sequence[rows[loud]].tolist(), rows[loud].tolist(), strict=True
        ):
            sent.setdefault(one, []).append((sequence, at))
        decoded: list[_Decoded] = []
        for one, packets in sent.items():
            for at in self._in_order(one, packets):
                if len(decoded) >= PACKETS_PER_BATCH:
                    self._counters["not_decoded"] += 1
                else:
                    decoded += self._decode(batch, head, one, at)
        for length in {len(each.sound) for each in decoded}:
            self._insert([each for each in decoded if len(each.sound) == length])

    def _in_order(self, voice: int, packets: list[tuple[int, int]]) -> list[int]:
        """The rows of a voice's newest packets, by their numbers."""
        if len(packets) > 1:
            assert self._decoder is not None
            last = self._decoder.last(voice)
            base = packets[0][0] if last is None else last
            packets.sort(key=lambda packet: distance(packet[0], base, 16))
            self._counters["not_decoded"] += max(0, len(packets) - PACKETS_PER_VOICE)
        return [at for _, at in packets[-PACKETS_PER_VOICE:]]

    def _decode(self, batch: Batch, head: Headers, voice: int, at: int) -> list[_Decoded]:
        assert self._decoder is not None
        start = int(head.payload_offset[at])
        payload = batch.data[at, start : start + int(head.payload_length[at])].tobytes()
        packet = Packet(int(head.sequence[at]), int(head.timestamp[at]), payload)
        try:
            stretches = self._decoder.decode(voice, packet)
        except ValueError:
            self._counters["malformed_payload"] += 1
            return []
        self._counters["recovered"] += max(0, len(stretches) - 1)
        age = float(batch.age[at])
        decoded = [_Decoded(voice, timestamp, sound, age) for timestamp, sound in stretches if self._fits(len(sound))]
        if self.group.passes(voice):
            for each in decoded:
                itself = each.timestamp == packet.timestamp
                if len(each.sound) == self.group.jitter.frame:
                    each.passed = Passed(self.codec.name, payload) if itself else LOST
        return decoded

    def _insert(self, decoded: list[_Decoded]) -> None:
        """Stretches of one length."""
        places = self.group.jitter.insert(
            np.array([each.voice for each in decoded], np.int64),
            np.array([each.timestamp for each in decoded], np.int64),
            np.stack([each.sound for each in decoded]),
            np.array([each.age for each in decoded]),
        )
        for each, place in zip(decoded, places.tolist(), strict=True):
            if each.passed is not None and place != DROPPED:
                self.group.keep(each.voice, place, each.passed)
