"""The user agent: bytes in, bytes and events out. It knows no socket and no clock (RFC 3261 sections 8, 9, 11, 12, 16).

One object for a node. `receive`, `wake` and the methods of sessions take `now`, seconds on any steady clock; after each
of them `drain` tells what is to be sent and what has happened.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable

from xconf.sip.bodies import SDP, sdp_of
from xconf.sip.checks import capabilities, check
from xconf.sip.dialog import Dialog, DialogKey
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import (
    AnswerArrived,
    Answered,
    Cause,
    ChangeRefused,
    Confirmed,
    Ended,
    Event,
    InfoReceived,
    Invited,
    Offered,
    Outbox,
    Progress,
    Transmit,
)
from xconf.sip.exchange import Credentials
from xconf.sip.flow import Flow, Place, format_place
from xconf.sip.message import Message, Request, Response, is_keepalive, parse
from xconf.sip.session import Items, Session
from xconf.sip.session_client import ClientSession
from xconf.sip.session_server import ServerSession
from xconf.sip.settings import Settings
from xconf.sip.stateless import Stateless
from xconf.sip.timers import Timers
from xconf.sip.transaction import ClientTransaction, ClientUser, ServerTransaction
from xconf.sip.transactions import MAGIC_COOKIE, Transactions, stamp
from xconf.sip.uri import URI, Address
from xconf.sip.validate import validate

__all__ = [
    "AnswerArrived",
    "Answered",
    "Cause",
    "ChangeRefused",
    "Confirmed",
    "Ended",
    "Event",
    "Flow",
    "InfoReceived",
    "Invited",
    "Offered",
    "Progress",
    "Session",
    "Settings",
    "Transmit",
    "UserAgent",
]

Relay = Callable[[Request, Flow, float], bool]
"""Whether a request that came on this flow, now, is for another, to whom it has been sent on."""

_TRYING = 0.2  # s until a caller hears at least that its INVITE has come


class UserAgent:
    """What strangers can make it keep is bounded by the settings; what it drops is in `counters`."""

    def __init__(self, settings: Settings | None = None, rng: random.Random | None = None) -> None:
        self.settings = settings or Settings()
        self.rng = rng or random.SystemRandom()
        self.timers = Timers()
        self.counters: Counter[str] = Counter()
        self.out = Outbox()
        self.transactions = Transactions(self.settings, self.timers, self.out, self.counters)
        self._sessions: dict[Session, None] = {}
        self._dialogs: dict[DialogKey, Session] = {}
        self._watched: dict[Flow, dict[Callable[[Flow, float], None], None]] = {}
        self.stateless = Stateless(self.settings.product, self.rng, self.out, self.counters)
        self.relay: Relay = lambda request, flow, now: False
        self.closed: Callable[[], bool] = lambda: False  # INVITE would be refused by 503: OPTIONS is (section 11.2)

    # What the transport calls

    def receive(self, data: bytes | Message | RemoteProtocolError, flow: Flow, now: float) -> None:
        """A datagram, or what a stream parser has made of a stream."""
        try:
            message = self._message(data)
            if message is None or self.transactions.again(message, now):
                return
            validate(message)
        except RemoteProtocolError as error:
            self._malformed(error, flow)
            return
        if isinstance(message, Request):
            self._request(message, flow, now)
        elif not self.transactions.response(message, now):
            self.counters["stray_response"] += 1

    def flow_failed(self, flow: Flow, now: float) -> None:
        """The connection is gone, or could not be made."""
        self.transactions.flow_failed(flow, now)
        self.lost_sight(flow, now)

    def lost_sight(self, flow: Flow, now: float) -> None:
        """Nobody seems to be there any more: those are told who watch it, and what has been sent goes on."""
        for told in tuple(self._watched.get(flow, ())):
            told(flow, now)

    def watch(self, flow: Flow, told: Callable[[Flow, float], None]) -> None:
        """Call told(flow, now) each time that this flow's connection fails. Again does nothing."""
        self._watched.setdefault(flow, {})[told] = None

    def unwatch(self, flow: Flow, told: Callable[[Flow, float], None]) -> None:
        watching = self._watched.get(flow, {})
        watching.pop(told, None)
        if not watching:
            self._watched.pop(flow, None)

    def wake(self, now: float) -> None:
        self.timers.wake(now)

    def next_wake(self) -> float | None:
        return self.timers.next_wake()

    def drain(self) -> list[Transmit | Event]:
        """What to send and what has happened since the last call, in order."""
        return self.out.drain()

    # What the owner calls

    def invite(
        self,
        uri: URI | str,
        *,
        sdp: bytes | None,
        from_: Address | str,
        to: Address | str | None = None,
        flow: Flow,
        credentials: Credentials | None = None,
        headers: Items = (),
        now: float,
    ) -> Session:
        """Call somebody. flow: where the INVITE goes; sdp None: the peer is to make the offer.

        Raises RemoteProtocolError (400) for a URI or an address that is none.
        """
        target = URI.parse(uri) if isinstance(uri, str) else uri
        caller = Address.parse(from_) if isinstance(from_, str) else from_
        called = Address.parse(to) if isinstance(to, str) else to or Address(target)
        session = ClientSession(
            self,
            target,
            sdp=sdp,
            from_=caller,
            to=called,
            flow=flow,
            credentials=credentials,
            headers=headers,
            now=now,
        )
        self._sessions[session] = None
        return session

    @property
    def sessions(self) -> Iterable[Session]:
        return self._sessions.keys()

    def sizes(self) -> dict[str, int]:
        """What is kept now. Some time after the last call all of it is zero."""
        return {
            "transactions": len(self.transactions),
            "dialogs": len(self._dialogs),
            "sessions": len(self._sessions),
            "timers": len(self.timers),
        }

    # Messages from the network

    def _message(self, data: bytes | Message | RemoteProtocolError) -> Request | Response | None:
        if isinstance(data, RemoteProtocolError):
            raise data
        if isinstance(data, Request | Response):
            return data
        if not isinstance(data, bytes) or is_keepalive(data):
            self.counters["keepalive"] += 1
            return None
        return parse(data)

    def _malformed(self, error: RemoteProtocolError, flow: Flow) -> None:
        self.counters["malformed"] += 1
        request = error.request
        if request is not None and request.method != "ACK" and "Via" in request.headers:
            self.stateless.answer(request, error.status, flow, reason=error.reason)

    def _request(self, request: Request, flow: Flow, now: float) -> None:
        if request.method != "ACK":  # which nothing is answered to
            stamp(request, flow)
        transaction = self.transactions.find(request)
        if transaction is not None:
            transaction.again(request, now)
        elif request.method == "CANCEL":
            self._cancel(request, flow, now)
        elif self.relay(request, flow, now):
            self.counters["relayed"] += 1
        elif request.method == "ACK":
            self._acknowledged(request, now)
        else:
            self._new_request(request, flow, now)

    def _acknowledged(self, ack: Request, now: float) -> None:
        """The ACK to a 2xx is a request of its own."""
        session = self._session_of(ack)
        if session is None:
            self.counters["stray_ack"] += 1
        else:
            session.acknowledged(ack, now)

    def _cancel(self, request: Request, flow: Flow, now: float) -> None:
        """Section 9.2."""
        invite = self.transactions.cancelled_by(request)
        if invite is None:
            self.stateless.answer(request, 481, flow)
            return
        transaction = self.transactions.receive(request, flow)
        transaction.tag = invite.tag
        self.respond(transaction, 200, now)
        if not invite.answered and invite.cancelled is not None:
            invite.cancelled(now)

    def _new_request(self, request: Request, flow: Flow, now: float) -> None:
        refusal = check(request, self.settings)
        if refusal is not None:
            self.stateless.answer(request, refusal.status, flow, refusal.headers, refusal.reason)
        elif request.to.tag is not None:
            self._in_dialog(request, flow, now)
        elif self.transactions.merged(request):
            self.stateless.answer(request, 482, flow)
        elif request.method == "OPTIONS" and self.closed():
            self._overloaded(request, flow)
        elif request.method == "OPTIONS":
            self.stateless.answer(request, 200, flow, capabilities(self.settings))
        elif request.method == "INVITE":
            self._invited(request, flow, now)
        elif request.method == "REFER":  # whoever is in no call has none to be moved
            self.stateless.answer(request, 403, flow)
        else:
            self.stateless.answer(request, 481, flow)

    def _in_dialog(self, request: Request, flow: Flow, now: float) -> None:
        session = self._session_of(request)
        if session is None:
            self.stateless.answer(request, 481, flow)
        elif self.transactions.full and request.method != "BYE":
            self._overloaded(request, flow)
        else:
            session.receive(self.transactions.receive(request, flow), now)

    def _invited(self, request: Request, flow: Flow, now: float) -> None:
        if self.transactions.full or len(self._sessions) >= self.settings.max_sessions:
            self._overloaded(request, flow)
            return
        transaction = self.transactions.receive(request, flow)
        transaction.tag = self.tag()
        self.promise(transaction, now)
        session = ServerSession(self, transaction)
        self._sessions[session] = None
        self.register(session.dialog, session)
        self.emit(Invited(session, request))

    def _overloaded(self, request: Request, flow: Flow) -> None:
        self.stateless.answer(request, 503, flow, [("Retry-After", str(self.settings.retry_after))])

    def _session_of(self, request: Request) -> Session | None:
        return self._dialogs.get((request.call_id, request.to.tag or "", request.from_.tag or ""))

    # Answers

    def response(
        self,
        request: Request,
        status: int,
        *,
        reason: str | None = None,
        headers: Items = (),
        sdp: bytes | None = None,
        tag: str | None = None,
    ) -> Response:
        return request.response(
            status,
            reason,
            to_tag=tag,
            headers=[("Server", self.settings.product), *headers],
            body=sdp or b"",
            content_type=SDP if sdp else None,
        )

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        now: float,
        *,
        reason: str | None = None,
        headers: Items = (),
        sdp: bytes | None = None,
    ) -> None:
        response = self.response(
            transaction.request, status, reason=reason, headers=headers, sdp=sdp, tag=transaction.tag
        )
        transaction.respond(response, now)

    def promise(self, invite: ServerTransaction, now: float) -> None:
        """Say 100, unless there is something better to say soon (section 17.2.1): most calls are answered at once."""
        self.timers.at(now + _TRYING, self._trying, invite)

    def _trying(self, now: float, invite: ServerTransaction) -> None:
        if not invite.told:
            self.respond(invite, 100, now)

    # What sessions need

    def send(self, request: Request, hop: tuple[Flow, Place | None], user: ClientUser, now: float) -> ClientTransaction:
        self._address(request, hop[0])
        return self.transactions.send(request, *hop, user, now)

    def transmit(self, request: Request, hop: tuple[Flow, Place | None]) -> Transmit:
        """Send a request that no response belongs to, an ACK."""
        self._address(request, hop[0])
        return self.pass_on(request, hop)

    def pass_on(self, request: Request, hop: tuple[Flow, Place | None]) -> Transmit:
        """The same with a request that has its Via."""
        effect = Transmit(hop[0], request.to_bytes(), hop[1])
        self.out.append(effect)
        return effect

    def sign(self, request: Request, flow: Flow) -> None:
        """A Via of ours on top, by which its responses find us."""
        branch = f"{MAGIC_COOKIE}{self.rng.getrandbits(64):016x}"
        way = f"SIP/2.0/{flow.transport.upper()} {format_place(flow.local)}"
        request.headers.prepend("Via", f"{way};branch={branch};rport")

    def _address(self, request: Request, flow: Flow) -> None:
        self.sign(request, flow)
        if "User-Agent" not in request.headers:
            request.headers.add("User-Agent", self.settings.product)

    def contact(self, flow: Flow, user: str) -> str:
        """Us, as the peer on this flow reaches us."""
        params: dict[str, str | None] = {} if flow.transport == "udp" else {"transport": flow.transport}
        return f"<{URI('sip', user=user or None, host=flow.local[0], port=flow.local[1], params=params)}>"

    @staticmethod
    def describe(message: Message, sdp: bytes) -> None:
        message.headers.set("Content-Type", SDP)
        message.body = sdp

    def sdp(self, message: Message) -> bytes | None:
        """The session description of a message that cannot be refused any more."""
        try:
            return sdp_of(message)
        except RemoteProtocolError:
            self.counters["unreadable_body"] += 1
            return None

    def tag(self) -> str:
        return f"{self.rng.getrandbits(64):016x}"

    def call_id(self, flow: Flow) -> str:
        return f"{self.rng.getrandbits(96):024x}@{flow.local[0]}"

    def first_seq(self) -> int:
        return 1 + self.rng.getrandbits(16)

    def emit(self, event: Event) -> None:
        self.out.append(event)

    def register(self, dialog: Dialog | None, session: Session) -> None:
        if dialog is not None:
            self._dialogs[dialog.key] = session

    def unregister(self, dialog: Dialog) -> None:
        self._dialogs.pop(dialog.key, None)

    def forget(self, session: Session) -> None:
        """It is over: its dialogs match nothing any more."""
        self._sessions.pop(session, None)
        for dialog in session.dialogs.values():
            self.unregister(dialog)

    def abandon(self, transaction: ClientTransaction, now: float) -> None:
        """Give an INVITE of an ended session up that is never answered: no timer of its own would."""
        if transaction.unanswered:
            self.timers.at(now + 64 * self.settings.t1, transaction.terminate)
