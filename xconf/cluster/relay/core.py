"""A relay between nodes, without its socket: datagrams and where they came from in, datagrams and where they go out.

What comes from one tunnel is cloned to all others. A node that has one peer, the relay, so reaches hundreds; and a relay can be
a tunnel of another one, in a tree. Should the tree be a ring, each datagram still comes to each tunnel once: a datagram is known
by its tag, which nobody who lacks the secret can foretell.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from xconf.cluster.frame import ENCRYPTED, TAG, FrameError, Header, Kind, parse_header, parse_hello
from xconf.cluster.peers import Address, Drops, Window
from xconf.cluster.seal import Keyring, Sealer, key_id

MOST_TUNNELS = 256
MOST_SEEN = 1 << 16  # tags that are remembered, twice
SEEN_FOR = 2.0  # s that a tag is remembered, at least, unless there are too many
MOST_SENDERS = 4096  # whose messages go to who has another secret
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")


class RelayError(Exception):
    """What cannot be done; the text says why."""


@dataclass(slots=True, eq=False)
class End:
    """A tunnel: a node, or another relay. secret: that its datagrams are sealed by; None: they are passed on as they are."""

    name: str
    address: Address
    secret: bytes | None = None
    counts: Counter[str] = field(default_factory=Counter)


class Seen:
    """Which tags came lately. Bounded: two sets, of which the older one is dropped."""

    def __init__(self) -> None:
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._since = 0.0

    def add(self, tag: bytes, now: float) -> bool:
        """Whether it is new."""
        if now - self._since >= SEEN_FOR or len(self._young) >= MOST_SEEN:
            self._old, self._young, self._since = self._young, set(), now
        if tag in self._young or tag in self._old:
            return False
        self._young.add(tag)
        return True

    def __len__(self) -> int:
        return len(self._young) + len(self._old)


class _Crossing:
    """What one sender says in its epoch, sealed again for others. A sequence number is sealed once: a nonce comes of it."""

    def __init__(self, secret: bytes, header: Header) -> None:
        self.epoch = header.epoch
        self._flags = header.flags
        self._sealer = Sealer(secret, header.sender, header.epoch, encrypt=bool(header.flags & ENCRYPTED))
        self._window = Window(0)

    def seal(self, header: Header, body: bytes) -> bytes:
        """Raises FrameError: replayed."""
        if (header.epoch, header.flags) != (self.epoch, self._flags) or not self._window.fresh(header.sequence):
            raise FrameError("replayed")
        self._window.add(header.sequence)
        return self._sealer.seal(header.sequence, body)


class Relay:
    """secret: of tunnels that have none of their own; None: datagrams are passed on unread. What comes from an address that
    is no tunnel's is dropped, and so is what a secret does not fit.
    """

    def __init__(self, secret: bytes | None = None) -> None:
        self.secret = secret
        self.drops = Drops()
        self.ends: dict[str, End] = {}
        self._by_address: dict[Address, End] = {}
        self._keyrings: dict[bytes, Keyring] = {}
        self._crossings: dict[tuple[bytes, bytes], _Crossing] = {}
        self._seen = Seen()

    def add(self, name: str, address: Address, secret: bytes | None = None) -> End:
        """Raises RelayError."""
        if not NAME.fullmatch(name):
            raise RelayError(f"'{name}' is no name: 1 to 32 letters, digits and ._-")
        if name in self.ends:
            raise RelayError(f"there is a tunnel {name} already; delete it first")
        if address in self._by_address:
            raise RelayError(f"tunnel {self._by_address[address].name} has that address already")
        if len(self.ends) >= MOST_TUNNELS:
            raise RelayError(f"there are {MOST_TUNNELS} tunnels already; let another relay be one of them")
        if secret is not None and self.secret is None:
            raise RelayError("a tunnel has a secret of its own only where the relay has one")
        end = End(name, address, secret or self.secret)
        self.ends[name] = self._by_address[address] = end
        return end

    def remove(self, name: str) -> None:
        """Raises RelayError."""
        if name not in self.ends:
            raise RelayError(f"no tunnel {name}")
        end = self.ends.pop(name)
        del self._by_address[end.address]

    def receive(self, datagram: bytes, source: Address, now: float) -> list[tuple[bytes, End]]:
        """What goes where; never raises."""
        try:
            return list(self._receive(datagram, source, now))
        except FrameError as error:
            self.drops.count(error.reason, source[0])
            return []

    def _receive(self, datagram: bytes, source: Address, now: float) -> Iterator[tuple[bytes, End]]:
        origin = self._by_address.get(source)
        if origin is None:
            raise FrameError("stranger")
        header = parse_header(datagram)
        body = None if origin.secret is None else self._keyring(origin.secret).open(header, datagram)
        # Only what is genuine is remembered; what the relay cannot read, by its last octets, which a forger would have to know.
        if not self._seen.add(datagram[-TAG:], now):
            raise FrameError("again")
        origin.counts["received"] += 1
        sealed: dict[bytes | None, bytes] = {origin.secret: datagram}
        for end in self.ends.values():
            if end is origin:
                continue
            if end.secret not in sealed and body is not None and end.secret is not None:
                sealed[end.secret] = other = self._resealed(header, body, end.secret)
                self._seen.add(other[-TAG:], now)
            yield sealed[end.secret], end

    def _keyring(self, secret: bytes) -> Keyring:
        """Keys of senders are kept in it, within bounds."""
        return self._keyrings.setdefault(secret, Keyring([secret]))

    def _resealed(self, header: Header, body: bytes, secret: bytes) -> bytes:
        """The same message of the same sender for those who have another secret."""
        if body[:1] == bytes((Kind.HELLO,)):
            # Who has this secret is to take it for the one that all accept.
            hello = replace(parse_hello(body[1:]), keys=(key_id(secret),))
            body = body[:1] + hello.encode()
        known = self._crossings.get((secret, header.sender))
        if known is None and len(self._crossings) >= MOST_SENDERS:
            raise FrameError("crowded")
        if known is None or known.epoch < header.epoch:
            known = self._crossings[secret, header.sender] = _Crossing(secret, header)
        return known.seal(header, body)

    def sizes(self) -> Mapping[str, int]:
        """What is kept."""
        keys = len(self._crossings) + sum(map(len, self._keyrings.values()))
        return {"tunnels": len(self.ends), "tags": len(self._seen), "keys": keys}

    def listed(self) -> Sequence[End]:
        return sorted(self.ends.values(), key=lambda end: end.name)
