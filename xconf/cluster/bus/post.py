"""Letters between nodes, for a broker that others use, too: sealed like datagrams of the tunnel, and each taken once.

A letter is believed when it was sealed by a node that the tunnel has proved, in the run (epoch) that it is in, when it was not
taken before, and when it was meant for this run of ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import msgspec
from msgspec import Struct

from xconf.cluster.frame import FrameError, node_id, parse_header
from xconf.cluster.peers import Window
from xconf.cluster.seal import Keyring, Sealer


class Ask(Struct, tag="ask", array_like=True):
    """Do something. what: run (a command), rows (its data alone), find (a member) or follow (what happens)."""

    id: int
    what: str
    words: list[str]


class Told(Struct, tag="told", array_like=True):
    """An answer, or a part of one. data: what JSON can say, of a long table some rows. more: there is more to come."""

    id: int
    ok: bool
    text: str
    data: object = None
    more: bool = False


class Envelope(Struct, array_like=True):
    """From whom, and for which run of which node."""

    sender: str
    to: str
    epoch: int
    content: Ask | Told


@dataclass(frozen=True, slots=True)
class Correspondent:
    """A node as the tunnel has proved it. keys: of the secrets that it accepts."""

    epoch: int
    keys: Collection[int]


Known = Callable[[str], Correspondent | None]


def bus_id(name: str) -> bytes:
    """Another one than in the tunnel: so no key is used in both."""
    return node_id(f"{name}\0bus")


class Post:
    """One node's. known: what the tunnel says of another node, None: not there. dropped: letters that were not believed."""

    def __init__(self, name: str, epoch: int, secrets: Sequence[bytes], known: Known) -> None:
        self.name, self.epoch = name, epoch
        self.dropped: Counter[str] = Counter()
        self._known = known
        self._sequence = 0
        self._windows: dict[str, tuple[int, Window]] = {}
        self._encode = msgspec.msgpack.Encoder(enc_hook=str).encode
        self._decode = msgspec.msgpack.Decoder(Envelope).decode
        self.adopt(secrets)

    def adopt(self, secrets: Sequence[bytes]) -> None:
        """Other secrets, from now on; at most two, the first of which is preferred."""
        self._keyring = Keyring(secrets[:2])
        self._sealers = [Sealer(secret, bus_id(self.name), self.epoch) for secret in secrets[:2]]

    def seal(self, to: str, content: Ask | Told) -> bytes | None:
        """A letter; None: there is no such node."""
        other = self._known(to)
        if other is None:
            return None
        self._sequence += 1
        sealer = next((sealer for sealer in self._sealers if sealer.key in other.keys), self._sealers[-1])
        return sealer.seal(self._sequence, self._encode(Envelope(self.name, to, other.epoch, content)))

    def open(self, letter: bytes) -> tuple[str, Ask | Told] | None:
        """Who wrote, and what. Whatever is not believed is counted; never raises."""
        try:
            return self._open(letter)
        except FrameError as error:
            self.dropped[error.reason] += 1
        except (msgspec.MsgspecError, RecursionError):
            self.dropped["malformed"] += 1
        return None

    def _open(self, letter: bytes) -> tuple[str, Ask | Told]:
        header = parse_header(letter)
        envelope = self._decode(self._keyring.open(header, letter))
        sender = envelope.sender
        if bus_id(sender) != header.sender:
            raise FrameError("forged")
        other = self._known(sender)
        if other is None or other.epoch != header.epoch:
            raise FrameError("unproved")
        if (envelope.to, envelope.epoch) != (self.name, self.epoch):
            raise FrameError("astray")
        epoch, window = self._windows.get(sender, (0, Window(0)))
        if epoch != header.epoch:
            window = Window(0)
            self._windows[sender] = header.epoch, window
        if not window.fresh(header.sequence):
            raise FrameError("replayed")
        window.add(header.sequence)
        return sender, envelope.content
