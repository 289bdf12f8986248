"""Media sockets for thousands of callers: one pair of UDP sockets serves as many callers as there are own addresses.

A server knows a caller by his address and port. So callers differ in one of both: a socket bound to no address sends from any
address of this machine (IP_PKTINFO, ip(7)), and one sendmmsg(2) sends for all callers of a port.
"""

from __future__ import annotations

import errno
import resource
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.phone.session import PhoneError
from xconf.rtp.batch import BATCH, recvmmsg
from xconf.rtp.fanout import MMSGHDR
from xconf.rtp.ports import open_socket, set_filter

PAIRS = range(20_000, 32_000, 2)  # even ports of RTP; below those that systems give to outgoing connections
BUFFER = 4 << 20  # octets
CONTROL = 32  # octets of a control message that names the sender's address
SPARE_FILES = 256  # descriptors for all else
_ROOM = 4096  # datagrams read at a time
_WIDTH = 1024  # octets kept of a datagram
_ANCILLARY = 96
_SO_MEMINFO, _DROPS, _IP_PKTINFO = 55, 8, 8
_DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)  # BPF: return 0

Address = tuple[str, int]


@dataclass(slots=True)
class Port:
    """An RTP socket and the RTCP socket beside it. What arrives at one that is not `measured` is only counted, by the kernel."""

    number: int
    rtp: socket.socket
    rtcp: socket.socket
    measured: bool

    def dropped(self) -> int:
        """Datagrams that arrived and were dropped: all of them, or those of a measured port that found no room."""
        (drops,) = struct.unpack_from("I", self.rtp.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 36), 4 * _DROPS)
        return int(drops)

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


@dataclass(slots=True)
class Arrivals:
    """Datagrams of some ports; views that the next reading overwrites.

    port: int64[n], index of the port; data: uint8[n, width]; lengths: int64[n]; source: uint64[n], see `source_number`;
    local: uint32[n], see `address_number`, 0 where there is one address only; at: float64[n], s on the monotonic clock.
    """

    port: npt.NDArray[np.int64]
    data: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    source: npt.NDArray[np.uint64]
    local: npt.NDArray[np.uint32]
    at: npt.NDArray[np.float64]


def address_number(address: str) -> int:
    """An IPv4 address as the kernel has it in memory, read as a number."""
    return int.from_bytes(socket.inet_aton(address), "little")


def source_number(address: Address) -> int:
    """What `Arrivals.source` says of packets from there: port and address as they lie in a sockaddr_in."""
    return int.from_bytes(struct.pack("!H", address[1]) + socket.inet_aton(address[0]), "little")


def sending_address(address: str) -> bytes:
    """The control message that has a datagram leave from an address: cmsghdr and in_pktinfo, padded to CONTROL octets."""
    head = struct.pack("=QII", 28, socket.IPPROTO_IP, _IP_PKTINFO)
    return head + struct.pack("=I", 0) + socket.inet_aton(address) + bytes(8)


def open_ports(addresses: Sequence[str], count: int, measured: int) -> list[Port]:
    """`count` ports that all of these own addresses share; so many of them `measured`, evenly spread. Raises PhoneError."""
    _allow_files(2 * count)
    host = addresses[0] if len(addresses) == 1 else "0.0.0.0"
    chosen = {number * count // measured for number in range(measured)} if measured else set()
    ports: list[Port] = []
    numbers = iter(PAIRS)
    try:
        for index in range(count):
            ports.append(_open_pair(host, numbers, index in chosen, len(addresses) > 1))
    except PhoneError:
        for port in ports:
            port.close()
        raise
    return ports


def _open_pair(host: str, numbers: Iterator[int], measured: bool, many: bool) -> Port:
    for number in numbers:
        try:
            rtp = open_socket((host, number), BUFFER)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise PhoneError(f"--bind {host}: {error.strerror}") from None
        try:
            rtcp = open_socket((host, number + 1), 0)
        except OSError:
            rtp.close()
            continue
        if many:
            rtp.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        set_filter(rtcp, _DROP_ALL)
        if not measured:
            set_filter(rtp, _DROP_ALL)
        return Port(number, rtp, rtcp, measured)
    raise PhoneError(
        f"no UDP ports left between {PAIRS.start} and {PAIRS.stop} on {host}: give more own addresses with --bind"
    )


def _allow_files(wanted: int) -> None:
    """As many descriptors as are needed, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted += SPARE_FILES
    if soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise PhoneError(
            f"{wanted} sockets are more than the {hard} files that may be open here: give more own addresses with "
            f"--bind, or raise the limit (ulimit -Hn)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Reader:
    """Room for what recvmmsg(2) brings."""

    def __init__(self) -> None:
        self._count = 0
        self._port = np.zeros(_ROOM, np.int64)
        self._data = np.zeros((_ROOM, _WIDTH), np.uint8)
        self._names = np.zeros((_ROOM, 2), np.uint64)
        self._ancillary = np.zeros((_ROOM, _ANCILLARY // 4), np.uint32)
        self._parts = np.zeros(_ROOM, [("base", "u8"), ("length", "u8")])
        self._messages = np.zeros(_ROOM, MMSGHDR)
        row = np.arange(_ROOM, dtype=np.uint64)
        self._parts["base"] = self._data.ctypes.data + row * np.uint64(_WIDTH)
        self._parts["length"] = _WIDTH
        self._messages["name"] = self._names.ctypes.data + row * np.uint64(16)
        self._messages["iov"] = self._parts.ctypes.data + row * np.uint64(16)
        self._messages["iovlen"] = 1
        self._messages["control"] = self._ancillary.ctypes.data + row * np.uint64(_ANCILLARY)
        self._messages["namelen"] = 16
        self._messages["controllen"] = _ANCILLARY
        self._address = self._messages.ctypes.data

    def read(self, ports: Iterable[tuple[int, Port]]) -> Iterator[Arrivals]:
        """What has arrived at ports, given with their indices."""
        for index, port in ports:
            while self._fill(index, port):
                if self._count > _ROOM - BATCH:
                    yield self._take()
        if self._count:
            yield self._take()

    def _fill(self, index: int, port: Port) -> bool:
        """Receive up to BATCH datagrams. True when there may be more, or no room is left for as many."""
        start = self._count
        at = self._address + start * MMSGHDR.itemsize
        got = recvmmsg(port.rtp.fileno(), at, BATCH, socket.MSG_DONTWAIT, None)
        if got > 0:
            self._count += got
            self._port[start : self._count] = index
        return got == BATCH or (got > 0 and self._count > _ROOM - BATCH)

    def _take(self) -> Arrivals:
        count, self._count = self._count, 0
        messages, ancillary = self._messages[:count], self._ancillary[:count]
        # The kernel puts the time first (cmsghdr of 16 octets, timespec), then the address (cmsghdr, in_pktinfo).
        times = ancillary[:, 4:8].copy().view(np.int64)
        age = np.clip(time.time() - (times[:, 0] + times[:, 1] * 1e-9), 0.0, 1.0)
        local = np.where(messages["controllen"] > 32, ancillary[:, 14], 0).astype(np.uint32)
        lengths = messages["msg_len"].astype(np.int64)
        messages["namelen"] = 16
        messages["controllen"] = _ANCILLARY
        source = self._names[:count, 0] >> np.uint64(16)
        return Arrivals(self._port[:count], self._data[:count], lengths, source, local, time.monotonic() - age)
