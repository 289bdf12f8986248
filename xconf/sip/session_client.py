"""A session that we began: from our INVITE to the peer's answer (RFC 3261 section 13.2, RFC 3262)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconf.sip.dialog import Dialog
from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.events import Answered, Cause, Offered, Progress, Transmit
from xconf.sip.exchange import Credentials, Exchange
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, Response
from xconf.sip.session import Items, Session, SessionState
from xconf.sip.session_timer import SMALLEST, headers_as_client, min_se, terms_as_client
from xconf.sip.settings import ALLOW, SUPPORTED
from xconf.sip.syntax import parse_number
from xconf.sip.transaction import Failure, Outcome, cancel
from xconf.sip.uri import URI, Address

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

_LARGEST_RSEQ = 2**32 - 1
_MOST_FORKS = 32


class ClientSession(Session):
    """Begins in state CALLING. Of the answers to a forked call the first is taken, the others are hung up."""

    owns_call_id = True

    def __init__(
        self,
        ua: UserAgent,
        uri: URI,
        *,
        sdp: bytes | None,
        from_: Address,
        to: Address,
        flow: Flow,
        credentials: Credentials | None,
        headers: Items,
        now: float,
    ) -> None:
        super().__init__(ua, SessionState.CALLING, flow, from_.uri.user or "", credentials)
        self._call_id = ua.call_id(flow)
        self._from, self._to = from_.with_tag(ua.tag()), to
        self._seq = ua.first_seq()
        self._hop: tuple[Flow, Place | None] = (flow, None)
        self._offered = sdp is not None
        self._early: dict[str, int] = {}  # by the peer's tag: number of its latest reliable response
        self._answers: dict[str, bytes] = {}  # by the peer's tag: what a reliable response has answered to our offer
        self._answered_by: str | None = None  # the tag of the one that was told
        self._acks: dict[str, Transmit] = {}  # by the peer's tag
        self._unanswered: Response | None = None  # 2xx with an offer that our owner has not answered
        self._proceeding = False
        self._cancel_cause: Cause | None = None
        self._cancel_sent = False
        self._deadline = ua.timers.at(now + ua.settings.ring_timeout, self._ring_timeout)
        self.changes.local_offer, self.changes.local_sdp = self._offered, sdp
        self._exchange_of_invite: Exchange = self._start(uri, sdp, headers, now)

    def _start(self, uri: URI, sdp: bytes | None, headers: Items, now: float) -> Exchange:
        # Without an offer of ours, one could come in a reliable response; we want it in the 2xx.
        supported = SUPPORTED if self._offered else tuple(option for option in SUPPORTED if option != "100rel")
        request = Request(
            "INVITE",
            uri,
            [
                *(("Max-Forwards", "70"), ("From", str(self._from)), ("To", str(self._to)), ("Call-ID", self._call_id)),
                *(("CSeq", f"{self._seq} INVITE"), ("Contact", self.ua.contact(self._flow, self._user))),
                *(("Allow", ", ".join(ALLOW)), ("Supported", ", ".join(supported))),
                *headers_as_client(None, self.ua.settings, self.changes.floor),
                *headers,
            ],
        )
        if sdp is not None:
            self.ua.describe(request, sdp)
        return Exchange(
            self.ua, request, self._hop, self._outcome, now, credentials=self._credentials, renumber=self._renumber
        )

    def _renumber(self) -> int:
        self._seq += 1
        return self._seq

    @property
    def call_id(self) -> str:
        return self._call_id

    @property
    def local(self) -> Address:
        return self._from

    @property
    def remote(self) -> Address:
        return self.dialog.remote if self.dialog is not None else self._to

    # The outcome of the INVITE

    def _outcome(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Failure):
            cause = Cause.TIMEOUT if outcome is Failure.TIMEOUT else Cause.TRANSPORT
            self.end(self._cancel_cause or cause, "local", now)
        elif outcome.status < 200:
            self._progress(outcome, now)
        elif outcome.status < 300:
            self._answered(outcome, now)
        else:
            self._rejected(outcome, now)

    def _progress(self, response: Response, now: float) -> None:
        if self.state is not SessionState.CALLING:
            return
        self._proceeding = True
        self._cancel_if_wanted(now)
        tag = response.to.tag
        if response.status == 100 or self._cancel_cause is not None:
            return
        sdp = self.ua.sdp(response)
        if tag is not None:
            if tag not in self.dialogs and len(self.dialogs) >= _MOST_FORKS:
                return
            self._early_dialog(tag, response)
            if "100rel" in response.headers.get_all("Require"):
                if not self._acknowledge_reliable(tag, response, now):
                    return
                if sdp is not None and self._offered:
                    self._answers.setdefault(tag, sdp)
                if sdp is not None and self.changes.local_offer:
                    self._answered_by = tag
                    self.changes.answered(sdp)
                    sdp = None
        self.ua.emit(Progress(self, response.status, sdp))

    def _early_dialog(self, tag: str, response: Response) -> None:
        if tag not in self.dialogs:
            dialog = Dialog.as_client(self._exchange_of_invite.request, response, self._flow)
            self.dialogs[tag] = dialog
            self.dialog = self.dialog or dialog
            self.ua.register(dialog, self)

    def _acknowledge_reliable(self, tag: str, response: Response, now: float) -> bool:
        """PRACK (RFC 3262 section 4). False: it is not the next one, and to be left aside."""
        try:
            number = parse_number(response.headers.get("RSeq") or "", _LARGEST_RSEQ, "RSeq")
        except RemoteProtocolError:
            return False
        if tag in self._early and number != self._early[tag] + 1:
            return False
        self._early[tag] = number
        dialog = self.dialogs[tag]
        prack = dialog.request("PRACK")
        prack.headers.add("RAck", f"{number} {response.cseq}")
        self._exchange(dialog, prack, self._listen, now)
        return True

    def _answered(self, response: Response, now: float) -> None:
        tag = response.to.tag or ""
        if tag in self._acks:
            self.ua.out.append(self._acks[tag])
        elif self.state is SessionState.CALLING and self._unanswered is None:
            self._first_answer(tag, response, now)
        elif len(self._acks) < _MOST_FORKS and (self._unanswered is None or self._unanswered.to.tag != response.to.tag):
            self._hang_up_fork(tag, response, now)

    def _hang_up_fork(self, tag: str, response: Response, now: float) -> None:
        dialog = self._confirmed_dialog(tag, response)
        self._acks[tag] = self.acknowledge(self._exchange_of_invite.request, dialog=dialog)
        self.bye((), now, dialog)

    def _confirmed_dialog(self, tag: str, response: Response) -> Dialog:
        """The route set and the target of the 2xx count, the numbers go on (section 13.2.2.4)."""
        dialog, early = Dialog.as_client(self._exchange_of_invite.request, response, self._flow), self.dialogs.get(tag)
        if early is not None:
            dialog.local_seq, dialog.remote_seq = max(early.local_seq, dialog.local_seq), early.remote_seq
        return dialog

    def _first_answer(self, tag: str, response: Response, now: float) -> None:
        if self._cancel_cause is not None:
            self._hang_up_fork(tag, response, now)
            self.end(self._cancel_cause, "local", now)
            return
        self._keep_only(tag, self._confirmed_dialog(tag, response))
        self.note_allowed(response)
        self._deadline.cancel()
        sdp = self.ua.sdp(response)
        if self._offered:
            self._up(tag, response, None, now)
            # Of a forked call the answer of another telephone may have come before, reliably: it counts no more.
            sdp = self._answers.get(tag, sdp)
            if sdp is not None and self._answered_by != tag:
                self.changes.answered(sdp)
            self.changes.local_offer = False
            self.ua.emit(Answered(self, response))
        elif sdp is not None:
            self._unanswered = response
            self.ua.emit(Offered(self, sdp, response))
        else:
            self._hang_up_fork(tag, response, now)
            self.end(Cause.REJECTED, "remote", now, response)

    def _keep_only(self, tag: str, dialog: Dialog) -> None:
        for early in self.dialogs.values():
            self.ua.unregister(early)
        self.dialog = dialog
        self.dialogs = {tag: dialog}
        self.ua.register(dialog, self)

    def _up(self, tag: str, response: Response, answer: bytes | None, now: float) -> None:
        self._acks[tag] = self.acknowledge(self._exchange_of_invite.request, answer)
        self.state = SessionState.UP
        self.changes.timer.set(terms_as_client(response, None), now)

    def _rejected(self, response: Response, now: float) -> None:
        if self.ended:
            return
        if response.status == 422 and self._cancel_cause is None and self._longer(response, now):
            return
        if self._cancel_cause is not None:
            self.end(self._cancel_cause, "local", now, response)
        else:
            self.end(Cause.REJECTED, "remote", now, response)

    def _longer(self, response: Response, now: float) -> bool:
        """Whether the call is tried again with the session interval that a 422 asks for (RFC 4028 section 7.4)."""
        try:
            wanted = min_se(response)
        except RemoteProtocolError:
            return False
        if self.changes.floor > SMALLEST or wanted <= SMALLEST:
            return False
        self.changes.floor = wanted
        self._exchange_of_invite.send_again(headers_as_client(None, self.ua.settings, wanted), now)
        return True

    # For the owner

    def accept(self, sdp: bytes, now: float, headers: Items = ()) -> None:
        """Also answers the offer in the 2xx to an INVITE without one; the answer goes out in the ACK."""
        response, self._unanswered = self._unanswered, None
        if response is None:
            super().accept(sdp, now, headers)
            return
        self.changes.local_sdp = sdp
        self._up(response.to.tag or "", response, sdp, now)
        self.ua.emit(Answered(self, response))

    def refuse(self, status: int, reason: str | None = None, headers: Items = (), *, now: float) -> None:
        """An offer in a 2xx can only be refused by hanging up."""
        if self._unanswered is None:
            super().refuse(status, reason, headers, now=now)
        else:
            self._hang_up_unanswered(headers, now)

    def _hang_up_unanswered(self, headers: Items, now: float) -> None:
        assert self._unanswered is not None
        self._acks[self._unanswered.to.tag or ""] = self.acknowledge(self._exchange_of_invite.request)
        self.bye(headers, now)
        self.end(Cause.LOCAL, "local", now)

    def hangup(self, now: float, headers: Items = ()) -> None:
        if self._unanswered is not None and not self.ended:
            self._hang_up_unanswered(headers, now)
        elif self.state is SessionState.CALLING:
            self._cancel(Cause.CANCELLED, now)
        else:
            super().hangup(now, headers)

    # CANCEL (section 9.1)

    def _cancel(self, cause: Cause, now: float) -> None:
        self._cancel_cause = self._cancel_cause or cause
        self._cancel_if_wanted(now)

    def _cancel_if_wanted(self, now: float) -> None:
        """Not before a provisional response; after 64 T1 without a final one, that is it."""
        if self._cancel_cause is None or self._cancel_sent or not self._proceeding:
            return
        self._cancel_sent = True
        transaction = self._exchange_of_invite.transaction
        request = cancel(transaction.request)
        self.ua.transactions.send(request, transaction.flow, transaction.reconnect, lambda outcome, now: None, now)
        self._deadline.cancel()
        self._deadline = self.ua.timers.at(now + 64 * self.ua.settings.t1, self._not_cancelled)

    def _not_cancelled(self, now: float) -> None:
        self.end(self._cancel_cause or Cause.TIMEOUT, "local", now)

    def _ring_timeout(self, now: float) -> None:
        self._cancel(Cause.TIMEOUT, now)

    def request(self, method: str, seq: int | None = None) -> Request:
        if self.state is SessionState.CALLING and not self._early:
            raise LocalProtocolError("the call is not answered yet")
        return super().request(method, seq)

    def released(self, now: float) -> None:
        self._deadline.cancel()
        self.ua.abandon(self._exchange_of_invite.transaction, now)
