"""What a node tells the others of itself: how busy it is, and who is in its conferences.

The bytes of a status, docs/cluster.md has them one by one; all numbers are big-endian. What is longer than a datagram goes in
several; what follows the fields that this version knows is for later ones, and is skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntFlag

VERSION = 1
LONGEST = 1200  # octets of a body: with seal and headers it fits into a datagram on any path
LONGEST_TEXT = 100  # octets of a load's texts
MOST_PARTS = 0xFFFF
_HEAD = struct.Struct(">BBIHH")
_LOAD = struct.Struct(">IIHHI")
_SHARE = struct.Struct(">IIBIH")
_SETS = struct.Struct(">I")


class StatusError(ValueError):
    """These octets are no status that we understand."""


class About(IntFlag):
    """Of a whole status."""

    COMPLETE = 1  # one of `parts` datagrams that name all conferences; else one with changes only
    DRAINING = 2  # takes no new calls
    LEAVING = 4  # the last one: the node stops


class Takes(IntFlag):
    """Which callers a node takes."""

    SPEAKERS = 1
    LISTENERS = 2
    ALL = 3


class State(IntFlag):
    """Of a conference on a node."""

    ADMIN = 1  # an administrator is in it
    OPEN = 2  # members are in it, and do not wait for an administrator (any more)
    PLAYING = 4  # something is played back to all
    OVER = 128  # it has ended there


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a node is, and for whom it is there. late: ms by which 99 % of the last ticks came at most late; cpu: % of one core.

    uri: where others' callers reach it, a SIP URI without a user; empty: they are not to be sent there. That and region are of
    `LONGEST_TEXT` octets at most.
    """

    calls: int = 0
    most_calls: int = 0
    late: float = 0.0
    cpu: float = 0.0
    pending: int = 0  # calls that are being set up
    draining: bool = False
    uri: str = ""
    region: str = ""
    takes: Takes = Takes.ALL


@dataclass(frozen=True, slots=True)
class Part:
    """What a node has of a conference. settings: its flags, as bits; revision: grows whenever somebody, anywhere, changes
    those. sets: how often keys were set in it while it runs.
    """

    name: str
    members: int
    speakers: int
    state: State = State(0)
    revision: int = 0
    settings: int = 0
    sets: int = 0

    def encode(self) -> bytes:
        name = self.name.encode()
        fixed = _SHARE.pack(self.members, self.speakers, self.state, self.revision, self.settings)
        if self.sets:
            fixed += _SETS.pack(self.sets)
        return len(name).to_bytes(2) + name + bytes((len(fixed),)) + fixed


@dataclass(frozen=True, slots=True)
class Status:
    """One datagram. number: grows by one with each; index: which of `total` datagrams of a complete status, from 0."""

    about: About
    number: int
    index: int
    total: int
    load: Load
    parts: tuple[Part, ...]

    @property
    def first(self) -> int:
        """The number of the first datagram of the complete status that this one belongs to."""
        return self.number - self.index


class Reporter:
    """Makes a node's statuses, and numbers them."""

    def __init__(self, longest: int = LONGEST) -> None:
        self._number = 0
        self._longest = longest

    def complete(self, load: Load, parts: Iterable[Part], *, leaving: bool = False) -> list[bytes]:
        """All there is, in as many bodies as it takes."""
        about = About.COMPLETE | (About.LEAVING if leaving else About(0))
        return list(self._bodies(about, load, parts))

    def changes(self, load: Load, parts: Iterable[Part]) -> list[bytes]:
        """Some conferences; of the others nothing has changed."""
        return list(self._bodies(About(0), load, parts))

    def _bodies(self, about: About, load: Load, parts: Iterable[Part]) -> Iterator[bytes]:
        block = _block(load)
        room = self._longest - _HEAD.size - len(block) - 1
        chunks = list(_chunks([part.encode() for part in parts], room)) or [[]]
        if load.draining:
            about |= About.DRAINING
        for index, chunk in enumerate(chunks):
            self._number += 1
            head = _HEAD.pack(VERSION, about, self._number, index, len(chunks))
            yield head + block + bytes((len(chunk),)) + b"".join(chunk)


def _block(load: Load) -> bytes:
    late, cpu = (min(round(10 * value), 0xFFFF) for value in (load.late, load.cpu))
    texts = b"".join(bytes((len(octets),)) + octets for octets in (load.uri.encode(), load.region.encode()))
    block = _LOAD.pack(load.calls, load.most_calls, late, cpu, load.pending) + texts + bytes((load.takes,))
    return bytes((len(block),)) + block


def _chunks(encoded: Sequence[bytes], room: int) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    left = room
    for octets in encoded:
        if chunk and (len(octets) > left or len(chunk) == 255):
            yield chunk
            chunk, left = [], room
        chunk.append(octets)
        left -= len(octets)
    if chunk:
        yield chunk


def parse(body: bytes) -> Status:
    """A status. Raises StatusError."""
    try:
        version, about, number, index, total = _HEAD.unpack_from(body)
        if version != VERSION:
            raise StatusError(f"version {version}")
        flags = About(about)
        start = _HEAD.size + 1
        at = start + body[_HEAD.size]
        load = _load(body[start:at], About.DRAINING in flags)
        at, parts = _parts(body, at)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise StatusError("malformed") from None
    if not index < total or any(part.speakers > part.members or not part.name.isprintable() for part in parts):
        raise StatusError("malformed")
    return Status(flags, number, index, total, load, parts)


def _load(block: bytes, draining: bool) -> Load:
    calls, most_calls, late, cpu, pending = _LOAD.unpack_from(block)
    load = Load(calls, most_calls, late / 10, cpu / 10, pending, draining)
    if len(block) == _LOAD.size:
        return load  # of a version that told no more
    uri, at = _text(block, _LOAD.size)
    region, at = _text(block, at)
    return replace(load, uri=uri, region=region, takes=Takes(block[at] & Takes.ALL))


def _text(block: bytes, at: int) -> tuple[str, int]:
    """The text that begins there, and where it ends."""
    end = at + 1 + block[at]
    text = block[at + 1 : end].decode()
    if end > len(block) or block[at] > LONGEST_TEXT or not text.isprintable():
        raise StatusError("malformed")
    return text, end


def _parts(body: bytes, at: int) -> tuple[int, tuple[Part, ...]]:
    parts = []
    count = body[at]
    at += 1
    for _ in range(count):
        end = at + 2 + int.from_bytes(body[at : at + 2])
        name = body[at + 2 : end].decode()
        at = end
        members, speakers, state, revision, settings = _SHARE.unpack_from(body, at + 1)
        if body[at] < _SHARE.size:
            raise StatusError("malformed")
        told = body[at] >= _SHARE.size + _SETS.size
        (sets,) = _SETS.unpack_from(body, at + 1 + _SHARE.size) if told else (0,)
        at += 1 + body[at]
        parts.append(Part(name, members, speakers, State(state & 0x87), revision, settings, sets))
    if at > len(body):
        raise StatusError("malformed")
    return at, tuple(parts)
