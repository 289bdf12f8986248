"""Batches of datagrams: recvmmsg(2) fills numpy arrays, with no work of Python's per packet.

Linux, x86-64 and aarch64 layouts.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xconf.rtp.fanout import MMSGHDR
from xconf.rtp.hosts import FAMILY_SIX, Hosts

WIDTH = 2048  # octets kept of one datagram; longer ones are flagged by the kernel and dropped
BATCH = 1024  # the kernel's limit of messages per call (UIO_MAXIOV)
_CONTROL = 64
_MSG_TRUNC, _MSG_DONTWAIT = 0x20, 0x40

_FAMILY, _SIX = np.uint64(0xFFFF), np.uint64(FAMILY_SIX)

_libc = ctypes.CDLL(None, use_errno=True)
recvmmsg = _libc.recvmmsg
recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]


@dataclass(slots=True)
class Batch:
    """Datagrams of one drain; the arrays are views that the next drain overwrites.

    data: uint8[n, WIDTH]; lengths: int64[n], octets; source: uint64[n], see `Hosts`; port: uint64[n], index of the
    media port; age: float64[n], seconds since the kernel had the datagram.
    """

    data: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    source: npt.NDArray[np.uint64]
    port: npt.NDArray[np.uint64]
    age: npt.NDArray[np.float64]


class ReceiveRoom:
    """`size` datagrams with their sources and arrival times, in arrays that recvmmsg fills."""

    def __init__(self, size: int, hosts: Hosts) -> None:
        self.size = size
        self._hosts = hosts
        self.count = 0
        self._data = np.zeros((size, WIDTH), np.uint8)
        self._names = np.zeros((size, 4), np.uint64)
        self._control = np.zeros((size, _CONTROL // 8), np.int64)
        self._port = np.zeros(size, np.uint64)
        self._iov = np.zeros(size, [("base", "u8"), ("length", "u8")])
        self._messages = np.zeros(size, MMSGHDR)
        row = np.arange(size, dtype=np.uint64)
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
        got = int(recvmmsg(descriptor, self._address + start * MMSGHDR.itemsize, BATCH, _MSG_DONTWAIT, None))
        if got <= 0:
            return 0
        self.count = start + got
        self._port[start : self.count] = port
        return got

    @property
    def full(self) -> bool:
        """There is no room for as many as one call may bring."""
        return self.count > self.size - BATCH

    def take(self, wall: float) -> tuple[Batch, int]:
        """The datagrams held, and how many more were dropped as too long. wall: the time of day, in s."""
        count, self.count = self.count, 0
        messages = self._messages[:count]
        # The first eight octets of a sockaddr_in are family, port, address: the family makes room for our own port.
        names, port = self._names[:count], self._port[:count]
        source = (names[:, 0] & ~_FAMILY) | port
        six = (names[:, 0] & _FAMILY) == _SIX
        if six.any():
            source[six] = self._hosts.keys(names[six], port[six])
        lengths = messages["msg_len"].astype(np.int64)
        long = (messages["flags"] & _MSG_TRUNC) != 0
        lengths[long] = 0
        # cmsghdr (16 octets), then struct timespec, of CLOCK_REALTIME; clipped, so that a step of that clock does no harm.
        stamped = self._control[:count, 2] + self._control[:count, 3] * 1e-9
        age = np.minimum(np.maximum(wall - stamped, 0.0), 1.0)
        age[messages["controllen"] < 32] = 0.0
        messages["namelen"] = 32
        messages["controllen"] = _CONTROL
        return Batch(self._data[:count], lengths, source, port, age), int(long.sum())
