"""What the sound between nodes may be written as beside plain samples: Opus, where the configuration asks for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xconf.cluster.conferences import Coder, Decoder
from xconf.media.codecs import CodecMissing, Packet
from xconf.media.opus import CLOCK, Opus

Samples = npt.NDArray[np.int16]

BITRATES = {8000: 32_000, 16000: 48_000, 48000: 96_000}  # bit/s of one channel, by the conference's rate
LONG_SILENCE = 1000  # ticks after which nothing is made up for, and the packets' numbers may have gone round
_ROW = np.zeros(1, np.int64)
_TICK = CLOCK // 50  # of the time line of Opus


class OpusCoder:
    """One conference's."""

    def __init__(self, rate: int, channels: int) -> None:
        self._encoder = Opus(
            rate=rate, channels=channels, decoded=channels, bitrate=BITRATES[rate] * channels
        ).encoder()

    def encode(self, frame: Samples) -> bytes:
        payloads, lengths = self._encoder.encode(_ROW, frame[None])
        assert lengths is not None
        return payloads[0, : lengths[0]].tobytes()


class OpusDecoder:
    """One stream's."""

    def __init__(self, rate: int, channels: int) -> None:
        self._decoder = Opus(rate=rate, channels=channels, decoded=channels).decoder()
        self._newest = -1

    def decode(self, tick: int, payload: bytes) -> list[tuple[int, Samples]]:
        if tick > self._newest + LONG_SILENCE:
            self._decoder.drop(0)
        packet = Packet(tick & 0xFFFF, tick * _TICK & 0xFFFFFFFF, payload)
        self._newest = max(self._newest, tick)
        stretches = self._decoder.decode(0, packet)
        frames = []
        for timestamp, samples in stretches:
            back = (tick * _TICK - timestamp & 0xFFFFFFFF) // _TICK
            frames.append((tick - back, samples))
        return frames


class Plain:
    """Samples out; of others, Opus too where there is a library for it."""

    def coder(self, rate: int, channels: int) -> Coder | None:
        return None

    def decoder(self, rate: int, channels: int) -> Decoder | None:
        try:
            return OpusDecoder(rate, channels) if rate in BITRATES else None
        except CodecMissing:
            return None


class Compressed(Plain):
    """Opus out. Conferences of 32000 Hz, which Opus has not, go as samples."""

    def coder(self, rate: int, channels: int) -> Coder | None:
        return OpusCoder(rate, channels) if rate in BITRATES else None
