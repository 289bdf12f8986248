"""What the tunnel between nodes costs: CPU per conference and peer, without a network, then into a socket."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from bench.table import Figures, Row
from xconf.cluster.coding import Compressed, Plain
from xconf.cluster.conferences import ConferenceLink, Conferences
from xconf.cluster.frame import Kind
from xconf.cluster.tunnel import Received, Send, Tunnel

SECRET = b"a secret of the benchmarks"
TICK = 0.02
ALLOWED = 0.05  # of a core, for a conference with speakers on 8 other nodes

Samples = npt.NDArray[np.int16]


class Node:
    """One node with one conference. now: s."""

    def __init__(self, name: str, rate: int, codecs: Plain) -> None:
        self.now = 0.0
        self.sent: list[bytes] = []
        self.tunnel = Tunnel(name, [SECRET], 1, sources=[("here", 1)])
        self.conferences = Conferences(self._send, lambda: self.now, codecs)
        self.conferences.heard = True
        self.link: ConferenceLink = self.conferences.open("3000", rate, 1)

    def _send(self, body: bytes) -> None:
        self.sent += [effect.datagram for effect in self.tunnel.send(Kind.SOUND, body, self.now)]

    def take(self, datagram: bytes) -> None:
        for effect in self.tunnel.receive(datagram, ("here", 1), self.now):
            if isinstance(effect, Received):
                self.conferences.sound(effect.node, effect.body, self.now)
            elif isinstance(effect, Send):
                self.sent.append(effect.datagram)


def measure(quick: bool) -> Figures:
    ticks = 100 if quick else 1000
    rows = []
    for rate, codecs, how in ((8000, Plain(), "pcm"), (48000, Plain(), "pcm"), (8000, Compressed(), "opus")):
        for peers in (1, 8):
            send, receive = _costs(rate, codecs, peers, ticks)
            share = (send + receive) / TICK
            rows.append(
                Row(
                    f"tunnel: a conference at {rate} Hz, {how}, {peers} other nodes on which somebody speaks",
                    f"{ALLOWED * 100:g} % of a core" if peers == 8 and rate == 8000 else "-",
                    f"{share * 100:.2f} %",
                    share <= ALLOWED if peers == 8 and rate == 8000 else None,
                    f"{send * 1e6:.0f} us a tick to send its own sound, {receive / peers * 1e6:.0f} to take in each other node's",
                )
            )
    rows.append(_writes(2000 if quick else 20_000))
    return Figures(rows)


def _costs(rate: int, codecs: Plain, peers: int, ticks: int) -> tuple[float, float]:
    """CPU seconds per tick: to send, and to take in what all others send."""
    here, others = Node("here", rate, codecs), [Node(f"n{n}", rate, codecs) for n in range(peers)]
    _acquaint([here, *others])
    voice = (np.random.default_rng(1).normal(0, 3000, (50, rate // 50))).astype(np.int16)
    spent = [0.0, 0.0]
    for tick in range(ticks):
        for node in (here, *others):
            node.now += TICK
            node.sent.clear()
        for other in others:
            other.link.send(tick, voice[tick % 50])
        spent[0] += _cpu(lambda tick=tick: here.link.send(tick, voice[tick % 50]))  # type: ignore[misc]
        spent[1] += _cpu(lambda tick=tick: _take_all(here, others, tick))  # type: ignore[misc]
    return spent[0] / ticks, spent[1] / ticks


def _take_all(here: Node, others: list[Node], tick: int) -> None:
    for other in others:
        for datagram in other.sent:
            here.take(datagram)
    here.link.receive(tick)


def _acquaint(nodes: list[Node]) -> None:
    for _ in range(4):
        for node in nodes:
            node.now += 1.0
            for sent in node.tunnel.wake(node.now):
                for other in nodes:
                    if other is not node:
                        other.take(sent.datagram)


def _cpu(work: Callable[[], None]) -> float:
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _writes(count: int) -> Row:
    """Each peer of unicast is one more write."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker,
    ):
        taker.bind(("127.0.0.1", 0))
        address, datagram = taker.getsockname(), bytes(400)

        def write() -> None:
            for _ in range(count):
                sender.sendto(datagram, address)

        took = _cpu(write) / count
    return Row(
        "tunnel: each further peer of unicast, for each conference in which somebody speaks",
        "-",
        f"{took / TICK * 100:.3f} % of a core",
        None,
        f"{took * 1e6:.1f} us a datagram for the system; multicast and a relay need one for all",
    )
