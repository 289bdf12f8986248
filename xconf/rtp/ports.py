"""Media ports: UDP sockets that all legs share, drained and filled with recvmmsg(2) and sendmmsg(2).

The kernel walks numpy arrays of `mmsghdr`; Python does no work per packet. Linux, x86-64 and aarch64 layouts.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import logging
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread

import numpy as np
import numpy.typing as npt

from xconf.rtp.batch import BATCH, Batch, ReceiveRoom
from xconf.rtp.fanout import IOVEC, MMSGHDR, Beat, FanOut, FanOuts
from xconf.rtp.hosts import LENGTH, LENGTH_SIX, Hosts, is_six

ROOM = 8192  # datagrams of one batch, all ports together
RTCP_ROOM = 2048  # of which one look at the RTCP sockets takes no more
DRAINED = 2 * ROOM  # datagrams that one drain takes at most: a flood is the kernel's to drop
# Up to so many packets the reactor's thread sends itself, a quarter of a tick: two threads that send at once pay a fifth more
# for each packet, and waking them costs, too.
INLINE = 6144
RECEIVE_BUFFER = 8 << 20
SEND_TIME = 0.005  # s for which a full send buffer holds a sender up, at most, in one tick
_SO_RCVBUFFORCE, _SO_SNDBUFFORCE, _SO_TIMESTAMPNS = 33, 32, 35
_SO_ATTACH_FILTER, _SO_DETACH_FILTER = 26, 27

_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]


log = logging.getLogger(__name__)


class PortError(Exception):
    """A media port cannot be had; the text says which and what to do."""


def source_number(address: tuple[str, int]) -> tuple[int, int]:
    """An IPv4 address and port as the numbers that a filter compares."""
    return int.from_bytes(socket.inet_aton(address[0]), "big"), address[1]


def host_number(host: int) -> int:
    """The upper half of a source's key as the number that a filter compares."""
    return int.from_bytes(host.to_bytes(4, "little"), "big")


