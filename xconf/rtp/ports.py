"""Media ports: UDP sockets that all legs share, drained and filled with recvmmsg(2) and sendmmsg(2).

The kernel walks numpy arrays of `mmsghdr`; Python does no work per packet. Linux, x86-64 and aarch64 layouts.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from xconf.rtp.fanout import MMSGHDR, Beat, FanOut, FanOuts

WIDTH = 2048  # bytes kept of one datagram; longer ones are flagged by the kernel and dropped
BATCH = 1024  # the kernel's limit of messages per call (UIO_MAXIOV)
ROOM = 8192  # datagrams of one batch, all ports together
DRAINED = 2 * ROOM  # datagrams that one drain takes at most: a flood is the kernel's to drop
INLINE = 256  # up to so many packets the reactor's thread sends itself: waking a thread would cost more
RECEIVE_BUFFER = 8 << 20
SEND_TIME = 0.005  # s for which a full send buffer holds a sender up, at most, in one tick
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE, _SO_TIMESTAMPNS = 33, 32, 35
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27
_MSG_TRUNC = 0x20
_CONTROL = 64

_libc = ctypes.CDLL(None, use_errno=True)
recvmmsg = _libc.recvmmsg
recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


class PortError(Exception):
    """A media port cannot be had; the text says which and what to do."""


@dataclass(slots=True)
class Batch:
    """Datagrams of one drain; the arrays are views that the next drain overwrites.

    data: uint8[n, WIDTH]; lengths: int64[n], octets; source: uint64[n], see `source_key`; port: int32[n], index of the
    media port; age: float64[n], seconds since the kernel had the datagram.
    """

    data: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    source: npt.NDArray[np.uint64]
    port: npt.NDArray[np.int32]
    age: npt.NDArray[np.float64]


def sockaddr(address: tuple[str, int]) -> bytes:
    """The kernel's sockaddr_in of an IPv4 address."""
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", address[1]) + socket.inet_aton(address[0]) + bytes(8)


def source_key(address: tuple[str, int], port: int) -> int:
    """The key of a source at media port number `port` (its index): remote address and local port in one uint64."""
    return int.from_bytes(struct.pack("=H", port) + sockaddr(address)[2:8], "little")


def source_address(key: int) -> tuple[str, int]:
    """The remote address that a key holds."""
    raw = key.to_bytes(8, "little")
    return socket.inet_ntoa(raw[4:8]), int.from_bytes(raw[2:4], "big")


def source_number(address: tuple[str, int]) -> tuple[int, int]:
    """An IPv4 address and port as the numbers that a filter compares."""
    return int.from_bytes(socket.inet_aton(address[0]), "big"), address[1]


def host_number(host: int) -> int:
    """The upper half of a source's key as the number that a filter compares."""
    return int.from_bytes(host.to_bytes(4, "little"), "big")


