"""Numbers for the hosts that sound comes from, so that whole batches of packets are sorted by one number of 64 bits each.

An IPv4 host is known by its address. An IPv6 host that a call expects packets of gets a number of our own choice; packets of
all others are nobody's. The two never meet: each media port is of one family.
"""

from __future__ import annotations

import ipaddress
import secrets
import struct
from collections.abc import Container
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Address = tuple[str, int]
Words = npt.NDArray[np.uint64]

MOST = 1 << 16  # IPv6 hosts that have a number, before those that nobody needs any more lose theirs
UNKNOWN = 0  # no host's number
FAMILY, FAMILY_SIX = 2, 10  # Linux's AF_INET and AF_INET6
LENGTH, LENGTH_SIX = 16, 28  # of sockaddr_in and sockaddr_in6
_PORT = np.uint64(0xFFFF0000)
_HALF = np.uint64(32)
_NOBODYS = 0xF0


def is_six(host: str) -> bool:
    """Whether this is an IPv6 address."""
    return ":" in host


@lru_cache(4096)
def _octets(host: str) -> bytes:
    """Of an IPv4 address. Whoever sets up a call asks for the same one several times."""
    return ipaddress.IPv4Address(host).packed


def sockaddr(address: Address) -> bytes:
    """The kernel's sockaddr_in or sockaddr_in6 of an address, filled up to LENGTH_SIX octets."""
    host, port = address
    number = struct.pack("!H", port)
    if is_six(host):
        return struct.pack("=H", FAMILY_SIX) + number + bytes(4) + ipaddress.IPv6Address(host).packed + bytes(4)
    return struct.pack("=H", FAMILY) + number + _octets(host) + bytes(20)


class Hosts:
    """A key is uint64: the host's number, the remote port, and the index of the local media port."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, int] = {}
        self._names: dict[int, str] = {}
        self._next = 0
        self._factor = secrets.randbits(64) | 1  # nobody can choose addresses that are mixed up
        # By what is mixed of the two halves of an address: the halves, and the host's number.
        self._mixed, self._high, self._low, self._sorted = (np.zeros(0, np.uint64) for _ in range(4))

    def __len__(self) -> int:
        return len(self._numbers)

    def key(self, address: Address, port: int) -> int:
        """Of a source at the media port of that index; an IPv6 host gets a number if it has none."""
        host, number = address
        swapped = (number & 0xFF) << 8 | number >> 8
        return self._number(host) << 32 | swapped << 16 | port

    def address(self, key: int) -> Address | None:
        """The remote address of a key; None for an IPv6 host without a number."""
        host, swapped = key >> 32, key >> 16 & 0xFFFF
        number = (swapped & 0xFF) << 8 | swapped >> 8
        if host == UNKNOWN:
            return None
        return self._names.get(host) or str(ipaddress.IPv4Address(host.to_bytes(4, "little"))), number

    def keys(self, names: Words, port: Words) -> Words:
        """Of datagrams at media ports of IPv6. names: uint64[n, 4], their sockaddr_in6; port: the index of each."""
        high, low = names[:, 1], names[:, 2]
        numbers = np.full(len(names), UNKNOWN, np.uint64)
        if len(self._mixed):
            mixed = high ^ low * np.uint64(self._factor)
            at = np.minimum(np.searchsorted(self._mixed, mixed), len(self._mixed) - 1)
            known = (self._high[at] == high) & (self._low[at] == low)
            numbers = np.where(known, self._sorted[at], numbers)
        found: Words = numbers << _HALF | names[:, 0] & _PORT | port
        return found

    @property
    def crowded(self) -> bool:
        return len(self._numbers) > MOST

    def keep(self, numbers: Container[int]) -> None:
        """All other IPv6 hosts lose their number."""
        self._numbers = {packed: number for packed, number in self._numbers.items() if number in numbers}
        self._names = {number: self._names[number] for number in self._numbers.values()}
        wanted = np.array([int(number) in self._names for number in self._sorted], bool)
        self._mixed, self._high, self._low, self._sorted = (
            column[wanted] for column in (self._mixed, self._high, self._low, self._sorted)
        )

    def _number(self, host: str) -> int:
        if not is_six(host):
            return int.from_bytes(_octets(host), "little")
        packed = ipaddress.IPv6Address(host).packed
        return self._numbers.get(packed) or self._new_number(packed)

    def _new_number(self, packed: bytes) -> int:
        """A number that reads as an address of 240.0.0.0/4, which no host has."""
        number = UNKNOWN
        while number == UNKNOWN or number in self._names:
            self._next = (self._next + 1) % (1 << 24)
            number = self._next << 8 | _NOBODYS
        self._numbers[packed] = number
        self._names[number] = str(ipaddress.IPv6Address(packed))
        high, low = struct.unpack("=QQ", packed)
        mixed = high ^ (low * self._factor & 0xFFFFFFFFFFFFFFFF)
        at = int(self._mixed.searchsorted(np.uint64(mixed)))
        columns = ((self._mixed, mixed), (self._high, high), (self._low, low), (self._sorted, number))
        self._mixed, self._high, self._low, self._sorted = (
            np.insert(column, at, np.uint64(value)) for column, value in columns
        )
        return number
