"""The calls of the load generator: dialled at a steady rate, held, hung up, and counted."""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from xconf.media.catalogue import formats, replied
from xconf.phone.load_media import LoadMedia
from xconf.phone.load_options import LoadOptions
from xconf.phone.metronome import Metronome
from xconf.phone.negotiation import RATE
from xconf.phone.session import Address
from xconf.phone.transfer import why_not
from xconf.sip import offer_answer
from xconf.sip.dialog import is_address
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import AnswerArrived, Answered, Cause, Ended, Offered, Referred
from xconf.sip.flow import DEFAULT_PORT, Flow
from xconf.sip.offer_answer import Agreed
from xconf.sip.sdp import Origin, SessionDescription, revised
from xconf.sip.session import Session
from xconf.sip.status import phrase
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI
from xconf.sip.uri import Address as NameAddress

STEP = 0.005  # s between two looks at what is to be dialled or hung up


@dataclass(slots=True)
class LoadCall:
    """A caller's call. `ours`: we have hung up; moves: the call which takes its place once that is answered, as the server has
    asked for; left: the server has hung up meanwhile; leaves: of such a call, the one whose place it takes.
    """

    caller: int
    began: float
    offered: SessionDescription
    session: Session | None = None
    agreed: Agreed | None = None
    up: bool = False
    ours: bool = False
    timer: IDelayedCall | None = None
    moves: LoadCall | None = None
    left: bool = False
    leaves: LoadCall | None = None


