"""The packets that one media port sends at a tick: an array of `mmsghdr`, one entry per leg, that the kernel walks.

An entry names the leg's address and the packet (an iovec) that it gets; any number of entries may share one packet.
Nothing is done per leg at a tick: entries change only when a leg joins, leaves, or moves to another stream. What is not
sent at every tick (packets longer than a tick) is in an array of its own, which is passed over at the other ticks.
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from xconf.rtp.hosts import LENGTH

MMSGHDR = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "msg_len"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
IOVEC = np.dtype([("base", "u8"), ("length", "u8")])


class FanOut:
    """A dense array of entries, `messages`, and its address; `leg` numbers are the caller's. name_length: octets of a sockaddr."""

    def __init__(self, name_length: int = LENGTH, capacity: int = 64) -> None:
        self.count = 0
        self._name_length = name_length
        self.messages = np.zeros(capacity, MMSGHDR)
        self.address = int(self.messages.ctypes.data)
        self._legs = np.zeros(capacity, np.int32)
        self._where: dict[int, int] = {}

    def __contains__(self, leg: int) -> bool:
        return leg in self._where

    def add(self, leg: int, name: int, iov: int) -> None:
        """An entry for a leg. name: address of its sockaddr; iov: address of the iovec of its packet."""
        if self.count == len(self.messages):
            self._grow()
        at = self._where[leg] = self.count
        self._legs[at] = leg
        entry = self.messages[at : at + 1]
        entry["name"], entry["namelen"] = name, self._name_length
        entry["iov"], entry["iovlen"] = iov, 1
        self.count += 1

    def _grow(self) -> None:
        # Not np.concatenate: it packs the fields of a structure, and the kernel's have gaps.
        messages, legs = self.messages, self._legs
        self.messages = np.zeros(2 * len(messages), MMSGHDR)
        self._legs = np.zeros(2 * len(legs), np.int32)
        self.address = int(self.messages.ctypes.data)
        self.messages[: len(messages)] = messages
        self._legs[: len(legs)] = legs

    def point(self, leg: int, iov: int) -> None:
        """From now on the leg gets another packet."""
        self.messages["iov"][self._where[leg]] = iov

    def discard(self, leg: int) -> None:
        """Remove the leg's entry, if there is one; the last entry takes its place."""
        at = self._where.pop(leg, None)
        if at is None:
            return
        self.count -= 1
        if at != self.count:
            self.messages[at] = self.messages[self.count]
            moved = self._legs[at] = self._legs[self.count]
            self._where[int(moved)] = at


Beat = tuple[int, int]
"""When an array is sent: numbers that the caller gives a meaning."""


class FanOuts:
    """The arrays of one port, by their beats. name_length: octets of a sockaddr of its family."""

    def __init__(self, name_length: int = LENGTH) -> None:
        self._name_length = name_length
        self._arrays: dict[Beat, FanOut] = {}
        self._beats: dict[int, tuple[Beat, ...]] = {}  # leg -> the arrays that it is in

    @property
    def count(self) -> int:
        """Entries in all of them."""
        return sum(array.count for array in self._arrays.values())

    def point(self, leg: int, name: int, beats: tuple[Beat, ...], iovs: Sequence[int]) -> None:
        """From now on the leg gets these packets, each at its beat. name: address of the leg's sockaddr."""
        had = self._beats.get(leg, ())
        if had != beats:
            self.discard(leg)
            self._beats[leg] = beats
        for beat, iov in zip(beats, iovs, strict=True):
            array = self._arrays.get(beat)
            if array is None:
                array = self._arrays[beat] = FanOut(self._name_length)
            if leg in array:
                array.point(leg, iov)
            else:
                array.add(leg, name, iov)

    def discard(self, leg: int) -> None:
        """Remove the leg's entries, if there are any."""
        for beat in self._beats.pop(leg, ()):
            self._arrays[beat].discard(leg)
            if not self._arrays[beat].count:
                del self._arrays[beat]

    def due(self, beats: Container[Beat]) -> list[FanOut]:
        """The arrays of these beats."""
        return [array for beat, array in self._arrays.items() if beat in beats]
