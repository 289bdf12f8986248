"""A session: the dialog that an INVITE has founded, from either side, until its end."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from xconf.sip.changes import Changes, OwnChange
from xconf.sip.checks import capabilities
from xconf.sip.dialog import Dialog
from xconf.sip.errors import LocalProtocolError
from xconf.sip.events import Cause, Confirmed, Ended, InfoReceived, Transmit
from xconf.sip.exchange import Credentials, Exchange
from xconf.sip.flow import Flow
from xconf.sip.message import Request, Response
from xconf.sip.refer import Referrals
from xconf.sip.settings import ALLOW, SUPPORTED
from xconf.sip.syntax import split_commas
from xconf.sip.transaction import ClientUser, Failure, Outcome, ServerTransaction
from xconf.sip.uri import Address

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

Items = Sequence[tuple[str, str]]

_ABILITIES = ("Allow", ", ".join(ALLOW)), ("Supported", ", ".join(SUPPORTED))


class SessionState(Enum):
    INCOMING = "incoming"  # their INVITE, not answered yet
    CALLING = "calling"  # our INVITE, not answered yet
    ACCEPTED = "accepted"  # answered, and the ACK is missing
    UP = "up"
    ENDED = "ended"


class Session:
    """What both sides have in common. `app` is the owner's to use.

    The owner calls the public methods in answer to events, or when it wants to; LocalProtocolError tells it that the
    state does not allow it. Afterwards the user agent is to be drained.
    """

    owns_call_id = False

    def __init__(
        self, ua: UserAgent, state: SessionState, flow: Flow, user: str, credentials: Credentials | None = None
    ) -> None:
        self.app: Any = None
        self.ua = ua
        self.state = state
        self.dialog: Dialog | None = None
        self.dialogs: dict[str, Dialog] = {}
        """By the peer's tag: one, but for a call of ours that was forked."""
        self.changes = Changes(self)
        self._flow = flow
        self._user = user
        self._credentials = credentials
        self._referrals: Referrals | None = None
        self._allowed: list[str] = []  # the values of Allow, as written
        self._goodbye: Items | None = None  # headers of the BYE that waits for the ACK
        self._probing = False

    # Who, where, what state

    @property
    def call_id(self) -> str:
        return self._dialog.call_id

    @property
    def local(self) -> Address:
        """Us, with our tag."""
        return self._dialog.local

    @property
    def remote(self) -> Address:
        """The peer, with its tag."""
        return self._dialog.remote

    @property
    def flow(self) -> Flow:
        """The way that its latest INVITE or UPDATE came by, or ours goes by."""
        return self.dialog.flow if self.dialog is not None else self._flow

    @property
    def incoming(self) -> bool:
        return self.state is SessionState.INCOMING

    @property
    def up(self) -> bool:
        return self.state is SessionState.UP

    @property
    def ended(self) -> bool:
        return self.state is SessionState.ENDED

    @property
    def _dialog(self) -> Dialog:
        if self.dialog is None:
            raise LocalProtocolError("there is no dialog yet")
        return self.dialog

    @property
    def referrals(self) -> Referrals:
        """REFER, ours and the peer's; made when it is first needed, for few calls need it."""
        if self._referrals is None:
            self._referrals = Referrals(self)
        return self._referrals

    # For the owner

    def ring(
        self, status: int = 180, *, sdp: bytes | None = None, now: float, headers: Items = (), reliable: bool = False
    ) -> None:
        """A provisional answer, 101 to 199. reliable: by PRACK, if the caller can; it is anyway if the caller requires."""
        raise LocalProtocolError("only a call that comes in and is not answered can ring")

    def lend(self) -> ServerTransaction:
        """The INVITE of a call that comes in and is not answered, for a proxy; until `regain` or `passed_on` it is to answer."""
        raise LocalProtocolError("only a call that comes in and is not answered can be forwarded")

    def regain(self) -> None:
        """It is ours again to answer."""

    def passed_on(self, now: float) -> None:
        """It has been answered for us."""
        self.end(Cause.LOCAL, "local", now)

    def accept(self, sdp: bytes, now: float, headers: Items = ()) -> None:
        """Answer Invited or Offered: sdp is the answer to the peer's offer, or our offer when it sent none."""
        self.changes.answer(sdp, headers, now)
        self.settled(now)

    def refuse(self, status: int, reason: str | None = None, headers: Items = (), *, now: float) -> None:
        """Answer Invited or Offered with a refusal, 300 to 699. The first ends the session, the other leaves it as it is."""
        self.changes.refuse(status, now, reason, headers)
        self.settled(now)

    def challenge(self, header_values: Sequence[str], now: float) -> None:
        """Refuse an initial INVITE with 401 and these WWW-Authenticate."""
        self.refuse(401, headers=[("WWW-Authenticate", value) for value in header_values], now=now)

    def hangup(self, now: float, headers: Items = ()) -> None:
        """End it, in whatever state it is; Ended follows, at once or when the peer has let us. Again does nothing."""
        if self.up:
            self.bye(headers, now)
            self.end(Cause.LOCAL, "local", now)
        elif self.state is SessionState.ACCEPTED and self._goodbye is None:
            self._goodbye = tuple(headers)  # not before the ACK, or its loss (section 15)

    def reinvite(self, sdp: bytes, now: float, headers: Items = ()) -> None:
        """Offer a change; AnswerArrived or ChangeRefused follows. After a collision it is tried again by itself."""
        self.changes.begin(OwnChange("INVITE", sdp, headers), now)

    def update(self, sdp: bytes | None, now: float, headers: Items = ()) -> None:
        """The same by UPDATE. sdp None: refresh only."""
        self.changes.begin(OwnChange("UPDATE", sdp, headers), now)

    def info(self, content_type: str, body: bytes, now: float) -> None:
        request = self.request("INFO")
        request.headers.add("Content-Type", content_type)
        request.body = body
        self.send(request, self._listen, now)

    def options(self, now: float) -> None:
        """Ask the peer whether it is there; if it is not, the session ends with Cause.TIMEOUT."""
        if not self._probing and not self.ended:
            self._probing = True
            self.send(self.request("OPTIONS"), self._listen, now)

    # Requests of ours

    def request(self, method: str, seq: int | None = None) -> Request:
        return self._dialog.request(method, seq=seq)

    def send(self, request: Request, user: ClientUser, now: float) -> Exchange:
        return self._exchange(self._dialog, request, user, now)

    def _exchange(self, dialog: Dialog, request: Request, user: ClientUser, now: float) -> Exchange:
        def renumber() -> int:
            dialog.local_seq += 1
            return dialog.local_seq

        hop = dialog.next_hop()
        return Exchange(self.ua, request, hop, user, now, credentials=self._credentials, renumber=renumber)

    def acknowledge(self, invite: Request, sdp: bytes | None = None, dialog: Dialog | None = None) -> Transmit:
        """Send the ACK to a 2xx (section 13.2.2.4). It is returned for the case that the 2xx comes again."""
        dialog = dialog or self._dialog
        ack = dialog.request("ACK", seq=invite.cseq.number)
        for name in ("Authorization", "Proxy-Authorization"):
            for value in invite.headers.values(name):
                ack.headers.add(name, value)
        if sdp is not None:
            self.ua.describe(ack, sdp)
        return self.ua.transmit(ack, dialog.next_hop())

    def bye(self, headers: Items, now: float, dialog: Dialog | None = None) -> None:
        """Send a BYE, whatever comes of it."""
        dialog = dialog or self._dialog
        request = dialog.request("BYE")
        for name, value in headers:
            request.headers.add(name, value)
        self._exchange(dialog, request, lambda outcome, now: None, now)

    def _listen(self, outcome: Outcome, now: float) -> None:
        """The outcome of a request that changes nothing: only whether the peer is there."""
        if isinstance(outcome, Failure) or outcome.status >= 200:
            self._probing = False
            self.lost(outcome, now)

    def lost(self, outcome: Outcome, now: float) -> bool:
        """Whether an outcome means that the peer has no such dialog any more; the session has ended then (12.2.1.2)."""
        if outcome is Failure.TRANSPORT:
            self.end(Cause.TRANSPORT, "local", now)
        elif isinstance(outcome, Response) and outcome.status == 481:
            self.end(Cause.TIMEOUT, "remote", now)
        elif outcome is Failure.TIMEOUT or (isinstance(outcome, Response) and outcome.status == 408):
            self._give_up(Cause.TIMEOUT, now)
        return self.ended

    def contact_headers(self) -> list[tuple[str, str]]:
        """What INVITE, UPDATE and the answers to them tell of us."""
        contact = ("Contact", self.ua.contact(self.flow, self._user))
        return [contact, *_ABILITIES]

    def peer_allows(self, method: str) -> bool:
        return any(method in split_commas(value) for value in self._allowed)

    def refresh_target(self, message: Request | Response, flow: Flow) -> None:
        self._dialog.refresh_target(message, flow)
        self.note_allowed(message)

    def note_allowed(self, message: Request | Response) -> None:
        self._allowed = message.headers.values("Allow") or self._allowed

    # Requests of the peer

    def receive(self, transaction: ServerTransaction, now: float) -> None:
        """A request within the dialog, checked as such; not ACK or CANCEL."""
        request = transaction.request
        dialog = self.dialogs[request.from_.tag or ""]
        if not dialog.in_order(request):
            self.ua.respond(transaction, 500, now)
        elif request.method == "BYE":
            self.ua.respond(transaction, 200, now)
            self.end(Cause.BYE, "remote", now, request=request)
        elif request.method == "INFO":
            self.ua.respond(transaction, 200, now)
            self.ua.emit(InfoReceived(self, request))
        elif request.method == "OPTIONS":
            self.ua.respond(transaction, 200, now, headers=capabilities(self.ua.settings))
        elif request.method == "PRACK":
            self.pracked(transaction, now)
        elif request.method in ("REFER", "NOTIFY"):
            self.referrals.receive(transaction, now)
        else:
            self.changes.receive(transaction, now)

    def pracked(self, transaction: ServerTransaction, now: float) -> None:
        """A PRACK; unless a response of ours waits for it, it matches nothing (RFC 3262 section 3)."""
        self.ua.respond(transaction, 481, now)

    def acknowledged(self, ack: Request, now: float) -> None:
        if not self.changes.acknowledged(ack):
            self.ua.counters["ack_again"] += 1
        elif self.state is SessionState.ACCEPTED:
            self.state = SessionState.UP
            if self._goodbye is None:
                self.ua.emit(Confirmed(self))
            else:
                self.hangup(now, self._goodbye)

    def settled(self, now: float) -> None:
        """An offer of the peer has been answered."""

    # The end

    def not_acknowledged(self, now: float) -> None:
        """No ACK to our 2xx in all the time that there is (section 13.3.1.4)."""
        if self._goodbye is None:
            self._give_up(Cause.NO_ACK, now)
        else:
            self.bye(self._goodbye, now)
            self.end(Cause.LOCAL, "local", now)

    def not_refreshed(self, now: float) -> None:
        self._give_up(Cause.SESSION_TIMER, now)

    def _give_up(self, cause: Cause, now: float) -> None:
        if not self.ended:
            self.bye((), now)
            self.end(cause, "local", now)

    def end(
        self, cause: Cause, by: str, now: float, response: Response | None = None, request: Request | None = None
    ) -> None:
        """Where every way out leads: all that the session holds is freed, and its owner told. Again does nothing."""
        if self.ended:
            return
        self.state = SessionState.ENDED
        self.changes.stop(now)
        if self._referrals is not None:
            self._referrals.stop(now)
        self.released(now)
        self.ua.forget(self)
        self.ua.emit(Ended(self, cause, by, response, request))

    def released(self, now: float) -> None:
        """What else a kind of session holds."""
