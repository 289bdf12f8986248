"""One request on its way through us, from the transaction that it came by to the one that it goes on by (RFC 3261 16.7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, Response
from xconf.sip.timers import Timer
from xconf.sip.transaction import ClientTransaction, Failure, Outcome, ServerTransaction, cancel

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

TIMER_C = 181.0  # s that a telephone may ring from its last word on (section 16.6 item 11)

Failed = Callable[[int, float], None]
"""Told 503 (it cannot be reached, or has no room) or 408 (it says nothing), and now. The request is not answered then."""


class Passage:
    """patience: s after which who has said nothing at all is not there, None: as long as the transaction tries. rewrite: for
    each response that goes back. failed: who sees to it then, None: the caller is told. over: told now when it is answered.
    """

    __slots__ = ("_cancelled", "_client", "_failed", "_heard", "_over", "_rewrite", "_server", "_timer", "_ua")

    def __init__(
        self,
        ua: UserAgent,
        server: ServerTransaction,
        request: Request,
        hop: tuple[Flow, Place | None],
        now: float,
        *,
        patience: float | None = None,
        rewrite: Callable[[Response], None] | None = None,
        failed: Failed | None = None,
        over: Callable[[float], None] | None = None,
    ) -> None:
        self._ua = ua
        self._server: ServerTransaction | None = server
        self._rewrite = rewrite
        self._failed = failed
        self._over = over
        self._heard = self._cancelled = False
        self._timer: Timer | None = None
        server.cancelled = self._cancel
        self._client: ClientTransaction | None = ua.transactions.send(request, *hop, self._outcome, now)
        if request.method == "INVITE":
            self._wait(TIMER_C if patience is None else patience, now)
            ua.watch(self._client.flow, self._lost)

    def _wait(self, seconds: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._ua.timers.at(now + seconds, self._overdue)

    # Responses

    def _outcome(self, outcome: Outcome, now: float) -> None:
        if self._client is None:
            self._again(outcome, now)
        elif self._server is None:
            self._too_late(outcome, now)
        elif isinstance(outcome, Failure):
            self._not_there(outcome.value, now)
        elif outcome.status < 200:
            self._progress(self._server, outcome, now)
        elif outcome.status == 503 and self._failed is not None:
            self._not_there(503, now)
        else:
            self._server.tag = outcome.to.tag  # for the answer to a CANCEL that comes too late (section 9.2)
            self._pass_back(self._server, outcome, now)
            self._close(now)

    def _progress(self, server: ServerTransaction, response: Response, now: float) -> None:
        first, self._heard = not self._heard, True
        if self._cancelled:
            if first:
                self._send_cancel(now)
        elif self._timer is not None and (first or response.status > 100):
            self._wait(TIMER_C, now)
        if response.status > 100:
            self._pass_back(server, response, now)

    def _again(self, outcome: Outcome, now: float) -> None:
        """After the answer: a 2xx that is repeated, or of another telephone, goes back each time (section 16.7 item 5)."""
        if self._server is not None and isinstance(outcome, Response) and 200 <= outcome.status < 300:
            self._pass_back(self._server, outcome, now)

    def _pass_back(self, server: ServerTransaction, response: Response, now: float) -> None:
        headers = response.headers.copy()
        headers.set_all("Via", response.headers.get_all("Via")[1:])
        onward = Response(response.status, response.reason, headers, response.body)
        if self._rewrite is not None:
            self._rewrite(onward)
        server.respond(onward, now)

    def _close(self, now: float) -> None:
        """It is answered. What is left, for repeated answers, hangs together in no circle."""
        self._stop(now)
        self._client = None

    def _stop(self, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.cancelled = None
        if self._client is not None:
            self._ua.unwatch(self._client.flow, self._lost)
        over, self._over, self._failed = self._over, None, None
        if over is not None:
            over(now)

    # Nobody answers

    def _overdue(self, now: float) -> None:
        if self._heard and not self._cancelled:  # it has rung for too long
            self._cancelled = True
            self._send_cancel(now)
        else:
            self._not_there(408, now)

    def _lost(self, flow: Flow, now: float) -> None:
        """The connection is gone, or who is behind it. The transaction waits for answers by another one (section 18.2.2); the caller
        does not: it is as if it had been answered 503 (section 16.9).
        """
        if self._client is not None and self._heard and self._client.unanswered and not self._cancelled:
            self._tell_cancel(self._client, now)
        self._not_there(503, now)

    def _not_there(self, status: int, now: float) -> None:
        server, failed = self._server, self._failed
        assert server is not None
        if self._cancelled:
            self._ua.respond(server, 487, now)
        elif failed is not None:
            self._over = None
        elif server.request.method == "INVITE" or status == 503:
            self._ua.respond(server, status, now)
        else:
            server.terminate(now)  # who asked has given up by now, too (RFC 4320 section 4.2)
        self._stop(now)
        self._part(now)
        if failed is not None and not self._cancelled:
            failed(status, now)

    def _part(self, now: float) -> None:
        """What this one still says counts no more."""
        client, self._server = self._client, None
        if client is None or not client.unanswered:
            self._client = None
        elif self._heard:
            self._client = None
            self._ua.abandon(client, now)

    def _too_late(self, outcome: Outcome, now: float) -> None:
        """It was there after all, when the request had gone another way."""
        client, self._client = self._client, None
        if client is None or not isinstance(outcome, Response):
            return
        self._ua.counters["forwarded_too_slow"] += 1
        if outcome.status < 200:
            self._tell_cancel(client, now)
            self._ua.abandon(client, now)

    # CANCEL (section 16.10)

    def _cancel(self, now: float) -> None:
        """The caller wants it no more; not before a provisional response can that be said (section 9.1)."""
        self._cancelled = True
        if self._heard:
            self._send_cancel(now)

    def _send_cancel(self, now: float) -> None:
        if self._client is not None and self._client.unanswered:
            self._tell_cancel(self._client, now)
        self._wait(64 * self._ua.settings.t1, now)

    def _tell_cancel(self, client: ClientTransaction, now: float) -> None:
        self._ua.transactions.send(cancel(client.request), client.flow, client.reconnect, _nothing, now)


def _nothing(outcome: Outcome, now: float) -> None:
    """What becomes of a CANCEL shows in the INVITE."""
