"""Calls that come in: who may call, where to, what sound; and what is told of any call later on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from xconf.calls.access import Access, Route
from xconf.calls.addresses import UNSPECIFIED, media_host, number_of, plausible
from xconf.calls.admission import Admission
from xconf.calls.arrival import Arrival, arrived, authenticated
from xconf.calls.call import Call
from xconf.calls.forwarding import Forwarding
from xconf.calls.identity import caller_of
from xconf.calls.leaving import Away, hang_up_all
from xconf.calls.media_addresses import MediaAddresses
from xconf.calls.moved import Moves
from xconf.calls.placement import Placement, elsewhere, goes_on, send_on
from xconf.calls.terms import Terms
from xconf.conference.errors import ConferenceError
from xconf.conference.registry import Conferences
from xconf.media.catalogue import replied
from xconf.media.engine import Engine
from xconf.media.leg import Leg
from xconf.media.rows import OutOfRows
from xconf.rtp.ports import PortError
from xconf.sip import dtmf_relay, offer_answer
from xconf.sip.bodies import sdp_of
from xconf.sip.digest import Challenger
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import (
    AnswerArrived,
    Answered,
    Confirmed,
    Ended,
    InfoReceived,
    Invited,
    Offered,
    Progress,
    ReferralNews,
    Referred,
)
from xconf.sip.offer_answer import Agreed
from xconf.sip.sdp import Origin, RtpMap, SessionDescription
from xconf.sip.session import Session

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
        engine: Engine,
        conferences: Conferences,
        access: Access,
        challenger: Challenger,
        *,
        admission: Admission,
        media_addresses: MediaAddresses,
        media_timeout: float,
    ) -> None:
        self.conferences = conferences
        self.access = access
        self.counters: Counter[str] = Counter()
        self._reactor = reactor
        self._engine = engine
        self.challenger = challenger
        self._admission = admission
        self.media_addresses = media_addresses
        self._media_timeout = media_timeout
        self._calls: dict[Session, Call] = {}
        self._by_leg: dict[Leg, Call] = {}
        self._sessions = int(reactor.seconds()) << 16  # session ids of descriptions: unique, also after a restart
        self._stopping = False
        self.away: Away | None = None  # while the node is being drained
        self.placement: Placement | None = None  # where other nodes take calls, too
        self.forwarding: Forwarding | None = None
        self.moves: Moves | None = None
        self._look = LoopingCall(self._ask_silent)
        self._look.clock = reactor
        self._handlers: dict[type[Any], Callable[[Any], None]] = {
            Invited: self._invited,
            Offered: self._offered,
            AnswerArrived: self._answer_arrived,
            Confirmed: self._confirmed,
            InfoReceived: self._info,
            Referred: self._referred,
            ReferralNews: self._referral_news,
            Progress: self._progress,
            Answered: self._answered,
            Ended: self._session_ended,
        }

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls.values())

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
        call = arrived(self, event.session, event.request)
        if call is None:
            return
        closed = self.closed()
        onward = closed is not None and not self._stopping and not call.by and goes_on(self, call.request)
        why = None if onward else closed
        why = why or self._admission.refusal(call.host, self.seconds(), trunk=call.trunk is not None)
        if why is not None:
            self.refuse(call, 503, why)
        elif authenticated(self, call):
            route = self.access.route(call.number, call.trunk)
            if route is None:
                whose = f"the dial plan of trunk {call.trunk.name}" if call.trunk else "the dial plan"
                self.refuse(call, 404, f"no rule of {whose} fits {call.number[:_TEXT_LIMIT]!r}")
            else:
                self.place(call, route)

    def place(self, call: Arrival, route: Route, without: frozenset[str] = frozenset()) -> None:
        """Here, or on another node. without: nodes that have not taken it."""
        closed = self.closed()
        other = None if call.by else elsewhere(self, call.request, route, closed is not None, without)
        if other is not None:
            send_on(self, call, route, other, without)
        elif closed is not None:
            self.refuse(call, 503, f"{closed}, and no other node has room")
        else:
            try:
                self._accept(call, route)
            except RemoteProtocolError as error:
                self.refuse(call, error.status, error.reason)
            except (ConferenceError, PortError, OutOfRows) as error:
                self.refuse(call, getattr(error, "status", 503), str(error))

    def _accept(self, came: Arrival, route: Route) -> None:
        session, host, trunk = came.session, came.host, came.trunk
        body = sdp_of(came.request)
        offer = None if body is None else SessionDescription.parse(body)
        moved = self.moves.open(came.request) if self.moves is not None else None
        if moved is not None:
            route = replace(route, conference=moved.conference, profile=moved.profile)
        conference = self.conferences.find_or_create(route.conference, route.profile, moved=moved is not None)
        terms = Terms.of(conference)
        six = self.media_addresses.family(host, offer)
        negotiated = None if offer is None else self.negotiate(offer, host, terms, six)
        agreed = negotiated[2] if negotiated else None
        source, addressed = self.whereabouts(agreed, host) if agreed else (host, False)
        remote = agreed.remote_address if agreed and addressed else None
        leg = self._engine.create_leg(conference.mix, remote, media_host(source, six))
        # From here on the end of the session, which follows on any fault, frees the leg.
        caller = caller_of(came.request, trusted=trunk is not None)
        front = trunk is not None and trunk.front
        call = Call(self, session, route, leg, caller, terms, number=came.number, host=host, front=front, moved=moved)
        self.begin(call)
        log.info(
            "call from {caller} at {host}{trunk}{by} to {number}: conference {conference}{moved}",
            call_id=session.call_id,
            caller=call.caller,
            host=host,
            trunk=f" (trunk {trunk.name})" if trunk else "",
            by=f", forwarded by {came.by}," if came.by else "",
            number=number_of(came.request.uri),
            conference=route.conference,
            moved=", where the caller was on another node" if moved is not None else "",
        )
        session.accept(call.answer(*negotiated) if negotiated else call.offer(), self._reactor.seconds())

    def refuse(self, call: Arrival, status: int, why: str) -> None:
        self.counters[f"refused_{status}"] += 1
        log.info(
            "call from {caller} at {host} refused with {status}: {why}",
            call_id=call.session.call_id,
            caller=caller_of(call.request),
            host=call.host,
            status=status,
            why=why,
        )
        later = [("Retry-After", str(RETRY_AFTER))] if status == 503 else []
        call.session.refuse(status, now=self._reactor.seconds(), headers=later)

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
        except (ConferenceError, OutOfRows) as error:
            call.hangup(str(error))

    def _answer_arrived(self, event: AnswerArrived) -> None:
        call = self._calls.get(event.session)
        if call is None:
            return
        try:
            call.accept_answer(SessionDescription.parse(event.sdp))
        except (RemoteProtocolError, PortError) as error:
            log.info("the answer to our offer is of no use: {error}", call_id=call.call_id, error=str(error))

    def _offered(self, event: Offered) -> None:
        call, now = self._calls.get(event.session), self._reactor.seconds()
        if call is None:
            event.session.refuse(481, now=now)
            return
        try:
            if event.offer_sdp is None:
                description = call.offer()
            else:
                offer = SessionDescription.parse(event.offer_sdp)
                description = call.answer(*self.negotiate(offer, call.host, call.terms, call.leg.port.six))
        except (RemoteProtocolError, PortError) as error:
            log.info("session not changed: {error}", call_id=call.call_id, error=str(error))
            event.session.refuse(error.status if isinstance(error, RemoteProtocolError) else 488, now=now)
        else:
            event.session.accept(description, now)

    def _info(self, event: InfoReceived) -> None:
        call = self._calls.get(event.session)
        digit = dtmf_relay.parse(event.request.headers.get("Content-Type") or "", event.request.body)
        if call is not None and digit is not None:
            call.leg.digit(digit, "info")

    def _referred(self, event: Referred) -> None:
        """Nobody who is in a call may have us call others, at our cost."""
        log.info(
            "asked to call {target}: refused", call_id=event.session.call_id, target=str(event.target)[:_TEXT_LIMIT]
        )
        event.session.referrals.refuse(403, self.seconds())

    def _referral_news(self, event: ReferralNews) -> None:
        call = self._calls.get(event.session)
        if call is not None and call.transferring is not None:
            call.transferring.news(event)

    def _session_ended(self, event: Ended) -> None:
        call = self._calls.get(event.session)
        if call is not None:
            call.end(f"{event.cause.value} by {event.by}", event)

    # What is told of a call that we placed

    def _progress(self, event: Progress) -> None:
        call = self._calls.get(event.session)
        if call is not None and call.placer is not None:
            call.placer.progress(event)

    def _answered(self, event: Answered) -> None:
        call = self._calls.get(event.session)
        if call is None:
            return
        if not call.answered:
            call.hangup("no answer to our offer that we understand")
        elif call.placer is not None:
            call.placer.answered()

    def _ask_silent(self) -> None:
        """Phones from which nothing came for long are asked whether they are there; those that are not are hung up."""
        for leg in self._engine.silent_legs(self._media_timeout, ASKED_AT_ONCE):
            call = self._by_leg.get(leg)
            if call is not None and call.member is not None:
                self.careful(call, call.session.options, self._reactor.seconds())

    @staticmethod
    def careful(call: Call, do: Callable[..., None], *arguments: object) -> None:
        """A fault in one of many calls ends that call and touches no other."""
        try:
            do(*arguments)
        except Exception:
            log.failure("a fault in a call; it is ended", call_id=call.call_id)
            call.end("a fault of the server")

    # What calls ask for

    def seconds(self) -> float:
        return float(self._reactor.seconds())

    def closed(self) -> str | None:
        """Why this node takes no calls at all for now; None if it does."""
        if self._stopping:
            return "the server is stopping"
        if self.away is not None:
            return "the node is being drained, and takes no new calls"
        return self._admission.closed

    def full(self) -> str | None:
        """Why no call can be placed now; None if one can."""
        return self.closed() or self._admission.refusal("", self.seconds(), trunk=True)

    def begin(self, call: Call) -> Call:
        """From here on it is told what becomes of its session, whose end frees its leg."""
        self._calls[call.session] = self._by_leg[call.leg] = call
        call.counted_at = call.host
        self._admission.began(call.counted_at)
        return call

    def offer(
        self,
        terms: Terms,
        leg: Leg,
        host: str,
        previous: SessionDescription | None = None,
        used: Mapping[int, RtpMap] = MappingProxyType({}),
    ) -> SessionDescription:
        """Our offer to a phone at `host`; see offer_answer.offer. Raises PortError."""
        address = self.media_addresses.ours(host, leg.port.six)
        origin, port = self.origin(address), leg.local_port
        return offer_answer.offer(
            terms.formats, address, port, origin=origin, previous=previous, used=used, ptime=terms.ptime
        )

    def negotiate(
        self, offer: SessionDescription, host: str, terms: Terms, six: bool
    ) -> tuple[SessionDescription, SessionDescription, Agreed]:
        """The offer, our answer, yet without our port, and what it agrees on. Raises RemoteProtocolError and PortError."""
        address = self.media_addresses.ours(host, six, offer)
        answer, agreed = offer_answer.answer(
            offer,
            codecs=terms.formats,
            preferred=terms.preferred,
            address=address,
            port=DISCARD,
            origin=self.origin(address),
            parameters=replied,
            ptime=terms.ptime,
        )
        return offer, answer, agreed

    def whereabouts(self, agreed: Agreed, host: str) -> tuple[str, bool]:
        """Where packets of a phone come from that signals from `host`, and whether from the port that it names."""
        address = agreed.remote_address[0]
        believed = self.believes(address, host)
        if agreed.translated and believed and address not in UNSPECIFIED:
            return address, False
        return host, believed

    def believes(self, address: str, host: str) -> bool:
        """Whether packets of a phone that signals from `host` can come from the media address that it names."""
        return plausible(address, host) or (self.access.at_trunk(host) and self.access.trunk_media(address))

    def origin(self, address: str) -> Origin:
        """The o= line of a new session description."""
        self._sessions += 1
        return Origin("-", self._sessions, self._sessions, address)

    def end_session(self, call: Call, reason: str) -> None:
        """BYE, CANCEL or a refusal, as the session's state demands."""
        why = "".join(char for char in reason if char.isprintable() and char not in '"\\')[:_TEXT_LIMIT]
        call.session.hangup(self._reactor.seconds(), headers=[("Reason", f'SIP;cause=200;text="{why}"')])

    def forget(self, call: Call) -> None:
        if self._calls.pop(call.session, None) is not None:
            self._admission.ended(call.counted_at)
        self._by_leg.pop(call.leg, None)

    def shutdown(self) -> Deferred[None]:
        """BYE to all, some in each turn of the reactor, and no new calls. Fires when no call is left, or when there is no
        more time for them. What phones answer is the user agent's to wait for.
        """
        if self._look.running:
            self._look.stop()
        self._stopping = True
        return hang_up_all(self._reactor, self)
