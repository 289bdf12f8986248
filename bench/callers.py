"""Callers without SIP: the media of `xconf load`, towards ports that are known. For the floor, which knows no SIP.

    python -m bench.callers COUNT SPEAKERS HOST PORT...

Prints a line `to P ADDRESS PORT` for each caller (who is the P-th port's), then `end`; runs until standard input ends,
and prints what was sent and what arrived as JSON.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from twisted.internet import reactor as any_reactor
from twisted.internet import stdio
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from xconf.media.codecs import PCMU
from xconf.phone.load_media import LoadMedia
from xconf.phone.load_options import loopback_addresses

reactor: Any = any_reactor


class UntilEnd(Protocol):
    """Stops the reactor when standard input ends."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if reactor.running:
            reactor.stop()


def main(words: list[str]) -> int:
    count, speakers = int(words[0]), int(words[1])
    remotes = [(words[2], int(port)) for port in words[3:]]
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
        port = caller % len(remotes)
        media.start(caller, remotes[port], 0, 0)
        print("to", port, *media.local(caller))
    print("end", flush=True)
    media.run()
    stdio.StandardIO(UntilEnd())
    reactor.run()
    sent = media.sent
    print(json.dumps({"sent": sent.packets, "left_out": sent.left_out, "arrived": media.arrived}))
    media.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
