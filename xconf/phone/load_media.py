"""The sound of thousands of callers: packets of all of them, sent in batches, a slice of the callers every 5 ms."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from twisted.internet.interfaces import IReactorTime

from xconf.media.catalogue import codec_of, formats
from xconf.media.codecs import Codec
from xconf.phone.audio import FULL_SCALE
from xconf.phone.load_heard import Heard
from xconf.phone.load_ports import (
    CONTROL,
    Address,
    Reader,
    address_number,
    open_ports,
    sending_address,
    source_number,
)
from xconf.phone.metronome import Metronome
from xconf.phone.negotiation import RATE
from xconf.rtp.fanout import MMSGHDR
from xconf.rtp.hosts import LENGTH, sockaddr
from xconf.rtp.packet import HEADER_SIZE
from xconf.rtp.ports import send_all

SLICES = 4
FRAME = 0.02  # s
TONES = 40
LEVEL = 10 ** (-18 / 20)  # of full scale, the peak of a tone
_MARKER = 0x80
_SETTLED = 25  # frames of a tone after which a codec that remembers has come to know it
_HEADER = np.dtype([("first", "u1"), ("second", "u1"), ("sequence", ">u2"), ("timestamp", ">u4"), ("ssrc", ">u4")])


@dataclass(slots=True, frozen=True)
class Sent:
    """Packets sent, that the system did not take, and frames left out because this program itself came too late."""

    packets: int
    refused: int
    left_out: int
    lateness_99: float  # s by which slices were sent late
    lateness_worst: float


class LoadMedia:
    """Callers 0..count-1, shared out over own addresses and ports. `start` and `stop` begin and end the sound of one.

    speaks: which callers have a tone (the others send silence); expects: which should hear something; sends: whether
    those that are silent send at all; measured: at least so many callers are listened to, of the others the packets
    are counted. Raises PhoneError when there are not enough ports.
    """

    def __init__(
        self,
        clock: IReactorTime,
        addresses: Sequence[str],
        count: int,
        codec: Codec,
        rng: np.random.Generator,
        *,
        speaks: npt.NDArray[np.bool_],
        expects: npt.NDArray[np.bool_],
        sends: bool = True,
        measured: int = 100,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.codec = codec
        self.addresses = tuple(addresses)
        self._step = codec.clock // 50
        self._share = share = len(addresses)
        port_count = -(-count // share)
        self.ports = open_ports(addresses, port_count, min(port_count, -(-measured // share)))
        rows = port_count * share
        self.heard = Heard(rows, codec, np.resize(expects, rows))
        self._monotonic = monotonic
        self._sends = np.resize(speaks, rows) | sends
        self._active = np.zeros(rows, bool)
        self._remotes = np.zeros(rows, np.uint64)
        self._build_packets(rows, np.resize(speaks, rows), rng)
        self._build_messages(rows)
        self._dense: list[npt.NDArray[np.void] | None] = [None] * port_count  # what each port sends; None: look anew
        self._address_rows = np.argsort([address_number(address) for address in addresses])
        self._address_numbers = np.array([address_number(a) for a in addresses], np.uint32)[self._address_rows]
        self._reader = Reader()
        self._packets = self._refused = self._left_out = self.stray = 0
        self._slot = -1
        self._began = 0.0
        self._lateness = np.zeros(1000, np.int64)  # slices by whole ms
        self._worst = 0.0
        self._call_seconds, self._counted = 0.0, monotonic()
        self._metronome = Metronome(clock, monotonic, FRAME / SLICES, self._beat)

    def _build_packets(self, rows: int, speaks: npt.NDArray[np.bool_], rng: np.random.Generator) -> None:
        """Each caller's packet: what he says is the same in every frame, the header goes on."""
        payloads = _payloads(self.codec)
        self._packet = np.zeros((rows, HEADER_SIZE + payloads.shape[1]), np.uint8)
        self._packet[:, HEADER_SIZE:] = payloads[np.where(speaks, 1 + np.arange(rows) % TONES, 0)]
        self._headers = self._packet[:, :HEADER_SIZE].view(_HEADER)[:, 0]
        self._headers["first"] = 0x80
        self._headers["ssrc"] = rng.integers(0, 1 << 32, rows)
        self._headers["sequence"] = rng.integers(0, 1 << 16, rows)
        self._offset = rng.integers(0, 1 << 32, rows)  # of timestamps

    def _build_messages(self, rows: int) -> None:
        row = np.arange(rows, dtype=np.uint64)
        width = self._packet.shape[1]
        self._names = np.zeros((rows, LENGTH), np.uint8)
        self._parts = np.zeros(rows, [("base", "u8"), ("length", "u8")])
        self._parts["base"] = self._packet.ctypes.data + row * np.uint64(width)
        self._parts["length"] = width
        self._messages = np.zeros(rows, MMSGHDR)
        self._messages["name"] = self._names.ctypes.data + row * np.uint64(LENGTH)
        self._messages["namelen"] = LENGTH
        self._messages["iov"] = self._parts.ctypes.data + row * np.uint64(16)
        self._messages["iovlen"] = 1
        if self._share > 1:
            control = b"".join(sending_address(address) for address in self.addresses)
            self._control = np.frombuffer(control, np.uint8)
            self._messages["control"] = self._control.ctypes.data + row % np.uint64(self._share) * np.uint64(CONTROL)
            self._messages["controllen"] = CONTROL

    # Callers

    def local(self, caller: int) -> Address:
        """Where a caller expects media."""
        port, address = divmod(caller, self._share)
        return self.addresses[address], self.ports[port].number

    def start(self, caller: int, remote: Address, payload_type: int, receive_payload_type: int) -> None:
        """Send to that address from the next frame on, and listen to what comes."""
        self._names[caller] = np.frombuffer(sockaddr(remote), np.uint8, LENGTH)
        self._remotes[caller] = source_number(remote)
        self._headers["second"][caller] = _MARKER | payload_type
        self._count()
        self._active[caller] = True
        self._dense[caller // self._share] = None
        if self.ports[caller // self._share].measured:
            self.heard.start(caller, receive_payload_type)

    def stop(self, caller: int) -> None:
        """Neither send nor listen any more."""
        self._count()
        self._active[caller] = False
        self._dense[caller // self._share] = None
        self.heard.stop(caller)

    def _count(self) -> None:
        """Bring `call_seconds` up to now, before the number of callers changes."""
        now = self._monotonic()
        self._call_seconds += (now - self._counted) * int(self._active.sum())
        self._counted = now

    # The beat

    def run(self) -> None:
        self._began = self._monotonic()
        self._metronome.start()

    def close(self) -> None:
        self._metronome.stop()
        for port in self.ports:
            port.close()
        self.ports = []

    def _beat(self, missed: int) -> None:
        self._slot += 1 + missed
        late = max(0.0, self._monotonic() - self._began - self._slot * FRAME / SLICES)
        self._lateness[min(int(late * 1000), len(self._lateness) - 1)] += 1
        self._worst = max(self._worst, late)
        self._left_out += missed * int((self._active & self._sends).sum()) // SLICES
        frame, part = divmod(self._slot, SLICES)
        count = len(self.ports)
        first, last = part * count // SLICES, (part + 1) * count // SLICES
        self._send(first, last, frame)
        if part == 0:
            self._listen()

    def _send(self, first: int, last: int, frame: int) -> None:
        """One frame of the callers of some ports."""
        rows = slice(first * self._share, last * self._share)
        headers = self._headers[rows]
        headers["sequence"] += 1
        headers["timestamp"] = (self._offset[rows] + frame * self._step) & 0xFFFFFFFF
        for index in range(first, last):
            messages = self._dense[index]
            if messages is None:
                messages = self._dense[index] = self._choose(index)
            if len(messages):
                refused = send_all(self.ports[index].rtp.fileno(), messages.ctypes.data, len(messages))
                self._packets += len(messages) - refused
                self._refused += refused
        sent = self._active[rows]
        headers["second"][sent] &= ~_MARKER & 0xFF

    def _choose(self, index: int) -> npt.NDArray[np.void]:
        rows = slice(index * self._share, (index + 1) * self._share)
        chosen: npt.NDArray[np.void] = self._messages[rows][self._active[rows] & self._sends[rows]]
        return chosen

    def _listen(self) -> None:
        """What has come to the measured callers since the last frame; the kernel has noted when."""
        ports = [(index, port) for index, port in enumerate(self.ports) if port.measured]
        for batch in self._reader.read(ports):
            address, ours = self._address_of(batch.local)
            callers = batch.port * self._share + address
            known = ours & (batch.source == self._remotes[callers])
            self.stray += int((ours & ~known & self._active[callers]).sum())
            if known.all():
                self.heard.take(callers, batch.data, batch.lengths, batch.at)
            else:
                self.heard.take(callers[known], batch.data[known], batch.lengths[known], batch.at[known])

    def _address_of(self, local: npt.NDArray[np.uint32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Which of our addresses datagrams came to, and whether it is one at all: the sockets take all of the machine's."""
        if self._share == 1:
            return np.zeros(len(local), np.int64), np.ones(len(local), bool)
        at = np.minimum(np.searchsorted(self._address_numbers, local), self._share - 1)
        return self._address_rows[at], self._address_numbers[at] == local

    # Numbers

    @property
    def call_seconds(self) -> float:
        """Seconds from `start` to `stop` of all callers together, until now."""
        self._count()
        return self._call_seconds

    @property
    def arrived(self) -> int:
        """Packets that have arrived for all callers, measured or not."""
        return self.heard.received() + self.stray + sum(port.dropped() for port in self.ports)

    @property
    def overflowed(self) -> int:
        """Of the packets to measured callers, those for which this program had no room."""
        return sum(port.dropped() for port in self.ports if port.measured)

    @property
    def sent(self) -> Sent:
        share = np.cumsum(self._lateness) / max(1, self._lateness.sum())
        high = float(np.searchsorted(share, 0.99)) / 1000
        return Sent(self._packets, self._refused, self._left_out, high, self._worst)


def _payloads(codec: Codec) -> npt.NDArray[np.uint8]:
    """Silence, then tones of which whole periods fit a frame, so that a caller's payload never changes."""
    moments = np.arange(codec.rate // 50) / codec.rate
    tones = np.sin(2 * np.pi * (300 + 50 * np.arange(TONES)[:, None]) * moments) * LEVEL * FULL_SCALE
    samples = np.rint(np.concatenate([np.zeros((1, len(moments))), tones])).astype(np.int16)
    encoder, rows = codec.encoder(), np.arange(len(samples))
    for _ in range(_SETTLED):
        payloads, lengths = encoder.encode(rows, samples)
    return payloads if lengths is None else payloads[:, : int(lengths.max())]


def codec_named(name: str) -> Codec:
    """The codec of a caller, whose packets are all of one length."""
    (format,) = formats((name,), RATE, 1)
    return codec_of(replace(format, fmtp="cbr=1"), RATE, 1)
