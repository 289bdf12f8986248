"""The relay's socket: one for all its tunnels."""

from __future__ import annotations

import logging
import socket
from typing import Any

from twisted.application.service import Service
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall

from xconf.cluster.peers import Address
from xconf.cluster.ports import listen
from xconf.cluster.relay.core import Relay

log = logging.getLogger(__name__)

BUFFER = 4 << 20  # octets that the kernel is to hold while we are busy
LOG_EVERY = 60.0  # s between two lines about what was dropped


class RelayService(Service):
    """Clones what comes in. What the kernel does not take at once is counted, and lost."""

    name = "relay"

    def __init__(self, reactor: Any, relay: Relay, listen: Address) -> None:
        self.relay = relay
        self.listen = listen
        self._reactor = reactor
        self._protocol = _Protocol(self)
        self._port: Any = None
        self._telling = LoopingCall(self._tell)
        self._telling.clock = reactor

    def startService(self) -> None:
        """Raises CannotListenError."""
        super().startService()
        host, number = self.listen
        self._port = listen(self._reactor, number, self._protocol, host)
        self._port.getHandle().setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        self._telling.start(LOG_EVERY, now=False)

    def stopService(self) -> Any:
        super().stopService()
        if self._telling.running:
            self._telling.stop()
        return None if self._port is None else self._port.stopListening()

    def datagram(self, datagram: bytes, source: Address) -> None:
        """One came."""
        for clone, end in self.relay.receive(datagram, source, self._reactor.seconds()):
            try:
                self._protocol.transport.write(clone, end.address)  # type: ignore[union-attr]
            except OSError:  # no route, a full buffer: the others may have one
                end.counts["unsent"] += 1
            else:
                end.counts["sent"] += 1
                end.counts["octets"] += len(clone)

    def _tell(self) -> None:
        dropped = self.relay.drops.line()
        if dropped:
            log.warning("relay: dropped in the last minute: %s", dropped)


class _Protocol(DatagramProtocol):
    def __init__(self, service: RelayService) -> None:
        self._service = service

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._service.datagram(datagram, addr[:2])