class LoadCalls:
    """Feed it the events of the SIP service. Counts: `dialled`, `up` (now), `failures` (by reason), `set_up` (s each), `moved` and
    `not_moved` (calls that a server has had go elsewhere, by REFER).
    """

    def __init__(
        self,
        clock: IReactorTime,
        sip: SIPService,
        media: LoadMedia,
        options: LoadOptions,
        remote: Address,
        rng: random.Random,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dialled = self.answered = self.up = self.moved = self.not_moved = 0
        self.failures: Counter[str] = Counter()
        self.set_up: list[float] = []
        self.renewing = options.each is not None
        self._clock, self._monotonic = clock, monotonic
        self._sip, self._media, self._options = sip, media, options
        self._flows = {local[0]: Flow("udp", local, remote) for _, local in sip.listeners}
        (self._codec,) = formats((options.codec,), RATE, 1)
        self._rng = rng
        self._credentials = (options.user, options.password) if options.user is not None else None
        self._calls: dict[int, LoadCall] = {}
        self._targets: dict[str, URI] = {}
        self._queue: deque[int] = deque()
        self._pace = Pace(clock, monotonic)
        self._untried = options.calls
        self._tried: Deferred[None] = Deferred()
        self._gone: Deferred[None] | None = None
        self._handlers: dict[type[Any], Callable[[LoadCall, Any], None]] = {
            AnswerArrived: self._answer_arrived,
            Answered: self._answered,
            Offered: self._offered,
            Referred: self._referred,
            Ended: self._ended,
        }

    # What is done

    def dial(self) -> Deferred[None]:
        """Dial all callers at the rate; fires when as many calls have been answered or have failed."""
        self._queue.extend(range(self._options.calls))
        self._pace.start(self._options.rate, self._dial_next)
        return self._tried

    def hang_up(self, rate: float) -> Deferred[None]:
        """End what is up or still ringing, the last callers first (0: all at once); fires when no call is left."""
        self.renewing = False
        self._queue.clear()
        self._pace.stop()
        gone: Deferred[None] = Deferred()
        self._gone = gone
        waiting = deque(sorted(self._calls, reverse=True))
        if rate:
            self._pace.start(rate, lambda: self._hang_up_next(waiting))
        else:
            while self._hang_up_next(waiting):
                pass
        self._look_if_gone()
        return gone

    def _dial_next(self) -> bool:
        """False when there is nothing to dial."""
        if not self._queue:
            return False
        self._dial(self._queue.popleft())
        return True

    def _hang_up_next(self, waiting: deque[int]) -> bool:
        """False when there is nothing to hang up."""
        if not waiting:
            return False
        call = self._calls.get(waiting.popleft())
        if call is not None:
            self._hang_up(call)
        return True

    def _hang_up(self, call: LoadCall) -> None:
        call.ours = True
        if call.session is None:
            return
        if call.moves is not None:
            self._hang_up(call.moves)
        if call.left:
            self._over(call)
        else:
            call.session.hangup(self._sip.seconds())

    def _dial(self, caller: int) -> None:
        address, _ = self._media.local(caller)
        self.dialled += 1
        self._calls[caller] = self._invite(caller, self._target(self._options.target(caller)), self._flows[address])

    def _invite(self, caller: int, uri: URI, flow: Flow) -> LoadCall:
        address, port = self._media.local(caller)
        origin = Origin("-", self._rng.getrandbits(62), 1, address)
        offered = offer_answer.offer([self._codec], address, port, origin=origin)
        call = LoadCall(caller, self._monotonic(), offered)
        call.session = self._sip.user_agent.invite(
            uri,
            sdp=offered.to_bytes(),
            from_=NameAddress(URI("sip", user=f"{self._options.from_user}{caller}", host=address)),
            flow=flow,
            credentials=self._credentials,
            now=self._sip.seconds(),
        )
        call.session.app = call
        call.timer = self._clock.callLater(self._options.answer_within, self._give_up, call)
        return call

    def _give_up(self, call: LoadCall) -> None:
        """Too long without an answer; whatever comes later is hung up."""
        if call.leaves is not None:
            self._stay(call, 408)
            self._hang_up(call)
            return
        self._fail(call, "no answer")
        self._over(call)

    def _target(self, text: str) -> URI:
        uri = self._targets.get(text)
        if uri is None:
            uri = self._targets[text] = URI.parse(text)
        return uri

    # What happens

    def handle(self, event: Any) -> None:
        """An event of the SIP service."""
        handler = self._handlers.get(type(event))
        if handler is not None and isinstance(event.session.app, LoadCall):
            handler(event.session.app, event)

    def _answer_arrived(self, call: LoadCall, event: AnswerArrived) -> None:
        try:
            call.agreed = offer_answer.agree(call.offered, SessionDescription.parse(event.sdp))
        except RemoteProtocolError as error:
            self._fail(call, f"answer of no use: {error}")

    def _answered(self, call: LoadCall, _: Answered) -> None:
        if call.ours or call.up:
            return
        if call.agreed is None:
            self._fail(call, "answered without a description of the sound")
            return
        if call.leaves is not None:
            self._move(call.leaves, call, call.agreed)
            return
        self.set_up.append(self._monotonic() - call.began)
        self.answered += 1
        self.up += 1
        call.up = True
        self._listen(call, call.agreed)
        self._stop_timer(call)
        if self._options.each is not None:
            call.timer = self._clock.callLater(self._options.each, self._hang_up, call)
        self._settle()

    def _listen(self, call: LoadCall, agreed: Agreed) -> None:
        payload_type = agreed.codec.payload_type or 0
        self._media.start(call.caller, agreed.remote_address, payload_type, agreed.receive_payload_type)

    def _offered(self, call: LoadCall, event: Offered) -> None:
        """The server changes the call: taken as it comes."""
        now = self._sip.seconds()
        address, port = self._media.local(call.caller)
        try:
            if event.offer_sdp is None:
                event.session.accept(call.offered.to_bytes(), now)
                return
            theirs = SessionDescription.parse(event.offer_sdp)
            answer, call.agreed = offer_answer.answer(
                theirs,
                codecs=[self._codec],
                address=address,
                port=port,
                origin=call.offered.origin,
                parameters=replied,
            )
        except RemoteProtocolError:
            event.session.refuse(488, now=now)
            return
        call.offered = revised(call.offered, answer)
        self._listen(call, call.agreed)
        event.session.accept(call.offered.to_bytes(), now)

    # Moved to another server

    def _referred(self, call: LoadCall, event: Referred) -> None:
        """The server asks us to call another one."""
        now, uri = self._sip.seconds(), event.target
        if why_not(uri) or not is_address(uri.host) or uri.transport == "tcp" or not call.up or call.ours or call.moves:
            event.session.referrals.refuse(603, now)
            return
        event.session.referrals.accept(now)
        address, _ = self._media.local(call.caller)
        remote = uri.host, uri.port or DEFAULT_PORT["udp"]
        call.moves = self._invite(call.caller, uri, replace(self._flows[address], remote=remote))
        call.moves.leaves = call

    def _move(self, old: LoadCall, new: LoadCall, agreed: Agreed) -> None:
        """The caller is there now, and hangs up here."""
        new.up, new.leaves, old.moves = True, None, None
        self._calls[new.caller] = new
        self._listen(new, agreed)
        self._stop_timer(new)
        if old.timer is not None and old.timer.active():  # until the caller hangs up
            new.timer = self._clock.callLater(old.timer.getTime() - self._clock.seconds(), self._hang_up, new)
            old.timer.cancel()
        self.moved += 1
        if not old.left:
            self._tell(old, 200)
            self._hang_up(old)

    def _stay(self, new: LoadCall, status: int) -> None:
        """It has not been taken there."""
        old, new.leaves = new.leaves, None
        if old is None or old.ours:
            return
        old.moves = None
        self.not_moved += 1
        self._tell(old, status)
        if old.left:
            self.failures["hung up by the server, and not taken by the one that it named"] += 1
            self._over(old)

    def _tell(self, call: LoadCall, status: int) -> None:
        if call.session is not None:
            call.session.referrals.notify(status, phrase(status), self._sip.seconds())

    # The end

    def _fail(self, call: LoadCall, reason: str) -> None:
        if call.leaves is None:
            self.failures[reason] += 1
        self._hang_up(call)

    def _ended(self, call: LoadCall, event: Ended) -> None:
        if call.leaves is not None:
            self._stop_timer(call)
            self._stay(call, event.response.status if event.response is not None else 408)
        if self._calls.get(call.caller) is not call:
            return
        if call.moves is not None and not call.ours:
            call.left = True
            return
        if not call.ours:
            self.failures[_reason(event, call.up)] += 1
        self._over(call)

    def _over(self, call: LoadCall) -> None:
        del self._calls[call.caller]
        self._stop_timer(call)
        if call.up:
            self.up -= 1
            self._media.stop(call.caller)
        else:
            self._settle()
        if self.renewing:
            self._queue.append(call.caller)
            self._pace.start(self._options.rate, self._dial_next)
        self._look_if_gone()

    @staticmethod
    def _stop_timer(call: LoadCall) -> None:
        if call.timer is not None and call.timer.active():
            call.timer.cancel()

    def _settle(self) -> None:
        """One more call has been answered or has failed."""
        self._untried -= 1
        if self._untried == 0:
            self._tried.callback(None)

    def _look_if_gone(self) -> None:
        if self._gone is not None and not self._calls:
            gone, self._gone = self._gone, None
            gone.callback(None)


class Pace:
    """Does something so many times a second."""

    def __init__(self, clock: IReactorTime, monotonic: Callable[[], float]) -> None:
        self._due = self._rate = 0.0
        self._step: Callable[[], bool] | None = None
        self._metronome = Metronome(clock, monotonic, STEP, self._beat)

    def start(self, rate: float, step: Callable[[], bool]) -> None:
        """From now on, until `step` says that nothing is left to do (False). Does nothing while it is at it already."""
        if self._step is None:
            self._rate, self._step = rate, step
            self._metronome.start()

    def stop(self) -> None:
        self._step = None
        self._due = 0.0
        self._metronome.stop()

    def _beat(self, missed: int) -> None:
        self._due += self._rate * STEP * (1 + missed)
        while self._due >= 1 and self._step is not None:
            self._due -= 1
            if not self._step():
                self.stop()


def _reason(event: Ended, up: bool) -> str:
    """Why a call has ended that we had not hung up."""
    if up:
        return "hung up by the server" if event.cause is Cause.BYE else f"lost: {event.cause.value}"
    if event.response is not None:
        return f"{event.response.status} {event.response.reason or phrase(event.response.status)}"
    return "no answer" if event.cause is Cause.TIMEOUT else event.cause.value