def open_socket(address: tuple[str, int], receive_buffer: int) -> socket.socket:
    """A UDP socket with room for bursts, whose datagrams come with their arrival times. Raises OSError."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.bind(address)
    except OSError:
        sock.close()
        raise
    for option, force in ((socket.SO_RCVBUF, _SO_RCVBUFFORCE), (socket.SO_SNDBUF, _SO_SNDBUFFORCE)):
        try:
            sock.setsockopt(socket.SOL_SOCKET, force, receive_buffer)
        except PermissionError:
            sock.setsockopt(socket.SOL_SOCKET, option, receive_buffer)
    sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    return sock


def set_filter(sock: socket.socket, code: bytes | None) -> bool:
    """Attach a kernel filter (see `filter`) in place of the one before; None: take all.

    False when the kernel does not take it (net.core.optmem_max bounds its size): then all is taken.
    """
    if code is not None:
        kept = ctypes.create_string_buffer(code)
        head = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(kept))
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, head)
            return True
    with contextlib.suppress(FileNotFoundError):  # there was none
        sock.setsockopt(socket.SOL_SOCKET, _SO_DETACH_FILTER, 0)
    return code is None


@dataclass(slots=True)
class MediaPort:
    """One RTP socket, the RTCP socket beside it, and the packets to send from it."""

    index: int
    number: int
    rtp: socket.socket
    rtcp: socket.socket
    fanouts: FanOuts = field(default_factory=FanOuts)
    legs: int = 0  # that have it as their port
    event_types: Counter[int] = field(default_factory=Counter)  # their payload types for telephone-events
    stale: bool = True  # the kernel's filter is not what the legs want

    def set_filter(self, code: bytes | None) -> bool:
        """Attach a kernel filter to the RTP socket, as the function `set_filter` does."""
        return set_filter(self.rtp, code)

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()


class MediaPorts:
    """The node's media ports, opened one after the other as calls need them.

    address: the IPv4 address to bind; first, last: the range of port numbers (even ones carry RTP, the next RTCP).
    """

    def __init__(self, address: str, first: int, last: int, *, threads: int = 2) -> None:
        self.address = address
        self.ports: list[MediaPort] = []
        self.truncated = self.unsent = 0
        self._numbers = iter(range(first + first % 2, last, 2))
        self._range = f"{first}-{last}"
        self._poll, self._poll_rtcp = select.epoll(), select.epoll()
        self._receive = _ReceiveRoom()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="rtp-send")
        self._sending: list[Future[int]] = []

    def open(self) -> MediaPort:
        """Open the next pair of the range; skips numbers that others use. Raises PortError when none is left."""
        for number in self._numbers:
            try:
                rtp = open_socket((self.address, number), RECEIVE_BUFFER)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise PortError(f"rtp.address {self.address}: {error.strerror}") from None
            try:
                rtcp = open_socket((self.address, number + 1), 1 << 18)
            except OSError:
                rtp.close()
                continue
            port = MediaPort(len(self.ports), number, rtp, rtcp)
            self.ports.append(port)
            self._poll.register(rtp.fileno(), select.EPOLLIN)
            self._poll_rtcp.register(rtcp.fileno(), select.EPOLLIN)
            return port
        raise PortError(f"no free pair of ports left in rtp.ports {self._range} on {self.address}: widen the range")

    def drain(self) -> Iterator[Batch]:
        """What arrived at the RTP sockets since the last drain, in batches of up to ROOM datagrams.

        DRAINED at most, of all ports in turn: what a flood leaves in one port's buffer keeps no other waiting.
        """
        by_number = {port.rtp.fileno(): port.index for port in self.ports}
        full = [number for number, _ in self._poll.poll(0, max(1, len(self.ports))) if number in by_number]
        room, left = self._receive, DRAINED
        while full and left > 0:
            for number in tuple(full):
                if room.count > ROOM - BATCH:
                    yield self._batch()
                got = room.fill(number, by_number[number])
                left -= got
                if got < BATCH:
                    full.remove(number)
        if room.count:
            yield self._batch()

    def _batch(self) -> Batch:
        batch, truncated = self._receive.take()
        self.truncated += truncated
        return batch

    def drain_rtcp(self, limit: int = 64) -> Iterator[tuple[int, tuple[str, int], bytes]]:
        """(port index, remote address, datagram) of RTCP packets, at most `limit` of each port."""
        by_number = {port.rtcp.fileno(): port for port in self.ports}
        for number, _ in self._poll_rtcp.poll(0, max(1, len(self.ports))):
            port = by_number.get(number)
            for _ in range(limit if port else 0):
                assert port is not None
                try:
                    data, remote = port.rtcp.recvfrom(WIDTH)
                except OSError:
                    break
                yield port.index, remote, data

    def send_rtcp(self, port: int, data: bytes, remote: tuple[str, int]) -> None:
        """One RTCP datagram, from the RTCP socket of that media port; one that cannot be sent now is dropped."""
        try:
            self.ports[port].rtcp.sendto(data, remote)
        except (OSError, OverflowError, IndexError):  # no such port number; closed since
            self.unsent += 1

    def send(self, beats: Container[Beat]) -> None:
        """Send the packets of these beats, of every port. Many packets are sent by threads: `settle` waits for them."""
        busy = [(port.rtp.fileno(), arrays) for port in self.ports if (arrays := port.fanouts.due(beats))]
        if sum(array.count for _, arrays in busy for array in arrays) <= INLINE:
            self.unsent += sum(_send_arrays(*each) for each in busy)
            return
        self._sending = [self._threads.submit(_send_arrays, *each) for each in busy]

    def settle(self) -> None:
        """Wait until the threads have sent; only then may packets and fan-outs be changed."""
        sending, self._sending = self._sending, []
        if sending:
            wait(sending)
            self.unsent += sum(future.result() for future in sending if future.exception() is None)

    def close(self) -> None:
        self.settle()
        self._threads.shutdown()
        self._poll.close()
        self._poll_rtcp.close()
        for port in self.ports:
            port.close()
        self.ports.clear()


class _ReceiveRoom:
    """ROOM datagrams with their sources and arrival times, in arrays that recvmmsg fills."""

    def __init__(self) -> None:
        self.count = 0
        self._data = np.zeros((ROOM, WIDTH), np.uint8)
        self._names = np.zeros((ROOM, 4), np.uint64)
        self._control = np.zeros((ROOM, _CONTROL // 8), np.int64)
        self._port = np.zeros(ROOM, np.int32)
        self._iov = np.zeros(ROOM, [("base", "u8"), ("length", "u8")])
        self._messages = np.zeros(ROOM, MMSGHDR)
        row = np.arange(ROOM, dtype=np.uint64)
        self._iov["base"] = self._data.ctypes.data + row * np.uint64(WIDTH)
        self._iov["length"] = WIDTH
        self._messages["name"] = self._names.ctypes.data + row * np.uint64(32)
        self._messages["iov"] = self._iov.ctypes.data + row * np.uint64(16)
        self._messages["iovlen"] = 1
        self._messages["control"] = self._control.ctypes.data + row * np.uint64(_CONTROL)
        self._messages["namelen"] = 32
        self._messages["controllen"] = _CONTROL
        self._address = self._messages.ctypes.data

    def fill(self, descriptor: int, port: int) -> int:
        """Receive up to BATCH datagrams of one socket; how many there were."""
        start = self.count
        got = int(recvmmsg(descriptor, self._address + start * MMSGHDR.itemsize, BATCH, socket.MSG_DONTWAIT, None))
        if got <= 0:
            return 0
        self.count = start + got
        self._port[start : self.count] = port
        return got

    def take(self) -> tuple[Batch, int]:
        """The datagrams held, and how many more were dropped as too long."""
        count, self.count = self.count, 0
        messages = self._messages[:count]
        port = self._port[:count]
        # The first eight octets of a sockaddr_in are family, port, address: the family makes room for our own port.
        source = (self._names[:count, 0] & ~np.uint64(0xFFFF)) | port.astype(np.uint64)
        lengths = messages["msg_len"].astype(np.int64)
        long = (messages["flags"] & _MSG_TRUNC) != 0
        lengths[long] = 0
        # cmsghdr (16 octets), then struct timespec, of CLOCK_REALTIME; clipped, so that a step of that clock does no harm.
        stamped = self._control[:count, 2] + self._control[:count, 3] * 1e-9
        age = np.clip(time.time() - stamped, 0.0, 1.0)
        age[messages["controllen"] < 32] = 0.0
        messages["namelen"] = 32
        messages["controllen"] = _CONTROL
        return Batch(self._data[:count], lengths, source, port, age), int(long.sum())


def _send_arrays(descriptor: int, arrays: Sequence[FanOut]) -> int:
    """Send all entries of some arrays; returns how many could not be sent."""
    return sum(send_all(descriptor, array.messages, array.count) for array in arrays)


def send_all(descriptor: int, messages: npt.NDArray[np.void], count: int) -> int:
    """Send `count` messages; returns how many could not be sent.

    A partial send hides its error, which the next call returns for its first message: that one is skipped, whatever is
    wrong with its address. When the socket's buffer is full it is waited for, SEND_TIME in all; then the rest is
    dropped: late sound is no better than none.
    """
    base, done, unsent = messages.ctypes.data, 0, 0
    deadline = time.monotonic() + SEND_TIME
    while done < count:
        sent = _sendmmsg(descriptor, base + done * MMSGHDR.itemsize, min(BATCH, count - done), socket.MSG_DONTWAIT)
        if sent > 0:
            done += sent
            continue
        number = ctypes.get_errno()
        if number == errno.EINTR:
            continue
        if number == errno.EBADF or (number == errno.EAGAIN and not _writable(descriptor, deadline)):
            return unsent + count - done
        if number != errno.EAGAIN:
            done += 1
            unsent += 1
    return unsent


def _writable(descriptor: int, deadline: float) -> bool:
    """Whether the socket has room before the deadline."""
    left = deadline - time.monotonic()
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return left > 0 and bool(poll.poll(left * 1000))


def granted_receive_buffer(address: str) -> int:
    """Octets of receive buffer that the system gives a media port, of the RECEIVE_BUFFER asked for. Raises PortError."""
    try:
        probe = open_socket((address, 0), RECEIVE_BUFFER)
    except OSError as error:
        raise PortError(f"rtp.address {address}: {error.strerror}") from None
    with probe:
        return probe.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // 2  # the kernel doubles it, for its own use


def local_address(remote: str) -> str:
    """The address of this machine that packets to `remote` leave from (a routing look-up, nothing is sent)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((remote, 9))
        return str(probe.getsockname()[0])
