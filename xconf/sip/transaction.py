"""Client and server transactions (RFC 3261 section 17, RFC 6026): one request and the responses to it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from xconf.sip.events import Transmit
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, Response
from xconf.sip.settings import Settings
from xconf.sip.timers import Timer
from xconf.sip.transaction_tables import (
    CLIENT_MACHINE,
    INVITE_CLIENT_MACHINE,
    INVITE_SERVER_MACHINE,
    SERVER_MACHINE,
    Action,
    Input,
    Machine,
    State,
)

if TYPE_CHECKING:
    from xconf.sip.transactions import Transactions

_REPEATING = frozenset({Input.TIMER_A, Input.TIMER_E, Input.TIMER_G})
_CAPPED = frozenset({Input.TIMER_E, Input.TIMER_G})  # at T2; timer A doubles without end
_SHORTEST_D = 32.0


class Failure(Enum):
    """Why there will be no response; the value is the status that it counts as (section 8.1.3.1)."""

    TIMEOUT = 408
    TRANSPORT = 503


Outcome: TypeAlias = Response | Failure
ClientUser: TypeAlias = Callable[[Outcome, float], None]
"""Called with each response that is not a retransmission, or with the failure, and now."""
ServerUser: TypeAlias = Callable[[Request, float], None]
"""Called with an ACK to a 2xx that came within the transaction, and now."""


def duration(timer: Input, settings: Settings, reliable: bool) -> float:
    """Seconds until the timer fires (for a repeating one: for the first time), as the table of RFC 3261 appendix A."""
    match timer:
        case Input.TIMER_A | Input.TIMER_E | Input.TIMER_G:
            return settings.t1
        case Input.TIMER_D:
            return 0.0 if reliable else max(_SHORTEST_D, 64 * settings.t1)
        case Input.TIMER_I | Input.TIMER_K:
            return 0.0 if reliable else settings.t4
        case Input.TIMER_J:
            return 0.0 if reliable else 64 * settings.t1
        case _:
            return 64 * settings.t1


class Transaction:
    """Runs one of the machines. `flow` is where it sends to, `reconnect` the place to connect to if that is gone."""

    __slots__ = ("_interval", "_layer", "_machine", "_pending", "flow", "key", "reconnect", "request", "state")

    def __init__(
        self,
        layer: Transactions,
        machine: Machine,
        key: Hashable,
        request: Request,
        flow: Flow,
        reconnect: Place | None,
    ) -> None:
        self.key = key
        self.request = request
        self.flow = flow
        self.reconnect = reconnect
        self.state = machine.initial
        self._layer = layer
        self._machine = machine
        self._pending: list[Timer] = []
        self._interval = 0.0

    def feed(self, now: float, what: Input, message: Request | Response | None = None) -> None:
        """Take the table's arrow for this input, if there is one."""
        arrow = self._machine.table.get((self.state, what))
        if arrow is None:
            return
        state, actions = arrow
        if state is not self.state:
            self.enter(state, now)
        elif what in _REPEATING:
            self._repeat(what, now)
        for action in actions:
            self._act(action, what, message, now)
        if state is State.TERMINATED:
            self._let_go()

    def enter(self, state: State, now: float) -> None:
        self.state = state
        if state not in self._machine.keeps:
            for timer in self._pending:
                timer.cancel()
            self._pending = [self._start(timer, now) for timer in self._timers_of(state)]
        if state is State.TERMINATED:
            self._layer.forget(self)

    def terminate(self, now: float) -> None:
        """Give it up, without a word to anyone."""
        if self.state is not State.TERMINATED:
            self.enter(State.TERMINATED, now)
            self._let_go()

    def _let_go(self) -> None:
        """It is over: nobody is told anything any more, so who is told and what he is told by form no circle."""

    def _timers_of(self, state: State) -> tuple[Input, ...]:
        timers = self._machine.starts.get(state, ())
        return tuple(timer for timer in timers if timer not in _REPEATING) if self.flow.reliable else timers

    def _start(self, timer: Input, now: float) -> Timer:
        after = duration(timer, self._layer.settings, self.flow.reliable)
        if timer in _REPEATING:
            self._interval = after
        return self._layer.timers.at(now + after, self.feed, timer)

    def _repeat(self, timer: Input, now: float) -> None:
        self._layer.counters["retransmitted"] += 1
        self._interval = self._next_interval(timer)
        self._pending[0] = self._layer.timers.at(now + self._interval, self.feed, timer)

    def _next_interval(self, timer: Input) -> float:
        longest = self._layer.settings.t2
        if self.state is State.PROCEEDING:  # a client that has heard a 1xx (section 17.1.2.2)
            return longest
        return min(2 * self._interval, longest) if timer in _CAPPED else 2 * self._interval

    def _act(self, action: Action, what: Input, message: Request | Response | None, now: float) -> None:
        raise NotImplementedError

    def _transmit(self, data: bytes) -> None:
        self._layer.out.append(Transmit(self.flow, data, self.reconnect))


