"""The bytes of a datagram between nodes: an outer header that anybody may read, and bodies that only nodes may.

docs/cluster.md has the format octet by octet; all numbers are big-endian.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"XCNF"
VERSION = 1
ENCRYPTED = 1  # of the header's flags
HEADER = struct.Struct(">4sBBH8sQQ")
TAG = 16
MAX_BODY = 1340  # with all headers a datagram then fits into an Ethernet frame, over IPv4 and IPv6
MAX_NAME = 64
MAX_ECHOES = 64
_ECHO = struct.Struct(">8sQ")


class Kind(IntEnum):
    """What a body is about: its first octet."""

    HELLO = 1
    SOUND = 2
    STATUS = 3


class FrameError(ValueError):
    """These octets are no such thing. `reason` is the name under which that is counted."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Header:
    """The first 32 octets of a datagram, readable without the secret. key: which secret sealed it, see `seal`.

    sender: `node_id` of the node's name; epoch: grows from start to start of that node; sequence: grows with each datagram
    of an epoch.
    """

    sender: bytes
    epoch: int
    sequence: int
    key: int
    flags: int = ENCRYPTED

    def encode(self) -> bytes:
        return HEADER.pack(MAGIC, VERSION, self.flags, self.key, self.sender, self.epoch, self.sequence)


def node_id(name: str) -> bytes:
    """The 8 octets by which a node is known in headers."""
    return hashlib.sha256(name.encode()).digest()[:8]


def parse_header(datagram: bytes) -> Header:
    """Raises FrameError: foreign, version or truncated."""
    if len(datagram) < 5 or datagram[:4] != MAGIC:
        raise FrameError("foreign")
    if datagram[4] != VERSION:
        raise FrameError("version")
    if len(datagram) < HEADER.size + TAG + 1:
        raise FrameError("truncated")
    _, _, flags, key, sender, epoch, sequence = HEADER.unpack_from(datagram)
    return Header(sender, epoch, sequence, key, flags)


@dataclass(frozen=True, slots=True)
class Hello:
    """Sent once a second, and at once to who is new: who this is, and whom it hears.

    name: of the node; keys: of the secrets that it accepts; echoes: sender and epoch of nodes that it hears. Who finds
    himself there with his own epoch knows that this was not recorded before he started.
    """

    name: str
    keys: tuple[int, ...]
    echoes: tuple[tuple[bytes, int], ...] = ()

    def encode(self) -> bytes:
        name = self.name.encode()
        keys = struct.pack(f">B{len(self.keys)}H", len(self.keys), *self.keys)
        echoes = b"".join(_ECHO.pack(*echo) for echo in self.echoes)
        return bytes((len(name),)) + name + keys + bytes((len(self.echoes),)) + echoes


def parse_hello(body: bytes) -> Hello:
    """body: without its kind. What follows the echoes is for later versions. Raises FrameError: malformed."""
    try:
        at = 1 + body[0]
        name = body[1:at].decode()
        count = body[at]
        keys = struct.unpack_from(f">{count}H", body, at + 1)
        at += 1 + 2 * count
        octets = body[at + 1 : at + 1 + _ECHO.size * body[at]]
        if len(octets) < _ECHO.size * body[at]:
            raise FrameError("malformed")
        echoes = tuple(_ECHO.iter_unpack(octets))
    except (IndexError, UnicodeDecodeError, struct.error):
        raise FrameError("malformed") from None
    return Hello(name, keys, echoes)
