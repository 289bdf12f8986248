"""Our registration at a registrar (RFC 3261 section 10.2): kept up for as long as we live, wherever the registrar is.

It knows no names and no clock: `locate` asks its owner for the servers, who answers by `located` or `not_located`;
`changed` tells it that the state is another. After each call the user agent is to be drained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.exchange import Credentials, Exchange
from xconf.sip.flow import Flow
from xconf.sip.message import Request, Response
from xconf.sip.syntax import parse_number
from xconf.sip.timers import Timer
from xconf.sip.transaction import Failure, Outcome
from xconf.sip.uri import URI, Address

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

LONGEST_PAUSE = 1800.0  # s between two tries, when a server does not answer (RFC 5626 section 4.5)
REFUSED_PAUSE = 300.0  # s, at least, after a refusal that the next try would only repeat, such as a wrong password
LONGEST_REFUSED = 3600.0
SHORTEST_REFRESH = 5.0
LONGEST_EXPIRES = 7 * 86_400

_PASSING = (408, 430, 480, 500, 502, 503, 504)  # another server, or the same one later, may answer otherwise


class State(Enum):
    STOPPED = "stopped"
    REGISTERING = "registering"
    REGISTERED = "registered"
    WAITING = "waiting"  # it failed, and is tried again
    REFUSED = "refused"  # as will be the next try, most likely


@dataclass(frozen=True, slots=True)
class Account:
    """domain: whose registrar it is; user: whom calls are for. Times in seconds: expires is asked for, retry is the pause
    after the first failure.
    """

    user: str
    domain: str
    credentials: Credentials | None = None
    expires: int = 3600
    retry: float = 30.0
    secure: bool = False


class Registration:
    """`state`, `error` (why it is not registered), `until` (when what the registrar granted ends), `flow` (to the server)."""

    def __init__(
        self,
        ua: UserAgent,
        account: Account,
        *,
        locate: Callable[[], None],
        changed: Callable[[], None],
        why: Callable[[Flow], str] = lambda flow: "",
    ) -> None:
        self.state = State.STOPPED
        self.error = ""
        self.until: float | None = None
        self.retry_at: float | None = None
        self.flow: Flow | None = None
        self._ua = ua
        self._account = account
        self._locate = locate
        self._changed = changed
        self._why = why
        self._address = Address(URI("sip", user=account.user, host=account.domain))
        self._tag = ua.tag()
        self._call_id: str | None = None
        self._seq = ua.first_seq()
        self._expires = account.expires
        self._left: list[Flow] = []  # servers of this round that were not tried yet
        self._pause = 0.0  # s that a server of this round asked for
        self._floors = 0  # 423s of this round
        self._locating = False
        self._failures = 0
        self._round = 0
        self._timer: Timer | None = None

    # For the owner

    def start(self, now: float) -> None:
        """Register, and stay registered."""
        self._begin(now)

    def stop(self, now: float, *, goodbye: bool = True) -> None:
        """Ask the registrar to forget us, whatever comes of it; without goodbye, somebody else goes on in our place."""
        registered = goodbye and self.until is not None and now < self.until
        self._leave(self.flow)
        self._cancel()
        self._round += 1
        self._locating = False
        self.until = self.retry_at = None
        if registered and self.flow is not None:
            self._send(self.flow, 0, now)
        self._become(State.STOPPED, "")

    def located(self, flows: Sequence[Flow], now: float) -> None:
        """The registrar's servers, the best first. The one that registered us is asked before all others."""
        if not self._locating:
            return
        self._locating = False
        self._left = sorted(flows, key=lambda flow: flow != self.flow)
        self._next("there is no server", now)

    def not_located(self, why: str, now: float) -> None:
        if self._locating:
            self._fail(why, now)

    def flow_failed(self, now: float) -> None:
        """The connection that we are registered over is gone: nobody reaches us by it any more (RFC 5626 section 4.4)."""
        if self.state is State.REGISTERED and self._timer is not None:
            self._wait(State.WAITING, "the connection was lost", now, self._ua.rng.uniform(0, 1))

    # A round: one try with each server

    def _begin(self, now: float) -> None:
        self._cancel()
        self._round += 1
        self._left, self._pause, self._floors, self._locating = [], 0.0, 0, True
        if self.state is not State.REGISTERED:
            self._become(State.REGISTERING, self.error)
        self._locate()

    def _next(self, why: str, now: float) -> None:
        """The next server, if there is one; why: the last one did not do."""
        if not self._left:
            self._fail(why, now)
            return
        flow = self._left.pop(0)
        if flow != self.flow:
            self._leave(self.flow)
        self.flow = flow
        self._send(flow, self._expires, now)

    def _send(self, flow: Flow, expires: int, now: float) -> None:
        self._call_id = self._call_id or self._ua.call_id(flow)
        self._seq += 1
        account = self._account
        request = Request(
            "REGISTER",
            URI("sips" if account.secure else "sip", host=account.domain),
            [
                *(("Max-Forwards", "70"), ("From", str(self._address.with_tag(self._tag)))),
                *(("To", str(self._address)), ("Call-ID", self._call_id), ("CSeq", f"{self._seq} REGISTER")),
                *(("Contact", self._ua.contact(flow, account.user)), ("Expires", str(expires))),
            ],
        )
        user = partial(self._outcome, self._round)
        Exchange(self._ua, request, (flow, None), user, now, credentials=account.credentials, renumber=self._renumber)

    def _renumber(self) -> int:
        self._seq += 1
        return self._seq

    def _outcome(self, of_round: int, outcome: Outcome, now: float) -> None:
        if of_round != self._round or self.flow is None or self.state is State.STOPPED:
            return
        if isinstance(outcome, Failure):
            self._next(f"{self.flow}: {self._why_not(outcome)}", now)
        elif outcome.status >= 300:
            self._refused(outcome, now)
        elif outcome.status >= 200:
            self._granted(outcome, now)

    def _why_not(self, failure: Failure) -> str:
        if failure is Failure.TIMEOUT:
            return "no answer"
        return (self._why(self.flow) if self.flow else "") or "no connection"

    # The registrar's answer

    def _granted(self, response: Response, now: float) -> None:
        granted = self._time_granted(response)
        if not granted:
            self._next(f"{self.flow}: the registrar does not keep our address", now)
            return
        self._failures = 0
        self.until = now + granted
        self.retry_at = None
        self._left = []
        if self.flow is not None and self.flow.reliable:
            self._ua.watch(self.flow, self._lost)
        early = granted * self._ua.rng.uniform(0.75, 0.9)
        self._timer = self._ua.timers.at(now + max(early, SHORTEST_REFRESH), self._begin)
        self._become(State.REGISTERED, "")

    def _time_granted(self, response: Response) -> int:
        """Seconds, 0 when it keeps nothing: what our Contact in the answer says, or Expires (section 10.2.4)."""
        try:
            contacts = response.contacts
            ours = [one for one in contacts if not isinstance(one, str) and one.uri.user == self._account.user]
            texts = [one.params.get("expires") for one in ours] + [response.headers.get("Expires")]
            times = [parse_number(text, 2**32 - 1, "expires") for text in texts if text]
        except RemoteProtocolError:
            return self._expires
        return min(max(times, default=self._expires), LONGEST_EXPIRES)

    def _refused(self, response: Response, now: float) -> None:
        if response.status == 423 and self._longer(response, now):
            return
        if response.status in _PASSING:
            self._pause = max(self._pause, _retry_after(response))
            self._next(f"{self.flow}: {response.status} {response.reason}", now)
            return
        self._failures += 1
        pause = min(LONGEST_REFUSED, max(REFUSED_PAUSE, 10 * self._account.retry) * 2.0 ** min(self._failures - 1, 20))
        self._wait(State.REFUSED, self._explain(response), now, pause * self._ua.rng.uniform(0.5, 1))

    def _longer(self, response: Response, now: float) -> bool:
        """Whether it is tried again with the longer time that a 423 asks for (section 10.2.8)."""
        try:
            wanted = parse_number(response.headers.get("Min-Expires") or "", LONGEST_EXPIRES, "Min-Expires")
        except RemoteProtocolError:
            return False
        self._floors += 1
        if wanted <= self._expires or self._floors > 1 or self.flow is None:
            return False
        self._expires = wanted
        self._send(self.flow, wanted, now)
        return True

    def _explain(self, response: Response) -> str:
        if response.status in (401, 407):
            if self._account.credentials is None:
                return f"{self.flow} wants a password, and there is none"
            return f"{self.flow} refuses user or password ({response.status})"
        return f"{self.flow}: {response.status} {response.reason}"

    # Between rounds

    def _fail(self, why: str, now: float) -> None:
        """No server did: all of them again after a pause, longer each time, so that not all clients come at once."""
        self._failures += 1
        most = min(LONGEST_PAUSE, self._account.retry * 2.0 ** min(self._failures - 1, 20))
        self._wait(State.WAITING, why, now, max(most * self._ua.rng.uniform(0.5, 1), self._pause))

    def _wait(self, state: State, why: str, now: float, pause: float) -> None:
        self._cancel()
        self._round += 1
        self._left, self._locating = [], False
        self._leave(self.flow)
        self.retry_at = now + pause
        self._timer = self._ua.timers.at(self.retry_at, self._begin)
        self._become(state, why)

    def _lost(self, flow: Flow, now: float) -> None:
        self.flow_failed(now)

    def _leave(self, flow: Flow | None) -> None:
        if flow is not None:
            self._ua.unwatch(flow, self._lost)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _become(self, state: State, error: str) -> None:
        if (state, error) != (self.state, self.error):
            self.state, self.error = state, error
            self._changed()


def _retry_after(response: Response) -> float:
    """Seconds that a server wants to be left alone, within reason."""
    text = (response.headers.get("Retry-After") or "").partition(";")[0].partition("(")[0].strip()
    return min(float(text), LONGEST_PAUSE) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0
