"""Calls that come in: who may call, where to, what sound; and what is told of a call later on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from xconf.calls.access import Access, Route
from xconf.calls.call import Call, codecs_for, plausible
from xconf.conference.errors import ConferenceError
from xconf.conference.member import Reason
from xconf.conference.registry import Conferences
from xconf.media.engine import Engine
from xconf.media.leg import Leg
from xconf.media.rows import OutOfRows
from xconf.rtp.ports import PortError, local_address
from xconf.sip import dtmf_relay, offer_answer
from xconf.sip.digest import Challenger
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import AnswerArrived, Confirmed, Ended, InfoReceived, Invited, Offered
from xconf.sip.message import Request
from xconf.sip.offer_answer import Agreed
from xconf.sip.sdp import Origin, SessionDescription
from xconf.sip.session import Session
from xconf.sip.transport import SIPService

log = Logger()

DISCARD = 9  # a port that stands for ours until there is one
RETRY_AFTER = 10  # s
LOOK_EVERY = 5.0  # s between two looks for calls without media
ASKED_AT_ONCE = 100
_TEXT_LIMIT = 64


class Calls:
    """All calls of the node. `handle` takes the user agent's events."""

    def __init__(
        self,
        reactor: IReactorTime,
        sip: SIPService,
        engine: Engine,
        conferences: Conferences,
        access: Access,
        challenger: Challenger,
        *,
        limit: int,
        media_address: str,
        media_timeout: float,
    ) -> None:
        self.conferences = conferences
        self.access = access
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._sip = sip
        self._engine = engine
        self._challenger = challenger
        self._limit = limit
        self._media_address = media_address
        self._media_timeout = media_timeout
        self._calls: dict[Session, Call] = {}
        self._by_leg: dict[Leg, Call] = {}
        self._sessions = int(reactor.seconds()) << 16  # session ids of descriptions: unique, also after a restart
        self._stopping = False
        self._emptied: Deferred[None] | None = None  # fires when the last call is over
        self._look = LoopingCall(self._ask_silent)
        self._look.clock = reactor
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Invited: self._invited,
            Offered: self._offered,
            AnswerArrived: self._answer_arrived,
            Confirmed: self._confirmed,
            InfoReceived: self._info,
            Ended: self._session_ended,
        }

    def __len__(self) -> int:
        return len(self._calls)

    def start(self) -> None:
        if self._media_timeout:
            self._look.start(LOOK_EVERY, now=False)

    def handle(self, event: object) -> None:
        """An event of the user agent. Events that are not for us are passed over."""
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    # A new call

    def _invited(self, event: Invited) -> None:
        session, request = event.session, event.request
        host = session.flow.remote[0]
        if not self._admitted(session, request, host):
            return
        route = self.access.route(request.uri.user or "")
        if route is None:
            self._refuse(session, 404, f"no rule of the dial plan fits {(request.uri.user or '')[:_TEXT_LIMIT]!r}")
            return
        try:
            self._accept(session, request, route, host)
        except RemoteProtocolError as error:
            self._refuse(session, error.status, error.reason)
        except (ConferenceError, PortError, OutOfRows) as error:
            self._refuse(session, 503, str(error), headers=[("Retry-After", str(RETRY_AFTER))])

    def _admitted(self, session: Session, request: Request, host: str) -> bool:
        """Room, and leave to call; else the caller has been answered."""
        if self._stopping or len(self._calls) >= self._limit:
            self._refuse(session, 503, "the server is full or stopping", headers=[("Retry-After", str(RETRY_AFTER))])
            return False
        if self.access.trusts(host):
            return True
        now = self._reactor.seconds()
        verdict = self._challenger.verify(request, self.access.users.get, now)
        if verdict.accepted:
            return True
        if not self.access.users:
            self._refuse(session, 403, f"{host} is not in sip.allow or sip.trunks, and there are no sip.users")
        else:
            self.counters["challenged"] += 1
            session.challenge(self._challenger.challenge(now, stale=verdict.stale), now)
        return False

    def _accept(self, session: Session, request: Request, route: Route, host: str) -> None:
        conference = self.conferences.find_or_create(route.conference, route.profile)
        answer = self._negotiate(request.body, host, conference.mix.rate) if request.body else None
        remote = answer[1].remote_address if answer else None
        if remote is not None and not plausible(remote[0], host):
            remote = None
        leg = self._engine.create_leg(conference.mix, remote, host)
        call = Call(self, session, route, leg, caller_of(request))
        try:
            body = call.answer(*answer) if answer else call.offer()
        except PortError:
            leg.close()
            raise
        self._calls[session] = self._by_leg[leg] = call
        log.info(
            "call from {caller} at {host} to {number}: conference {conference}",
            call_id=session.call_id,
            caller=call.caller,
            host=host,
            number=request.uri.user,
            conference=route.conference,
        )
        session.accept(body, self._reactor.seconds())

    def _negotiate(self, offer: bytes, host: str, rate: int) -> tuple[SessionDescription, Agreed]:
        """Our answer, yet without our port, and what it agrees on. Raises RemoteProtocolError (400, 488)."""
        address = self.media_address_for(host)
        description = SessionDescription.parse(offer)
        return offer_answer.answer(
            description, codecs=codecs_for(rate), address=address, port=DISCARD, origin=self.origin(address)
        )

    def _refuse(self, session: Session, status: int, why: str, headers: list[tuple[str, str]] | None = None) -> None:
        self.counters[f"refused_{status}"] += 1
        log.info("refused with {status}: {why}", call_id=session.call_id, status=status, why=why)
        session.refuse(status, now=self._reactor.seconds(), headers=headers or ())

    # What is told of a call that is up

    def _confirmed(self, event: Confirmed) -> None:
        call = self._calls.get(event.session)
        if call is None:
            return
        if not call.answered:
            call.hangup("no answer to our offer in the ACK")
            return
        try:
            call.confirm()
        except ConferenceError as error:
            call.hangup(str(error))

    def _answer_arrived(self, event: AnswerArrived) -> None:
        call = self._calls.get(event.session)
        if call is None:
            return
        try:
            call.accept_answer(SessionDescription.parse(event.sdp))
        except (RemoteProtocolError, PortError) as error:
            call.hangup(f"the answer in the ACK is of no use: {error}")

    def _offered(self, event: Offered) -> None:
        call, now = self._calls.get(event.session), self._reactor.seconds()
        if call is None:
            event.session.refuse(481, now=now)
            return
        try:
            if event.offer_sdp is None:
                event.session.accept(call.offer(), now)
            else:
                answer = self._negotiate(event.offer_sdp, call.host, call.leg.plane.rate)
                event.session.accept(call.answer(*answer), now)
        except (RemoteProtocolError, PortError) as error:
            log.info("session not changed: {error}", call_id=call.call_id, error=error)
            event.session.refuse(488, now=now)

    def _info(self, event: InfoReceived) -> None:
        call = self._calls.get(event.session)
        digit = dtmf_relay.parse(event.request.headers.get("Content-Type") or "", event.request.body)
        if call is not None and digit is not None:
            call.leg.digit(digit, "info")

    def _session_ended(self, event: Ended) -> None:
        call = self._calls.get(event.session)
        if call is not None:
            call.end(f"{event.cause.value} by {event.by}")

    def _ask_silent(self) -> None:
        """Phones from which nothing came for long are asked whether they are there; those that are not are hung up."""
        for leg in self._engine.silent_legs(self._media_timeout, ASKED_AT_ONCE):
            call = self._by_leg.get(leg)
            if call is not None and call.member is not None:
                call.session.options(self._reactor.seconds())

    # What calls ask for

    def media_address_for(self, host: str) -> str:
        """The address that a phone at `host` is told to send media to."""
        return self._media_address if self._media_address != "0.0.0.0" else local_address(host)

    def origin(self, address: str) -> Origin:
        """The o= line of a new session description."""
        self._sessions += 1
        return Origin("-", self._sessions, self._sessions, address)

    def end_session(self, call: Call, reason: str) -> None:
        """BYE, CANCEL or a refusal, as the session's state demands."""
        why = "".join(char for char in reason if char.isprintable() and char not in '"\\')[:_TEXT_LIMIT]
        call.session.hangup(self._reactor.seconds(), headers=[("Reason", f'SIP;cause=200;text="{why}"')])

    def forget(self, call: Call) -> None:
        self._calls.pop(call.session, None)
        self._by_leg.pop(call.leg, None)
        if self._emptied is not None and not self._calls:
            emptied, self._emptied = self._emptied, None
            emptied.callback(None)

    def shutdown(self) -> Deferred[None]:
        """BYE to all; fires when no call is left."""
        if self._look.running:
            self._look.stop()
        self._stopping = True
        if not self._calls:
            return succeed(None)
        emptied: Deferred[None] = Deferred()
        self._emptied = emptied
        for call in tuple(self._calls.values()):
            call.hangup(Reason.STOPPED)
        return emptied


def caller_of(request: Request) -> str:
    """Display name and number of who calls, like `Ann <1001>`."""
    address = request.from_
    number = address.uri.user or address.uri.host
    return f"{address.display} <{number}>" if address.display else number
