"""Datagrams of somebody who hears all that goes through the tunnel, and wants to be heard: everything but the secret.

As a program it sends them to a node: `python tests/cluster_attacker.py 127.0.0.1:65021 100000`; it listens to nothing, so what it
replays and alters is what nodes with another secret would send.
"""

from __future__ import annotations

import random
import socket
import sys
from collections.abc import Callable, Iterator, Sequence

from xconf.cluster.frame import HEADER, Kind, node_id
from xconf.cluster.seal import Sealer
from xconf.cluster.sound import Coding, SoundFrame, conference_id

WRONG = b"a secret that is not theirs"


class Attacker:
    """recorded: datagrams of the nodes, which may grow meanwhile."""

    def __init__(self, recorded: Sequence[bytes], seed: int = 1) -> None:
        self._recorded = recorded
        self._random = random.Random(seed)
        self._ways: list[Callable[[], bytes]] = [
            self._noise,
            self._noise_behind_a_header,
            self._truncated,
            self._lengthened,
            self._replayed,
            self._flipped,
            self._renumbered,
            self._renamed,
            self._later_epoch,
            self._wrong_key,
            self._spliced,
            self._decrypted,
        ]

    def datagrams(self, count: int) -> Iterator[bytes]:
        for number in range(count):
            yield self._ways[number % len(self._ways)]()

    def _one(self) -> bytes:
        return self._random.choice(self._recorded)

    def _noise(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1500))

    def _noise_behind_a_header(self) -> bytes:
        return self._one()[: HEADER.size] + self._random.randbytes(self._random.randrange(400))

    def _truncated(self) -> bytes:
        one = self._one()
        return one[: self._random.randrange(len(one))]

    def _lengthened(self) -> bytes:
        return self._one() + self._random.randbytes(1 + self._random.randrange(40))

    def _replayed(self) -> bytes:
        return self._one()

    def _flipped(self) -> bytes:
        altered = bytearray(self._one())
        altered[self._random.randrange(len(altered))] ^= 1 << self._random.randrange(8)
        return bytes(altered)

    def _renumbered(self) -> bytes:
        """The sequence number of one that is to come."""
        one = self._one()
        ahead = int.from_bytes(one[24:32], "big") + 1 + self._random.randrange(2000)
        return one[:24] + ahead.to_bytes(8, "big") + one[32:]

    def _renamed(self) -> bytes:
        one = self._one()
        return one[:8] + node_id(f"n{self._random.randrange(100_000)}") + one[16:]

    def _later_epoch(self) -> bytes:
        one = self._one()
        return one[:16] + self._random.randbytes(8) + one[24:]

    def _wrong_key(self) -> bytes:
        """Sound, well made, with a key of his own, under the sign of theirs."""
        one = self._one()
        frame = SoundFrame(conference_id("3000"), Coding.L16, 1, 8000, self._random.randrange(1 << 20), bytes(320))
        sealer = Sealer(WRONG, one[8:16], int.from_bytes(one[16:24], "big"))
        sealed = sealer.seal(self._random.randrange(1 << 40), bytes((Kind.SOUND,)) + frame.encode())
        return sealed[:6] + one[6:8] + sealed[8:]

    def _spliced(self) -> bytes:
        return self._one()[: HEADER.size] + self._one()[HEADER.size :]

    def _decrypted(self) -> bytes:
        """As if it had not been encrypted."""
        one = self._one()
        return one[:5] + bytes((one[5] ^ 1,)) + one[6:]


def main() -> None:
    host, _, port = sys.argv[1].rpartition(":")
    foreign = [Sealer(WRONG, node_id(name), 1).seal(n, b"\x01" + bytes(30)) for name in "ab" for n in range(50)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in Attacker(foreign).datagrams(int(sys.argv[2])):
            sender.sendto(datagram, (host, int(port)))


if __name__ == "__main__":
    main()