class ClientTransaction(Transaction):
    """A request of ours. Its user hears every response once (2xx to INVITE: each time), or the failure.

    over: called with it when it is over.
    """

    __slots__ = ("_data", "_user", "over", "vias")

    def __init__(
        self,
        layer: Transactions,
        key: Hashable,
        request: Request,
        flow: Flow,
        reconnect: Place | None,
        user: ClientUser,
    ) -> None:
        machine = INVITE_CLIENT_MACHINE if request.method == "INVITE" else CLIENT_MACHINE
        super().__init__(layer, machine, key, request, flow, reconnect)
        self.vias = len(request.headers.get_all("Via"))
        self.over: Callable[[ClientTransaction], None] | None = None
        self._user: ClientUser = user
        self._data = request.to_bytes()

    @property
    def unanswered(self) -> bool:
        return self.state in (State.CALLING, State.TRYING, State.PROCEEDING)

    def start(self, now: float) -> None:
        self.enter(self._machine.initial, now)
        self._transmit(self._data)

    def response(self, response: Response, now: float) -> None:
        self.feed(now, _class_of(response.status), response)

    def _let_go(self) -> None:
        over, self.over, self._user = self.over, None, _nobody
        if over is not None:
            over(self)

    def _act(self, action: Action, what: Input, message: Request | Response | None, now: float) -> None:
        if action is Action.SEND:
            self._transmit(self._data)
        elif action is Action.REPORT:
            self._user(Failure.TRANSPORT if what is Input.TRANSPORT_ERROR else Failure.TIMEOUT, now)
        elif isinstance(message, Response):
            if action is Action.ACKNOWLEDGE:
                self._transmit(acknowledge_failure(self.request, message).to_bytes())
            else:
                self._user(message, now)


def _nobody(outcome: Outcome, now: float) -> None:
    """Hears of a transaction that is over: nothing."""


class ServerTransaction(Transaction):
    """A request from the network, to be answered by `respond`."""

    __slots__ = ("_data", "cancelled", "tag", "user")

    def __init__(
        self, layer: Transactions, key: Hashable, request: Request, flow: Flow, reconnect: Place | None
    ) -> None:
        machine = INVITE_SERVER_MACHINE if request.method == "INVITE" else SERVER_MACHINE
        super().__init__(layer, machine, key, request, flow, reconnect)
        self.user: ServerUser | None = None
        self.cancelled: Callable[[float], None] | None = None
        """Called with now, when a CANCEL comes before the final response."""
        self.tag: str | None = None
        """For the To of responses, when the request's has none."""
        self._data = b""

    @property
    def answered(self) -> bool:
        """Whether a final response has been given."""
        return self.state not in (State.TRYING, State.PROCEEDING)

    @property
    def told(self) -> bool:
        """Whether a response has been given."""
        return bool(self._data)

    def again(self, request: Request, now: float) -> None:
        """The request came again, or the ACK for it."""
        self.feed(now, Input.ACK if request.method == "ACK" else Input.REQUEST, request)

    def respond(self, response: Response, now: float) -> None:
        """Send it, and see to its retransmission (a 2xx to INVITE: its user does). A final one after another is lost."""
        what = _class_of(response.status)
        if (self.state, what) in self._machine.table:
            self._data = response.to_bytes()
            self.feed(now, what, response)

    def _act(self, action: Action, what: Input, message: Request | Response | None, now: float) -> None:
        if action is Action.SEND and self._data:
            self._transmit(self._data)
        elif action is Action.DELIVER and isinstance(message, Request) and self.user is not None:
            self.user(message, now)
        elif action is Action.REPORT:
            self._layer.counters["response_not_sent"] += 1


def _class_of(status: int) -> Input:
    if status < 200:
        return Input.PROVISIONAL
    return Input.SUCCESS if status < 300 else Input.FAILURE


def acknowledge_failure(invite: Request, response: Response) -> Request:
    """The ACK to a 300-699, which is part of the INVITE's transaction (section 17.1.1.3)."""
    headers = [("Via", str(invite.via)), *_of(invite, "Route", "From")]
    headers += [("To", str(response.to)), ("Call-ID", invite.call_id), ("CSeq", f"{invite.cseq.number} ACK")]
    headers += [("Max-Forwards", "70"), *_of(invite, "Authorization", "Proxy-Authorization")]
    return Request("ACK", invite.uri, headers)


def cancel(invite: Request) -> Request:
    """The CANCEL for a request of ours (section 9.1)."""
    headers = [("Via", str(invite.via)), *_of(invite, "Route", "From", "To", "Call-ID")]
    headers += [("CSeq", f"{invite.cseq.number} CANCEL"), ("Max-Forwards", "70")]
    return Request("CANCEL", invite.uri, [*headers, *_of(invite, "Authorization", "Proxy-Authorization")])


def _of(message: Request, *names: str) -> list[tuple[str, str]]:
    return [(name, value) for name in names for value in message.headers.values(name)]
