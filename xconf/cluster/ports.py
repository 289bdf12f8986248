"""Ports of UDP that read so much in a turn of the reactor and no more; and when datagrams came, as the kernel has noted it."""

from __future__ import annotations

import errno
import fcntl
import logging
import struct
from typing import Any

from twisted.internet.udp import MulticastPort

log = logging.getLogger(__name__)

_LAST_STAMP = 0x8907  # SIOCGSTAMPNS of Linux: of the datagram that was read last
_TIME = struct.Struct("@ll")
AT_ONCE = 64  # datagrams of one turn of the reactor, 2 ms: what is forged at any rate leaves time for the tick
WAITED = 1.0  # s that one may have waited to be read; what says more is wrong


class Arrivals:
    """Of a UDP socket. Times are s of the wall clock, as the reactor's are."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._octets = bytearray(_TIME.size)
        self.last(0.0)  # the kernel begins to note them when it is asked for the first time

    def last(self, now: float) -> float:
        """When the datagram came that was read last: before `now`, where this process had no time to look; `now` if unknown."""
        try:
            fcntl.ioctl(self._handle, _LAST_STAMP, self._octets)
        except (OSError, ValueError):
            return now
        seconds, nanoseconds = _TIME.unpack(self._octets)
        at = float(seconds + nanoseconds * 1e-9)
        return at if now - WAITED < at < now else now


class Port(MulticastPort):
    """Twisted counts octets, so that of empty datagrams there is no end; this counts datagrams."""

    def doRead(self) -> None:
        """It is readable: a turn's share is read. What is left has it readable in the next turn."""
        for _ in range(AT_ONCE):
            try:
                datagram, source = self.socket.recvfrom(self.maxPacketSize)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EINTR):
                    log.warning("tunnel: nothing can be read just now: %s", error)
                return
            try:
                self.protocol.datagramReceived(datagram, source[:2])
            except Exception:
                log.exception("tunnel: a fault in a datagram of %s", source[0])


def listen(reactor: Any, number: int, protocol: Any, interface: str, *, shared: bool = False) -> Port:
    """As the reactor's listenUDP. shared: with other processes of this machine, as multicast needs. Raises CannotListenError."""
    port = Port(number, protocol, interface, reactor=reactor, listenMultiple=shared)
    port.startListening()
    return port
