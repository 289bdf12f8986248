"""When datagrams came, as the kernel has noted it."""

from __future__ import annotations

import fcntl
import struct
from typing import Any

_LAST_STAMP = 0x8907  # SIOCGSTAMPNS of Linux: of the datagram that was read last
_TIME = struct.Struct("@ll")
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
