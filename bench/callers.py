"""Callers without SIP: the media of `xconf load`, for servers that are told of their listeners in other ways.

    python -m bench.callers COUNT SPEAKERS

Prints a line `at ADDRESS PORT` for each caller, the speakers first, then `end`. On standard input:

    to HOST PORT    where the next caller sends, and hears from; he begins at once
    count           prints as JSON what was sent and what has arrived until now, and the CPU seconds of this program

Runs until standard input ends.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from twisted.internet import reactor as any_reactor
from twisted.internet import stdio
from twisted.internet.protocol import connectionDone
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from xconf.media.codecs import PCMU
from xconf.phone.load_media import LoadMedia
from xconf.phone.load_options import loopback_addresses

reactor: Any = any_reactor
Address = tuple[str, int]


@dataclass(slots=True, frozen=True)
class Count:
    """Packets sent by the callers and arrived at them, frames that they left out, their CPU seconds."""

    sent: int
    arrived: int
    left_out: int
    cpu: float


class Callers:
    """Such a program, running. `places` is where the callers are."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._input, self._output = process.stdin, process.stdout
        self.places = [_address(line) for line in iter(self._output.readline, "end\n")]

    def start(self, remotes: Iterable[Address]) -> None:
        """The next callers begin, each towards his own."""
        self._input.writelines(f"to {host} {port}\n" for host, port in remotes)
        self._input.flush()

    def count(self) -> Count:
        self._input.write("count\n")
        self._input.flush()
        return Count(**json.loads(self._output.readline()))


def _address(line: str) -> Address:
    _, host, port = line.split()
    return host, int(port)


@contextlib.contextmanager
def callers(count: int, speakers: int) -> Iterator[Callers]:
    """So many callers, none of whom has begun."""
    words = [sys.executable, "-m", "bench.callers", str(count), str(speakers)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Callers(process)
    finally:
        process.communicate()


class Orders(LineOnlyReceiver):
    """Standard input of the program."""

    delimiter = b"\n"

    def __init__(self, media: LoadMedia) -> None:
        self._media = media
        self._begun = 0

    def lineReceived(self, line: bytes) -> None:
        word, *rest = line.decode().split()
        if word == "to":
            self._media.start(self._begun, (rest[0], int(rest[1])), 0, 0)
            self._begun += 1
        else:
            sent = self._media.sent
            found = {"sent": sent.packets, "arrived": self._media.arrived, "left_out": sent.left_out}
            print(json.dumps(found | {"cpu": time.process_time()}), flush=True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reactor.running:
            reactor.stop()


def main(words: list[str]) -> int:
    count, speakers = map(int, words)
    number = np.arange(count)
    media = LoadMedia(
        reactor,
        loopback_addresses(count),
        count,
        PCMU,
        np.random.default_rng(),
        speaks=number < speakers,
        expects=number >= 0,
    )
    for caller in range(count):
        print("at", *media.local(caller))
    print("end", flush=True)
    media.run()
    stdio.StandardIO(Orders(media))
    reactor.run()
    media.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