def open_socket(address: tuple[str, int], receive_buffer: int) -> socket.socket:
    """A UDP socket with room for bursts, whose datagrams come with their arrival times. Raises OSError."""
    six = is_six(address[0])
    sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if six:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
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
    """One RTP socket, the RTCP socket beside it, and the packets to send from it. six: of IPv6."""

    index: int
    number: int
    rtp: socket.socket
    rtcp: socket.socket
    fanouts: FanOuts = field(default_factory=FanOuts)
    six: bool = False
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

    address: the IPv4 address to bind; six: the IPv6 address, "" for none; first, last: the range of port numbers (even
    ones carry RTP, the next RTCP).
    """

    def __init__(self, address: str, first: int, last: int, *, six: str = "", threads: int = 2) -> None:
        self.address = address
        self.six = six
        self.hosts = Hosts()
        self.ports: list[MediaPort] = []
        self.truncated = self.unsent = 0
        self._numbers = iter(range(first + first % 2, last, 2))
        self._range = f"{first}-{last}"
        self._poll, self._poll_rtcp = select.poll(), select.poll()
        self._by_number: dict[int, int] = {}  # descriptor of an RTP socket -> index of its port
        self._receive, self._receive_rtcp = ReceiveRoom(ROOM, self.hosts), ReceiveRoom(RTCP_ROOM, self.hosts)
        self._senders = Senders(threads)

    def of_family(self, six: bool) -> list[MediaPort]:
        """Those of IPv6, or those of IPv4."""
        return [port for port in self.ports if port.six is six]

    def open(self, six: bool = False) -> MediaPort:
        """Open the next pair of the range; skips numbers that others use. Raises PortError when none is left."""
        address = self.six if six else self.address
        if not address:
            raise PortError("there is no rtp.address6, for sound over IPv6")
        for number in self._numbers:
            try:
                rtp = open_socket((address, number), RECEIVE_BUFFER)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    continue
                raise PortError(f"rtp.address{'6' if six else ''} {address}: {error.strerror}") from None
            try:
                rtcp = open_socket((address, number + 1), 1 << 18)
            except OSError:
                rtp.close()
                continue
            fanouts = FanOuts(LENGTH_SIX if six else LENGTH)
            port = MediaPort(len(self.ports), number, rtp, rtcp, fanouts, six)
            self.ports.append(port)
            self._by_number[rtp.fileno()] = port.index
            self._poll.register(rtp.fileno(), select.POLLIN)
            self._poll_rtcp.register(rtcp.fileno(), select.POLLIN)
            return port
        raise PortError(f"no free pair of ports left in rtp.ports {self._range} on {address}: widen the range")

    def drain(self) -> Iterator[Batch]:
        """What arrived at the RTP sockets since the last drain, in batches of up to ROOM datagrams.

        DRAINED at most, of all ports in turn: what a flood leaves in one port's buffer keeps no other waiting.
        """
        by_number = self._by_number
        # Not epoll: a socket that an epoll watches tells it of every packet sent, which costs a third of sending it.
        full = [number for number, _ in self._poll.poll(0) if number in by_number]
        room, left = self._receive, DRAINED
        while full and left > 0:
            for number in tuple(full):
                if room.full:
                    yield self._batch(room)
                got = room.fill(number, by_number[number])
                left -= got
                if got < BATCH:
                    full.remove(number)
        if room.count:
            yield self._batch(room)

    def _batch(self, room: ReceiveRoom) -> Batch:
        batch, truncated = room.take(time.time())
        self.truncated += truncated
        return batch

    def drain_rtcp(self) -> Iterator[Batch]:
        """What arrived at the RTCP sockets; of each at most as many datagrams as one call brings."""
        by_number = {port.rtcp.fileno(): port.index for port in self.ports}
        room = self._receive_rtcp
        for number, _ in self._poll_rtcp.poll(0):
            if number in by_number:
                if room.full:
                    yield self._batch(room)
                room.fill(number, by_number[number])
        if room.count:
            yield self._batch(room)

    def send_rtcp(self, port: int, packets: npt.NDArray[np.uint8], names: npt.NDArray[np.uint8]) -> None:
        """RTCP datagrams, from the RTCP socket of that media port; what cannot be sent now is dropped.

        packets: uint8[n, octets]; names: uint8[n, LENGTH_SIX], the sockaddr of each.
        """
        if port >= len(self.ports):  # closed since
            self.unsent += len(packets)
            return
        row = np.arange(len(packets), dtype=np.uint64)
        parts, messages = np.zeros(len(packets), IOVEC), np.zeros(len(packets), MMSGHDR)
        parts["base"] = packets.ctypes.data + row * np.uint64(packets.shape[1])
        parts["length"] = packets.shape[1]
        messages["name"] = names.ctypes.data + row * np.uint64(names.shape[1])
        messages["namelen"] = LENGTH_SIX if self.ports[port].six else LENGTH
        messages["iov"] = parts.ctypes.data + row * np.uint64(IOVEC.itemsize)
        messages["iovlen"] = 1
        self.unsent += send_all(self.ports[port].rtcp.fileno(), messages.ctypes.data, len(messages))

    def send(self, beats: Container[Beat]) -> None:
        """Send the packets of these beats, of every port. Many packets are sent by threads: `settle` waits for them."""
        busy = [(port.rtp.fileno(), arrays) for port in self.ports if (arrays := port.fanouts.due(beats))]
        if sum(array.count for _, arrays in busy for array in arrays) <= INLINE:
            self.unsent += sum(_send_arrays(*each) for each in busy)
            return
        for each in busy:
            self._senders.send(*each)

    def settle(self) -> None:
        """Wait until the threads have sent; only then may packets and fan-outs be changed."""
        self.unsent += self._senders.settle()

    def close(self) -> None:
        self.settle()
        self._senders.close()
        for port in self.ports:
            port.close()
        self.ports.clear()
        self._by_number.clear()


class Senders:
    """Threads that send: inside sendmmsg(2) the interpreter is free for other work, and a second core is used."""

    def __init__(self, threads: int) -> None:
        self._jobs: SimpleQueue[tuple[int, list[FanOut]] | None] = SimpleQueue()
        self._done: SimpleQueue[int] = SimpleQueue()
        self._waiting = 0
        self._threads = [Thread(target=self._run, name=f"rtp-send-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def send(self, descriptor: int, arrays: list[FanOut]) -> None:
        """Have a thread send those; they stay as they are until `settle`."""
        self._waiting += 1
        self._jobs.put((descriptor, arrays))

    def settle(self) -> int:
        """Wait until all is sent; how many messages could not be."""
        waiting, self._waiting = self._waiting, 0
        return sum(self._done.get() for _ in range(waiting))

    def close(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                self._done.put(_send_arrays(*job))
            except Exception:  # a thread that ends would leave `settle` waiting for ever
                log.exception("packets of a tick were not sent")
                self._done.put(sum(array.count for array in job[1]))


def _send_arrays(descriptor: int, arrays: list[FanOut]) -> int:
    """Send all entries of some arrays; returns how many could not be sent."""
    return sum(send_all(descriptor, array.address, array.count) for array in arrays)


def send_all(descriptor: int, address: int, count: int) -> int:
    """Send `count` messages, an array of MMSGHDR at that address; returns how many could not be sent.

    A partial send hides its error, which the next call returns for its first message: that one is skipped, whatever is
    wrong with its address. When the socket's buffer is full it is waited for, SEND_TIME in all; then the rest is
    dropped: late sound is no better than none.
    """
    done = unsent = 0
    deadline = time.monotonic() + SEND_TIME
    while done < count:
        sent = _sendmmsg(descriptor, address + done * MMSGHDR.itemsize, min(BATCH, count - done), socket.MSG_DONTWAIT)
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
    with socket.socket(socket.AF_INET6 if is_six(remote) else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((remote, 9))
        return str(probe.getsockname()[0])
