"""Datagrams of somebody who hears all that goes through the tunnel, and wants to be heard: everything but the secret.

As a program it sends them to a node: `python tests/cluster_attacker.py 127.0.0.1:65021 100000`. What it replays and alters is what
nodes with another secret would send, or what it records from a network device (`--listen`).
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import socket
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from xconf.cluster.frame import HEADER, Kind, node_id
from xconf.cluster.seal import Sealer
from xconf.cluster.sound import Coding, SoundFrame, conference_id

LARGEST = 1472  # octets that one Ethernet frame holds
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


class Recorder:
    """What comes by on a network device, of a port of UDP. Needs root."""

    def __init__(self, device: str, port: int) -> None:
        self.recorded: deque[bytes] = deque(maxlen=500)
        self._port = port.to_bytes(2, "big")
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
        self._socket.bind((device, 0))
        self._socket.setblocking(False)

    def listen(self) -> None:
        """Take what came."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame = self._socket.recv(2048)
                if frame[23] == socket.IPPROTO_UDP and frame[36:38] == self._port:
                    self.recorded.append(frame[42 : 34 + int.from_bytes(frame[38:40], "big")])


class Forger:
    """Sends with any address as the source. Needs root."""

    def __init__(self, sources: Sequence[str], target: tuple[str, int]) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._target = target
        self._heads = [self._head(*source.split(":")) for source in sources]
        self._turn = itertools.cycle(self._heads)

    def _head(self, host: str, port: str) -> tuple[bytes, bytes]:
        """Of IP, whose length and sum the kernel writes, and the ports of UDP."""
        ends = socket.inet_aton(host) + socket.inet_aton(self._target[0])
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + ends
        return ip, struct.pack(">HH", int(port), self._target[1])

    def send(self, datagram: bytes) -> None:
        ip, ports = next(self._turn)
        datagram = datagram[:LARGEST]
        self._socket.sendto(ip + ports + struct.pack(">HH", 8 + len(datagram), 0) + datagram, self._target)


def main() -> None:
    parser = argparse.ArgumentParser(description="Send hostile datagrams to a node.")
    parser.add_argument("target", help="ADDRESS:PORT of its tunnel")
    parser.add_argument("count", type=int)
    parser.add_argument("--seconds", type=float, default=0.0, help="for so long, evenly; 0: as fast as can be")
    parser.add_argument("--listen", metavar="DEVICE", help="record what comes by there, to replay and to alter it")
    parser.add_argument("--source", action="append", metavar="ADDRESS:PORT", help="pretend to be there, in turns")
    given = parser.parse_args()
    host, _, port = given.target.rpartition(":")
    target = host, int(port)
    recorder = Recorder(given.listen, target[1]) if given.listen else None
    recorded: Sequence[bytes] = recorder.recorded if recorder else foreign()
    plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    send = Forger(given.source, target).send if given.source else lambda datagram: plain.sendto(datagram, target)
    began = time.monotonic()
    while recorder is not None and not recorded:
        recorder.listen()
        time.sleep(0.1)
    for number, datagram in enumerate(Attacker(recorded).datagrams(given.count)):
        send(datagram)
        if number % 50 == 0:
            time.sleep(max(0.0, began + given.seconds * number / given.count - time.monotonic()))
            if recorder is not None:
                recorder.listen()


def foreign() -> list[bytes]:
    """What nodes with another secret would send."""
    return [Sealer(WRONG, node_id(name), 1).seal(n, b"\x01" + bytes(30)) for name in "ab" for n in range(50)]


if __name__ == "__main__":
    main()
