"""Opus (RFC 6716) in RTP (RFC 7587), by libopus through the package `opuslib-next`.

libopus takes and gives sound at the conference's own rate, except 32 kHz. Its calls take 30 us (decode) to 300 us (encode)
for 20 ms and release the interpreter, so that many outputs are encoded by as many threads as there are processors.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from xconf.media.codecs import Codec, CodecMissing, Ints, Octets, Packet, Samples, Stretch
from xconf.rtp.packet import distance

CLOCK = 48000
RATES = {8000: 8000, 16000: 16000, 32000: 48000, 48000: 48000}  # of a conference -> of the sound that libopus takes
ROOM = 1275  # octets of a frame at most (RFC 6716, section 3.2.1), and of a packet of ours
COMPLEXITY = 5
EXPECTED_LOSS = 10  # percent, for which redundant data is sent to who can use it
RECOVERED = 3  # packets lost in a row that are made up for
LONGEST = 120  # ms of a packet
ALONE = 4  # outputs that the tick's own thread encodes; waking another one would cost more
BANDWIDTHS = {8000: 1101, 12000: 1102, 16000: 1103, 24000: 1104, 48000: 1105}  # OPUS_BANDWIDTH_…


@functools.cache
def _library() -> Any:
    """The package, whose `api` has the functions of libopus."""
    try:
        for name in ("encoder", "decoder", "ctl"):
            importlib.import_module(f"opuslib_next.api.{name}")
        return importlib.import_module("opuslib_next")
    except ImportError:
        raise CodecMissing("opus needs the package opuslib-next: pip install 'xconf[opus]'") from None
    except Exception:  # what the package raises where it finds no libopus
        raise CodecMissing("opus needs the library libopus: apt-get install libopus0 (or dnf install opus)") from None


@functools.cache
def _function(name: str, *arguments: Any) -> Callable[..., int]:
    """A function of libopus that takes addresses as numbers."""
    function = _library().api.libopus[name]
    function.argtypes = arguments
    function.restype = ctypes.c_int32
    return function  # type: ignore[no-any-return]


def _encode() -> Callable[..., int]:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    return _function("opus_encode", pointer, pointer, number, pointer, ctypes.c_int32)


def _decode() -> Callable[..., int]:
    pointer, number = ctypes.c_void_p, ctypes.c_int
    return _function("opus_decode", pointer, ctypes.c_char_p, ctypes.c_int32, pointer, number, number)


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 1) - 1), thread_name_prefix="opus")


@dataclass(frozen=True, slots=True)
class Opus(Codec):
    """Raises CodecMissing where there is no library for it.

    channels: that are encoded; decoded: channels that are decoded to, whatever is sent. bitrate: bit/s; bandwidth: Hz, the
    most that the listener plays; fec: data is sent from which a lost packet can be had; dtx: silence needs no packets (what is
    silence is known from the mix: libopus takes a steady tone for it);
    constant: bit rate.
    """

    name: str = "opus"
    clock: int = CLOCK
    rate: int = 48000
    channels: int = 1
    decoded: int = 1
    bitrate: int = 40000
    bandwidth: int = 48000
    fec: bool = True
    dtx: bool = False
    constant: bool = False

    def __post_init__(self) -> None:
        _library()

    @property
    def pauses(self) -> bool:
        return self.dtx

    @property
    def heard(self) -> tuple[int, int, int]:
        return self.rate, self.clock, self.decoded

    def room(self, milliseconds: int) -> int:
        return ROOM

    def typical(self, milliseconds: int) -> int:
        return self.bitrate * milliseconds // 8000

    def encoder(self) -> OpusEncoder:
        return OpusEncoder(self)

    def decoder(self) -> OpusDecoder:
        return OpusDecoder(self.rate, self.decoded)


class OpusEncoder:
    """libopus keeps 20 to 40 KB for each output."""

    def __init__(self, codec: Opus) -> None:
        self._codec = codec
        self._states: dict[int, _State] = {}

    def encode(self, rows: Ints, samples: Samples) -> tuple[Octets, Ints | None]:
        samples = np.ascontiguousarray(samples)
        payloads = np.empty((len(rows), ROOM), np.uint8)
        states = [self._state(row) for row in rows.tolist()]
        share = -(-len(states) // (_pool()._max_workers + 1)) if len(states) > ALONE else len(states)
        parts = [range(first, min(first + share, len(states))) for first in range(0, len(states), share)]
        elsewhere = [_pool().submit(self._run, part, states, samples, payloads) for part in parts[1:]]
        lengths = self._run(parts[0], states, samples, payloads) if parts else []
        for future in elsewhere:
            lengths += future.result()
        return payloads, np.array(lengths, np.int64)

    def _run(self, part: range, states: Sequence[_State], samples: Samples, payloads: Octets) -> list[int]:
        """Lengths of the payloads of some rows."""
        encode, count = _encode(), samples.shape[1] // self._codec.channels
        source, step = samples.ctypes.data, samples.shape[1] * samples.itemsize
        target = payloads.ctypes.data
        return [max(0, encode(states[at].address, source + at * step, count, target + at * ROOM, ROOM)) for at in part]

    def _state(self, row: int) -> _State:
        if row not in self._states:
            self._states[row] = _encoder_state(self._codec)
        return self._states[row]

    def follow(self, row: int, before: int) -> None:
        if (
            before in self._states
        ):  # "an encoder's state is one block of memory" (opus.h): a copy is an encoder that goes on
            self._state(row).copy(self._states[before])

    def drop(self, row: int) -> None:
        self._states.pop(row, None)


class _State:
    """The state of an encoder or decoder of libopus: plain memory."""

    def __init__(self, octets: int) -> None:
        self.memory = ctypes.create_string_buffer(octets)
        self.address = ctypes.addressof(self.memory)

    def copy(self, other: _State) -> None:
        ctypes.memmove(self.memory, other.memory, len(self.memory))


def _encoder_state(codec: Opus) -> _State:
    library = _library()
    constants, ctl = library.constants, library.api.ctl
    state = _State(_function("opus_encoder_get_size", ctypes.c_int)(codec.channels))
    initialise = _function("opus_encoder_init", ctypes.c_void_p, ctypes.c_int32, ctypes.c_int, ctypes.c_int)
    if initialise(state.address, codec.rate, codec.channels, constants.APPLICATION_VOIP) != constants.OK:
        raise ValueError(f"libopus takes no {codec.rate} Hz with {codec.channels} channels")
    pointer = ctypes.cast(state.address, library.api.encoder.EncoderPointer)
    for setting, value in (
        (ctl.set_complexity, COMPLEXITY),
        (ctl.set_bitrate, codec.bitrate),
        (ctl.set_max_bandwidth, BANDWIDTHS[codec.bandwidth]),
        (ctl.set_inband_fec, int(codec.fec)),
        (ctl.set_packet_loss_perc, EXPECTED_LOSS if codec.fec else 0),
        (ctl.set_vbr, int(not codec.constant)),
    ):
        library.api.encoder.encoder_ctl(pointer, setting, value)
    return state


@dataclass(slots=True)
class _Heard:
    """What is known of a voice."""

    state: _State
    sequence: int
    timestamp: int
    step: int = 0  # length of its last packet, on its time line


class OpusDecoder:
    """To any rate and number of channels, whatever was encoded."""

    def __init__(self, rate: int, channels: int) -> None:
        self._rate, self._channels = rate, channels
        self._voices: dict[int, _Heard] = {}
        self._sound = np.zeros(rate * LONGEST // 1000 * channels, np.int16)
        self.recovered = 0

    def decode(self, voice: int, packet: Packet) -> list[Stretch]:
        heard = self._voices.get(voice)
        if heard is None:
            heard = self._voices[voice] = _Heard(self._new_state(), packet.sequence - 1 & 0xFFFF, packet.timestamp)
        ahead = distance(packet.sequence, heard.sequence, 16)
        if ahead <= 0:
            return []  # there already, or made up for
        stretches = self._recover(heard, packet, ahead - 1)
        sound = self._run(heard, packet.payload, LONGEST * self._rate // 1000, fec=False)
        heard.sequence, heard.timestamp = packet.sequence, packet.timestamp
        heard.step = len(sound) // self._channels * CLOCK // self._rate
        stretches.append((packet.timestamp, sound))
        return stretches

    def _recover(self, heard: _Heard, packet: Packet, lost: int) -> list[Stretch]:
        """What was lost before a packet: the last one from the data that the packet brings for that, others made up."""
        if not 0 < lost <= RECOVERED or not heard.step:
            return []
        start = heard.timestamp + heard.step
        length = distance(packet.timestamp, start & 0xFFFFFFFF, 32) // lost
        samples = length * self._rate // CLOCK
        if length <= 0 or samples > LONGEST * self._rate // 1000 or samples * 400 % self._rate:
            return []  # libopus fills whole multiples of 2.5 ms
        made: list[Stretch] = []
        for number in range(lost):
            last = number == lost - 1
            sound = self._run(heard, packet.payload if last else None, samples, fec=last)
            made.append((start + number * length & 0xFFFFFFFF, sound))
        self.recovered += lost
        return made

    def _run(self, heard: _Heard, payload: bytes | None, samples: int, *, fec: bool) -> Samples:
        """The sound of a payload, or with `fec` of the one before it; None: of one that is lost."""
        count = _decode()(heard.state.address, payload, len(payload or b""), self._sound.ctypes.data, samples, int(fec))
        if count < 0:
            raise ValueError(f"libopus refuses a packet ({count})")
        return self._sound[: count * self._channels].copy()

    def _new_state(self) -> _State:
        library = _library()
        state = _State(_function("opus_decoder_get_size", ctypes.c_int)(self._channels))
        initialise = _function("opus_decoder_init", ctypes.c_void_p, ctypes.c_int32, ctypes.c_int)
        if initialise(state.address, self._rate, self._channels) != library.constants.OK:
            raise ValueError(f"libopus gives no {self._rate} Hz with {self._channels} channels")
        return state

    def last(self, voice: int) -> int | None:
        heard = self._voices.get(voice)
        return heard.sequence if heard else None

    def drop(self, voice: int) -> None:
        self._voices.pop(voice, None)
