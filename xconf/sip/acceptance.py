"""A 2xx to an INVITE, which its sender repeats until the ACK comes (RFC 3261 section 13.3.1.4)."""

from __future__ import annotations

from collections.abc import Callable

from xconf.sip.message import Response
from xconf.sip.settings import Settings
from xconf.sip.timers import Timer, Timers
from xconf.sip.transaction import ServerTransaction


class Acceptance:
    """Repeats on all transports, for the way behind the next hop may lose it. `lost(now)` is called when no ACK came."""

    __slots__ = ("_interval", "_limit", "_lost", "_next", "_response", "_settings", "_timers", "seq", "transaction")

    def __init__(
        self,
        timers: Timers,
        settings: Settings,
        transaction: ServerTransaction,
        response: Response,
        lost: Callable[[float], None],
        now: float,
    ) -> None:
        self.transaction = transaction
        self.seq = transaction.request.cseq.number
        self._timers = timers
        self._settings = settings
        self._response = response
        self._lost = lost
        self._interval = settings.t1
        self._next: Timer | None = timers.at(now + settings.t1, self._again)
        self._limit: Timer | None = timers.at(now + 64 * settings.t1, self._give_up)
        transaction.respond(response, now)

    def stop(self) -> None:
        """The ACK has come, or nobody waits for it any more."""
        for timer in (self._next, self._limit):
            if timer is not None:
                timer.cancel()
        self._next = self._limit = None

    def _again(self, now: float) -> None:
        self.transaction.respond(self._response, now)
        self._interval = min(2 * self._interval, self._settings.t2)
        self._next = self._timers.at(now + self._interval, self._again)

    def _give_up(self, now: float) -> None:
        self.stop()
        self._lost(now)
