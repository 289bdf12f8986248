"""The phone as such: a SIP port from which calls are made, or at which one is waited for."""

from __future__ import annotations

import ipaddress
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorPluggableNameResolver
from twisted.python.failure import Failure

from xconf.phone import outcome
from xconf.phone.call import CallSettings, PhoneCall
from xconf.phone.outcome import Outcome
from xconf.phone.session import Address, MediaPorts, PhoneError
from xconf.phone.transfer import Transfer, why_not
from xconf.rtp.ports import local_address
from xconf.sip import dtmf_relay
from xconf.sip.bodies import sdp_of
from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.events import (
    AnswerArrived,
    Answered,
    Confirmed,
    Ended,
    InfoReceived,
    Invited,
    Offered,
    Progress,
    Referred,
)
from xconf.sip.exchange import Credentials
from xconf.sip.flow import Flow
from xconf.sip.session import Items, Session
from xconf.sip.settings import Settings
from xconf.sip.status import phrase
from xconf.sip.transport import SIPService, Trace
from xconf.sip.uri import URI
from xconf.sip.uri import Address as NameAddress

PRODUCT = "xconf-phone"
DEFAULT_PORT = 5060


class Phone:
    """Any number of calls at a time go out; one that is waited for comes in, others are told that it is busy."""

    def __init__(
        self,
        reactor: Any,
        address: str,
        port: int = 0,
        *,
        transport: str = "udp",
        user: str = "phone",
        trace: Trace | None = None,
        rng: random.Random | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """address: our own, for SIP and sound; port: of SIP, 0 for any. Raises PhoneError when it cannot be had."""
        self.address = address
        self.user = user
        self._reactor = reactor
        self._transport = transport
        self._monotonic = monotonic
        self._rng = rng or random.SystemRandom()
        self._waiting: tuple[CallSettings, Deferred[PhoneCall]] | None = None
        host = f"[{address}]" if ":" in address else address
        self._service = SIPService(reactor, [f"{transport}://{host}:{port}"], self._handle, Settings(product=PRODUCT))
        self._service.trace = trace
        self._handlers: dict[type[Any], Callable[[PhoneCall, Any], None]] = {
            Progress: self._progress,
            AnswerArrived: self._answer_arrived,
            Answered: self._answered,
            Offered: self._offered,
            Confirmed: self._confirmed,
            InfoReceived: self._info,
            Referred: self._referred,
            Ended: self._ended,
        }
        self._moving: dict[type[Any], Callable[[Transfer, Any], None]] = {
            Progress: lambda transfer, event: transfer.notify(event.status, self._service.seconds()),
            AnswerArrived: self._answer_arrived,
            Answered: lambda transfer, event: transfer.answered(self._service.seconds()),
            Ended: self._not_moved,
        }
        try:
            self._service.startService()
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            raise PhoneError(f"SIP port {port} on {address}: {reason}; try another --bind or port") from None

    @property
    def port(self) -> int:
        """Of SIP."""
        return self._service.listeners[0][1][1]

    @property
    def sizes(self) -> dict[str, int]:
        """What SIP still keeps, see UserAgent.sizes."""
        return self._service.user_agent.sizes()

    def dial(
        self, uri: URI, destination: Address, settings: CallSettings, *, credentials: Credentials | None = None
    ) -> PhoneCall:
        """Call somebody at that address and port. Raises PhoneError when there is no way there."""
        flow = self._flow(self._transport, destination)
        call = self._call(settings)
        session = self._invite(uri, call.offer(), flow, credentials)
        call.session, session.app, call.credentials = session, call, credentials
        call.dialled()
        return call

    def _flow(self, transport: str, destination: Address) -> Flow:
        """Raises PhoneError."""
        try:
            return self._service.flow_to(transport, destination)
        except LocalProtocolError as error:
            raise PhoneError(f"{error}; try another --bind") from None

    def _invite(
        self, uri: URI, sdp: bytes, flow: Flow, credentials: Credentials | None, headers: Items = ()
    ) -> Session:
        return self._service.user_agent.invite(
            uri,
            sdp=sdp,
            from_=NameAddress(URI("sip", user=self.user, host=self.address)),
            flow=flow,
            credentials=credentials,
            headers=headers,
            now=self._service.seconds(),
        )

    def wait(self, settings: CallSettings) -> Deferred[PhoneCall]:
        """Answer the next call; fires when it has come."""
        arrived: Deferred[PhoneCall] = Deferred()
        self._waiting = settings, arrived
        return arrived

    def close(self) -> Deferred[None]:
        """Close the ports, when the last BYE has been answered or has had its time. Calls are to be hung up before."""
        return self._service.stopService()

    def _call(self, settings: CallSettings) -> PhoneCall:
        ports = MediaPorts(self._reactor, self.address, self._rng)
        return PhoneCall(self._reactor, ports, settings, self._rng, monotonic=self._monotonic)

    # What the user agent tells

    def _handle(self, event: Any) -> None:
        if isinstance(event, Invited):
            self._invited(event)
        elif isinstance(event.session.app, PhoneCall) and type(event) in self._handlers:
            self._handlers[type(event)](event.session.app, event)
        elif isinstance(event.session.app, Transfer) and type(event) in self._moving:
            self._moving[type(event)](event.session.app, event)

    def _invited(self, event: Invited) -> None:
        session, now = event.session, self._service.seconds()
        if self._waiting is None:
            session.refuse(486, now=now)
            return
        try:
            offer = sdp_of(event.request)
            settings, arrived = self._waiting
            call = self._call(settings)
        except (RemoteProtocolError, PhoneError):
            session.refuse(488, now=now)
            return
        self._waiting = None
        call.session, session.app = session, call
        call.tell("incoming", f"called by {event.request.from_.uri}", caller=str(event.request.from_.uri))
        arrived.callback(call)
        try:
            session.ring(now=now)
            session.accept(call.answer(offer) if offer is not None else call.offer(), now)
        except RemoteProtocolError as error:
            session.refuse(error.status, now=now)

    def _progress(self, call: PhoneCall, event: Progress) -> None:
        call.progress(event.status, phrase(event.status))
        if event.sdp is not None:
            # Early media that we cannot use need not keep the call from being answered.
            with suppress(RemoteProtocolError):
                call.answer_arrived(event.sdp)

    def _answer_arrived(self, call: PhoneCall | Transfer, event: AnswerArrived) -> None:
        try:
            call.answer_arrived(event.sdp)
        except RemoteProtocolError as error:
            call.give_up(Outcome(False, f"the answer to our offer is of no use: {error}", "try another --codec"))

    def _answered(self, call: PhoneCall, event: Answered) -> None:
        if call.agreed is None:
            call.give_up(Outcome(False, "answered without a description of the sound", "look at --verbose"))
        else:
            call.up()

    def _confirmed(self, call: PhoneCall, event: Confirmed) -> None:
        self._answered(call, event)  # type: ignore[arg-type]

    def _offered(self, call: PhoneCall, event: Offered) -> None:
        now = self._service.seconds()
        try:
            event.session.accept(call.offer() if event.offer_sdp is None else call.answer(event.offer_sdp), now)
        except RemoteProtocolError:
            event.session.refuse(488, now=now)

    def _info(self, call: PhoneCall, event: InfoReceived) -> None:
        digit = dtmf_relay.parse(event.request.headers.get("Content-Type") or "", event.request.body)
        if digit is not None:
            call.digit_heard(digit, "info")

    def _ended(self, call: PhoneCall, event: Ended) -> None:
        call.session_over(outcome.of(event, answered=call.was_answered))

    # Transferred to another server

    def _referred(self, call: PhoneCall, event: Referred) -> None:
        """Whom we have called may send us elsewhere; who has called us may not have us call others."""
        now, why = self._service.seconds(), why_not(event.target)
        if why or not call.can_move or not event.session.owns_call_id:
            call.tell(
                "not-referred", f"asked to call {event.target}: refused{why and ', ' + why}", uri=str(event.target)
            )
            event.session.referrals.refuse(603, now)
            return
        event.session.referrals.accept(now)
        transfer = Transfer(call, event.session, event.target, self._service.seconds)
        call.transfer(transfer)
        by = event.request.headers.get("Referred-By") or ""
        found = resolve(self._reactor, event.target)
        found.addCallback(lambda place: self._call_there(call, transfer, place, by))
        found.addErrback(lambda failure: self._no_way(transfer, failure))

    def _call_there(self, call: PhoneCall, transfer: Transfer, place: Address, referred_by: str) -> None:
        """Raises PhoneError."""
        if not call.on_its_way(transfer):
            return
        flow = self._flow(transfer.target.transport or self._transport, place)
        ports, talk = call.line()
        by = [("Referred-By", referred_by)] if referred_by else []  # RFC 3892
        transfer.begin(self._invite(transfer.target, talk.offer(), flow, call.credentials, by), talk, ports)

    def _no_way(self, transfer: Transfer, failure: Failure) -> None:
        failure.trap(PhoneError)
        transfer.failed(404, str(failure.value), self._service.seconds())

    def _not_moved(self, transfer: Transfer, event: Ended) -> None:
        status = event.response.status if event.response is not None else 408
        transfer.failed(status, outcome.of(event, answered=False).text, self._service.seconds())


def own_address(remote: str) -> str:
    """Our IPv4 address on the way to that one. Raises PhoneError."""
    try:
        return local_address(remote)
    except OSError as error:
        raise PhoneError(f"no way to {remote}: {error.strerror or error}; give --bind with our own address") from None


def resolve(reactor: IReactorPluggableNameResolver, uri: URI) -> Deferred[Address]:
    """Address and port that a SIP URI leads to; fails with PhoneError."""
    port = uri.port or DEFAULT_PORT
    try:
        return succeed((str(ipaddress.ip_address(uri.host)), port))
    except ValueError:
        pass

    def unknown(_: Failure) -> Address:
        raise PhoneError(f"{uri.host} has no address; write the right name or an address, like sip:3000@127.0.0.1")

    found: Deferred[str] = reactor.resolve(uri.host)  # type: ignore[attr-defined]
    return found.addCallbacks(lambda host: (host, port), unknown)
