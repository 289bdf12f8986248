"""What a relay costs: CPU for each datagram, and for each tunnel that it is cloned to, into real sockets."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor as any_reactor

from bench.cpu import ROUNDS, median_of
from bench.table import Figures, Row
from xconf.cluster.frame import Kind
from xconf.cluster.relay.core import MOST_TUNNELS, Relay
from xconf.cluster.relay.service import RelayService
from xconf.cluster.tunnel import Tunnel

SECRET = b"a secret of the benchmarks"
FRAMES = 50  # datagrams a second of a conference at 8000 Hz
SOUND = 350  # octets of a body of 20 ms of it
ALLOWED = 0.25  # of a core, for one node that speaks to as many as a relay has
SOURCE = ("127.0.0.2", 65021)

reactor: Any = any_reactor


def measure(quick: bool) -> Figures:
    count = 50 if quick else 500
    few, many = (_costs(tunnels, count) for tunnels in (2, MOST_TUNNELS))
    each = (many - few) / (MOST_TUNNELS - 2)
    share = many * FRAMES
    return Figures(
        [
            Row(
                f"relay: a conference at 8000 Hz of one node on which somebody speaks, to {MOST_TUNNELS - 1} others",
                f"at most {ALLOWED:.0%} of a core",
                f"{share:.1%}",
                share <= ALLOWED,
                f"{(few - each) * 1e6:.1f} us a datagram, opened and looked up, and {each * 1e6:.1f} for each tunnel that it goes to, "
                "the system's work with it",
            )
        ]
    )


def _costs(tunnels: int, count: int) -> float:
    """CPU seconds of a datagram."""
    sender = Tunnel("n", [SECRET], 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taker:
        taker.bind(("", 0))
        service = RelayService(reactor, Relay(SECRET), ("127.0.0.1", 0))
        service.relay.add("from", SOURCE)
        for number in range(tunnels - 1):
            service.relay.add(f"to-{number}", (f"127.0.{1 + number // 200}.{1 + number % 200}", taker.getsockname()[1]))
        service.startService()
        batches = iter(
            [[sender.send(Kind.SOUND, bytes(SOUND), 0.0)[0].datagram for _ in range(count)] for _ in range(ROUNDS)]
        )

        def relay() -> None:
            for datagram in next(batches):
                service.datagram(datagram, SOURCE)

        try:
            return median_of(relay) / count
        finally:
            service.stopService()
