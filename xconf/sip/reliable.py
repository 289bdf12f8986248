"""Provisional responses that are repeated until their PRACK comes (RFC 3262 section 3)."""

from __future__ import annotations

from collections.abc import Callable

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Request, Response
from xconf.sip.settings import Settings
from xconf.sip.syntax import parse_number
from xconf.sip.timers import Timer, Timers
from xconf.sip.transaction import ServerTransaction

_LARGEST = 2**32 - 1


class ReliableResponses:
    """Of one INVITE: one at a time, in order. `failed(now)` is called when one is never acknowledged."""

    __slots__ = ("_failed", "_interval", "_limit", "_next", "_queue", "_rseq", "_settings", "_timers", "_transaction")

    def __init__(
        self,
        timers: Timers,
        settings: Settings,
        transaction: ServerTransaction,
        first: int,
        failed: Callable[[float], None],
    ) -> None:
        self._timers = timers
        self._settings = settings
        self._transaction = transaction
        self._rseq = first
        self._failed = failed
        self._queue: list[Response] = []
        self._interval = 0.0
        self._next: Timer | None = None
        self._limit: Timer | None = None

    @property
    def waiting(self) -> bool:
        """A PRACK is due."""
        return bool(self._queue)

    def send(self, response: Response, now: float) -> None:
        response.headers.add("Require", "100rel")
        self._queue.append(response)
        if len(self._queue) == 1:
            self._start(now)

    def _start(self, now: float) -> None:
        response = self._queue[0]
        response.headers.set("RSeq", str(self._rseq))
        self._interval = self._settings.t1
        self._next = self._timers.at(now + self._interval, self._again)
        self._limit = self._timers.at(now + 64 * self._settings.t1, self._give_up)
        self._transaction.respond(response, now)

    def _again(self, now: float) -> None:
        self._interval *= 2
        self._next = self._timers.at(now + self._interval, self._again)
        self._transaction.respond(self._queue[0], now)

    def acknowledge(self, prack: Request, now: float) -> bool:
        """Whether this PRACK is for the response that waits for one; if so, the next one is sent."""
        if not self._queue or _rack(prack) != (self._rseq, self._transaction.request.cseq.number, "INVITE"):
            return False
        self._stop_timers()
        del self._queue[0]
        self._rseq += 1
        if self._queue:
            self._start(now)
        return True

    def stop(self) -> None:
        self._stop_timers()
        self._queue.clear()

    def _stop_timers(self) -> None:
        for timer in (self._next, self._limit):
            if timer is not None:
                timer.cancel()
        self._next = self._limit = None

    def _give_up(self, now: float) -> None:
        self.stop()
        self._failed(now)


def _rack(prack: Request) -> tuple[int, int, str] | None:
    """RAck: number of the response, CSeq number and method of its request."""
    pieces = (prack.headers.get("RAck") or "").split()
    if len(pieces) != 3:
        return None
    try:
        return parse_number(pieces[0], _LARGEST, "RAck"), parse_number(pieces[1], _LARGEST, "RAck"), pieces[2]
    except RemoteProtocolError:
        return None
