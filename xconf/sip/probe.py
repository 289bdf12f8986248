"""Whether a server is there: it is asked by OPTIONS from time to time (RFC 3261 section 11), and any answer will do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from xconf.sip.exchange import Exchange
from xconf.sip.flow import Flow
from xconf.sip.message import Request
from xconf.sip.timers import Timer
from xconf.sip.transaction import Failure, Outcome
from xconf.sip.uri import URI, Address

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent


class Probe:
    """`reachable`: None before the first answer; `round_trip`: of the last, seconds; `error`: why it is not reachable.

    flow: where to ask now; None: not known yet. changed is called when `reachable` is another.
    """

    def __init__(
        self,
        ua: UserAgent,
        domain: str,
        interval: float,
        *,
        flow: Callable[[], Flow | None],
        changed: Callable[[], None],
        why: Callable[[Flow], str] = lambda flow: "",
    ) -> None:
        self.reachable: bool | None = None
        self.round_trip: float | None = None
        self.error = ""
        self._ua = ua
        self._uri = URI("sip", host=domain)
        self._interval = interval
        self._flow = flow
        self._changed = changed
        self._why = why
        self._timer: Timer | None = None
        self._asking = 0

    def start(self, now: float) -> None:
        """Ask now, and then from time to time."""
        self._later(now, self._ua.rng.uniform(0, min(1.0, self._interval)))

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._asking += 1

    def _later(self, now: float, pause: float) -> None:
        self._timer = self._ua.timers.at(now + pause, self._ask)

    def _ask(self, now: float) -> None:
        flow = self._flow()
        if flow is None:
            self._later(now, min(self._interval, 5.0))
            return
        self._timer = None
        self._asking += 1
        request = Request(
            "OPTIONS",
            self._uri,
            [
                *(("Max-Forwards", "70"), ("From", str(self._us(flow).with_tag(self._ua.tag())))),
                *(("To", str(Address(self._uri))), ("Call-ID", self._ua.call_id(flow)), ("CSeq", "1 OPTIONS")),
                *(("Contact", self._ua.contact(flow, "")), ("Accept", "application/sdp")),
            ],
        )
        told = partial(self._outcome, self._asking, flow, now)
        Exchange(self._ua, request, (flow, None), told, now, credentials=None, renumber=lambda: 2)

    @staticmethod
    def _us(flow: Flow) -> Address:
        return Address(URI("sip", host=flow.local[0]))

    def _outcome(self, asking: int, flow: Flow, asked: float, outcome: Outcome, now: float) -> None:
        if asking != self._asking or (not isinstance(outcome, Failure) and outcome.status < 200):
            return
        there = not isinstance(outcome, Failure)
        self.round_trip = now - asked if there else None
        why = "no answer to OPTIONS" if outcome is Failure.TIMEOUT else self._why(flow) or "no connection"
        self.error = "" if there else f"{flow}: {why}"
        self._later(now, self._interval * self._ua.rng.uniform(0.9, 1.0))
        if there is not self.reachable:
            self.reachable = there
            self._changed()
