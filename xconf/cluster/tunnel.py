"""The tunnel between nodes, without its sockets: datagrams and `now` (s, of a clock that only goes forward) in, effects out.

A node is believed when it proves three things: that it has the cluster's secret (each datagram is sealed), that this datagram
is new (replay window), and that its epoch is (it repeats ours to us, so what was recorded before either of us started is not
taken for it). Whatever else comes is dropped and counted.

For those who build on it, this is stable:

- `send(kind, body, now)` returns `Send` effects: to be sent to all other nodes;
- `receive(datagram, source, now)` returns effects, among them `Received(node, kind, body)`, whose `node` is the authenticated
  name of the node that sent it (all who have the secret are trusted not to lie about it; a name whose owner is being heard is
  not taken from it), and `Appeared(node, epoch)` when a node comes, or comes back after a restart;
- `wake(now)`, to be called each second, returns what is to be sent then;
- `peers`: by name, each node that was ever heard since we started, with `last`, `now` of its last genuine datagram.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from xconf.cluster import frame
from xconf.cluster.frame import FrameError, Header, Hello, Kind, parse_header, parse_hello
from xconf.cluster.peers import Address, Drops, Gate, Peer, Window
from xconf.cluster.seal import Keyring, Sealer

HELLO_EVERY = 1.0  # s
SOONEST = 0.05  # s between two that are sent out of turn
ALIVE = 3.0  # s since it was heard, for which a node counts as there
SUCCESSION = 1.0  # s that a node must have been silent before another of its name, or itself restarted, takes its place
MOST_PEERS = 4096
MOST_NEW = 256  # epochs that have not proved anything yet
NEW_FOR = 10.0  # s that they are answered


@dataclass(frozen=True, slots=True)
class Send:
    """To each of the other nodes."""

    datagram: bytes


@dataclass(frozen=True, slots=True)
class Received:
    """A genuine message of another node. body: without the octet of its kind."""

    node: str
    kind: Kind
    body: bytes


@dataclass(frozen=True, slots=True)
class Appeared:
    """A node has proved that it is there: for the first time, or in a new epoch (it was restarted)."""

    node: str
    epoch: int


Effect = Send | Received | Appeared


@dataclass(slots=True)
class Counts:
    """Datagrams and octets, since the start."""

    sent: int = 0
    sent_octets: int = 0
    received: int = 0
    received_octets: int = 0


@dataclass(slots=True)
class _New:
    """An epoch of a sender that was heard, and has to prove that it is not a recording."""

    since: float


class Tunnel:
    """One node's end. epoch: greater than that of any former start of this node (see `epoch_at`).

    secrets: what we seal with first; the second one, where there is one, is on its way out: it is used for as long as a node
    that is there does not accept the first. encrypt: or else bodies are authenticated only. sources: addresses from which
    other nodes are known to send.
    """

    def __init__(
        self, name: str, secrets: Sequence[bytes], epoch: int, *, encrypt: bool = True, sources: Iterable[Address] = ()
    ) -> None:
        if not 0 < len(name.encode()) <= frame.MAX_NAME:
            raise ValueError(f"a node's name has 1 to {frame.MAX_NAME} octets")
        self.name = name
        self.id = frame.node_id(name)
        self.epoch = epoch
        self.peers: dict[str, Peer] = {}
        self.drops = Drops()
        self.counts = Counts()
        self._gate = Gate(sources)
        self._sequence = 0
        self._encrypt = encrypt
        self._by_id: dict[bytes, Peer] = {}
        self._new: dict[tuple[bytes, int], _New] = {}
        self._waiting: dict[
            bytes, int
        ] = {}  # sender: epoch of nodes that are believed, and do not know that we hear them
        self._turn = 0
        self._last_hello = -HELLO_EVERY
        self._owed = False
        self.adopt(secrets, 0.0)

    def adopt(self, secrets: Sequence[bytes], now: float) -> None:
        """Other secrets, from now on; at most two."""
        self._keyring = Keyring(secrets[:2])
        self._sealers = [Sealer(secret, self.id, self.epoch, encrypt=self._encrypt) for secret in secrets[:2]]
        self._choose_sealer(now)

    # Sending

    def send(self, kind: Kind, body: bytes, now: float) -> list[Send]:
        """A message to all other nodes; may get lost. Raises ValueError for more than frame.MAX_BODY octets."""
        if len(body) > frame.MAX_BODY:
            raise ValueError(f"a body of {len(body)} octets, where {frame.MAX_BODY} are the most")
        return [self._seal(self._sealer, kind, body)]

    def _seal(self, sealer: Sealer, kind: Kind, body: bytes) -> Send:
        self._sequence += 1
        datagram = sealer.seal(self._sequence, bytes((kind,)) + body)
        self.counts.sent += 1
        self.counts.sent_octets += len(datagram)
        return Send(datagram)

    def wake(self, now: float) -> list[Send]:
        """The second's greeting, and whatever time brings. To be called each second, or whenever `wants_wake`."""
        self._forget(now)
        self._choose_sealer(now)
        return self._hello(now)

    def alive(self, now: float) -> list[Peer]:
        """Nodes that are there."""
        return [peer for peer in self.peers.values() if now - peer.last < ALIVE]

    def sizes(self) -> dict[str, int]:
        """What is held of others: nodes that were heard, epochs that have proved nothing yet, keys."""
        return {"nodes": len(self.peers), "unproved": len(self._new), "keys": len(self._keyring)}

    def _hello(self, now: float) -> list[Send]:
        """By each of our secrets: some may not have the other one yet."""
        self._last_hello = now
        body = Hello(self.name, self._keyring.ids, self._echoes(now)).encode()
        self._owed = bool(self._waiting)
        return [self._seal(sealer, Kind.HELLO, body) for sealer in self._sealers]

    def _echoes(self, now: float) -> tuple[tuple[bytes, int], ...]:
        """Who is new first, and who was believed just now, for they wait for it; then all others in turns."""
        new = list(self._new)
        waiting = list(self._waiting.items())[: max(frame.MAX_ECHOES // 2, frame.MAX_ECHOES - len(new))]
        for identity, _ in waiting:
            del self._waiting[identity]
        first = [*new[-(frame.MAX_ECHOES - len(waiting)) :], *waiting]
        there = [(identity, peer.epoch) for identity, peer in self._by_id.items() if now - peer.last < NEW_FOR]
        room = min(frame.MAX_ECHOES - len(first), len(there))
        start = self._turn % len(there) if there else 0
        self._turn += room
        return (*first, *islice(there + there, start, start + room))

    def _choose_sealer(self, now: float) -> None:
        """The first secret, unless somebody is there who does not accept it."""
        first, last = self._sealers[0], self._sealers[-1]
        all_have_it = all(first.key in peer.keys for peer in self.alive(now))
        self._sealer = first if all_have_it else last

    def _forget(self, now: float) -> None:
        self._new = {key: new for key, new in self._new.items() if now - new.since < NEW_FOR}

    # Receiving

    def receive(self, datagram: bytes, source: Address, now: float) -> list[Effect]:
        """Whatever came from the network; never raises."""
        if not self._gate.passes(source, now):
            self.drops.count("flood", source[0])
            return []
        try:
            return self._receive(datagram, source, now)
        except FrameError as error:
            self.drops.count(error.reason, source[0])
            return []

    def _receive(self, datagram: bytes, source: Address, now: float) -> list[Effect]:
        header = parse_header(datagram)
        if header.sender == self.id and header.epoch == self.epoch:
            return []  # our own, which multicast and relays bring back
        peer = self._by_id.get(header.sender)
        current = peer is not None and peer.epoch == header.epoch
        if peer is not None and (header.epoch < peer.epoch or (current and not peer.window.fresh(header.sequence))):
            raise FrameError("replayed")
        body = self._keyring.open(header, datagram)
        if not body or body[0] not in Kind._value2member_map_:
            raise FrameError("malformed")
        kind = Kind(body[0])
        if peer is None or not current:
            return self._meet(header, kind, body[1:], source, now)
        peer.window.add(header.sequence)
        if source != peer.source:
            self._gate.know(source)
        peer.last, peer.source = now, source
        peer.received += 1
        self.counts.received += 1
        self.counts.received_octets += len(datagram)
        if kind == Kind.HELLO:
            return self._greeted(peer, parse_hello(body[1:]), now)
        return [Received(peer.name, kind, body[1:])]

    def _greeted(self, peer: Peer, hello: Hello, now: float) -> list[Effect]:
        keys = frozenset(hello.keys)
        if keys != peer.keys:  # each of hundreds of nodes greets each second: all are looked at only where that matters
            peer.keys = keys
            self._choose_sealer(now)
        return []

    def _meet(self, header: Header, kind: Kind, body: bytes, source: Address, now: float) -> list[Effect]:
        """A sender that we do not know, or not in this epoch. It is believed when it repeats our epoch to us."""
        if header.sender == self.id:
            raise FrameError("namesake")  # another node has our name
        if kind != Kind.HELLO:
            raise FrameError("unproved")
        hello = parse_hello(body)
        if frame.node_id(hello.name) != header.sender or not hello.name.isprintable():
            raise FrameError("malformed")
        before = self._by_id.get(header.sender)
        if before is not None and now - before.last < SUCCESSION:
            raise FrameError("namesake")  # who has the name is being heard
        if (self.id, self.epoch) in hello.echoes:
            return self._admit(header, hello, source, now)
        self._note_new(header, now)
        return [*self._answer(now)]

    def _note_new(self, header: Header, now: float) -> None:
        key = header.sender, header.epoch
        if key not in self._new and len(self._new) >= MOST_NEW:
            self._new.pop(next(iter(self._new)))
        self._new.setdefault(key, _New(now))

    def _answer(self, now: float) -> list[Send]:
        """Greet at once, so that who is new need not wait for its turn; but not at any rate."""
        if now - self._last_hello < SOONEST:
            self._owed = True
            return []
        return self._hello(now)

    @property
    def wants_wake(self) -> float | None:
        """`now` at which a greeting that was put off is due, None: there is none."""
        return self._last_hello + SOONEST if self._owed else None

    def _admit(self, header: Header, hello: Hello, source: Address, now: float) -> list[Effect]:
        known = (header.sender, header.epoch) in self._new
        self._new.pop((header.sender, header.epoch), None)
        self._waiting[header.sender] = header.epoch
        if len(self._by_id) >= MOST_PEERS and header.sender not in self._by_id:
            self._evict()
        peer = Peer(hello.name, header.epoch, Window(header.sequence), now, source, frozenset(hello.keys))
        self._gate.know(source)
        self._by_id[header.sender] = self.peers[hello.name] = peer
        self.counts.received += 1
        self._choose_sealer(now)
        appeared = Appeared(hello.name, header.epoch)
        # It waits to be repeated to, too, unless that was just done.
        return [appeared] if known and self._owed else [appeared, *self._answer(now)]

    def _evict(self) -> None:
        identity, peer = min(self._by_id.items(), key=lambda item: item[1].last)
        del self._by_id[identity], self.peers[peer.name]


def epoch_at(wall: float, random: int) -> int:
    """An epoch for a start at that time of day: milliseconds, and 20 random bits."""
    return int(wall * 1000) << 20 | random & 0xFFFFF
