"""A session that the peer began: from its INVITE to our answer (RFC 3261 section 13.3, RFC 3262)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconf.sip.dialog import Dialog
from xconf.sip.errors import LocalProtocolError
from xconf.sip.events import Cause
from xconf.sip.extensions import requires, supports
from xconf.sip.reliable import ReliableResponses
from xconf.sip.session import Items, Session, SessionState
from xconf.sip.session_timer import headers_as_server, terms_as_server
from xconf.sip.timers import Timer
from xconf.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

_RING_AGAIN = 60.0  # proxies give up on a call that rings silently for three minutes (section 13.3.1.1)


class ServerSession(Session):
    """Begins in state INCOMING."""

    def __init__(self, ua: UserAgent, transaction: ServerTransaction) -> None:
        request = transaction.request
        super().__init__(ua, SessionState.INCOMING, transaction.flow, request.uri.user or "")
        self.dialog = Dialog.as_server(request, transaction.tag or "", transaction.flow, ua.first_seq())
        self.dialogs[self.dialog.remote.tag or ""] = self.dialog
        self.changes.remote_offer = ua.sdp(request) is not None
        self.note_allowed(request)
        self._unanswered: ServerTransaction | None = transaction
        self._late = not self.changes.remote_offer
        self._reliable: ReliableResponses | None = None  # when there is a reason for them
        self._described = False  # a reliable provisional response has carried our description
        self._accepting: tuple[bytes, Items] | None = None  # waits for PRACK
        self._ring_again: Timer | None = None
        transaction.cancelled = self._cancelled

    @property
    def _invite(self) -> ServerTransaction:
        """The INVITE, as long as it has no final answer; afterwards it is not kept."""
        if self._unanswered is None:
            raise LocalProtocolError("the call is answered already")
        return self._unanswered

    def lend(self) -> ServerTransaction:
        self._stop_ringing()
        return self._invite

    def regain(self) -> None:
        self._invite.cancelled = self._cancelled

    def ring(
        self, status: int = 180, *, sdp: bytes | None = None, now: float, headers: Items = (), reliable: bool = False
    ) -> None:
        if not self.incoming or self._accepting is not None:
            raise LocalProtocolError("the call does not wait for an answer")
        if not 100 < status < 200:
            raise LocalProtocolError(f"{status} is not a provisional status")
        self._stop_ringing()
        request = self._invite.request
        if requires(request, "100rel") or (reliable and supports(request, "100rel")):
            self._ring_reliably(status, sdp, headers, now)
        else:
            self._ring(now, status, sdp, headers)

    def _ring(self, now: float, status: int, sdp: bytes | None, headers: Items) -> None:
        self.ua.respond(self._invite, status, now, headers=[*self.contact_headers(), *headers], sdp=sdp)
        self._ring_again = self.ua.timers.at(now + _RING_AGAIN, self._ring, status, sdp, headers)

    def _ring_reliably(self, status: int, sdp: bytes | None, headers: Items, now: float) -> None:
        if sdp is not None:
            self._described = True
            self.changes.remote_offer, self.changes.local_offer = False, self._late
        if self._reliable is None:
            first = self.ua.rng.randrange(1, 2**31)
            self._reliable = ReliableResponses(self.ua.timers, self.ua.settings, self._invite, first, self._not_pracked)
        items = [*self.contact_headers(), *headers]
        self._reliable.send(
            self.ua.response(self._invite.request, status, headers=items, sdp=sdp, tag=self._invite.tag), now
        )

    def accept(self, sdp: bytes, now: float, headers: Items = ()) -> None:
        if self.changes.asked is not None or not self.incoming:
            super().accept(sdp, now, headers)
            return
        if self._accepting is not None:
            raise LocalProtocolError("the call is accepted already")
        self._stop_ringing()
        self._accepting = sdp, headers
        if requires(self._invite.request, "100rel") and self._reliable is None:
            # Without an offer in the INVITE, ours belongs into the first reliable response (RFC 3262 section 5).
            self._ring_reliably(183 if self._late else 180, sdp if self._late else None, (), now)
        self.settled(now)

    def settled(self, now: float) -> None:
        """Answer the INVITE, once it is accepted and nothing before that is open."""
        unacknowledged = self._reliable is not None and self._reliable.waiting
        if self._accepting is None or not self.incoming or unacknowledged or self.changes.asked is not None:
            return
        (sdp, headers), invite, request = self._accepting, self._invite, self._invite.request
        self._unanswered = self._reliable = self._accepting = None
        terms = terms_as_server(request, self.ua.settings)
        items = [*self.contact_headers(), *headers_as_server(terms, request), *headers]
        response = self.ua.response(request, 200, headers=items, sdp=None if self._described else sdp, tag=invite.tag)
        self.state = SessionState.ACCEPTED
        self.changes.remote_offer, self.changes.local_sdp = False, sdp
        self.changes.timer.set(terms, now)
        self.changes.accept(invite, response, self._late and not self._described, now)

    def refuse(self, status: int, reason: str | None = None, headers: Items = (), *, now: float) -> None:
        if self.changes.asked is not None or not self.incoming:
            super().refuse(status, reason, headers, now=now)
            return
        if not 300 <= status < 700:
            raise LocalProtocolError(f"{status} is not a refusal")
        self._refuse(status, Cause.REJECTED, "local", now, reason, headers)

    def hangup(self, now: float, headers: Items = ()) -> None:
        if self.incoming:
            self._refuse(480, Cause.LOCAL, "local", now, None, headers)
        else:
            super().hangup(now, headers)

    def _cancelled(self, now: float) -> None:
        self._refuse(487, Cause.CANCELLED, "remote", now)

    def _not_pracked(self, now: float) -> None:
        self._refuse(504, Cause.TIMEOUT, "local", now)

    def _refuse(
        self, status: int, cause: Cause, by: str, now: float, reason: str | None = None, headers: Items = ()
    ) -> None:
        self.ua.respond(self._invite, status, now, reason=reason, headers=headers)
        self.end(cause, by, now)

    def pracked(self, transaction: ServerTransaction, now: float) -> None:
        if self._reliable is None or not self._reliable.acknowledge(transaction.request, now):
            super().pracked(transaction, now)
            return
        sdp = self.ua.sdp(transaction.request)
        if sdp is not None and not self.changes.local_offer:
            self.changes.receive(transaction, now)
        else:
            self.ua.respond(transaction, 200, now)
            if self.changes.local_offer:
                self.changes.answered(sdp)
        self.settled(now)

    def _stop_ringing(self) -> None:
        if self._ring_again is not None:
            self._ring_again.cancel()
            self._ring_again = None

    def released(self, now: float) -> None:
        self._stop_ringing()
        if self._reliable is not None:
            self._reliable.stop()
        if self._unanswered is not None and not self._unanswered.answered:
            self.ua.respond(self._unanswered, 487, now)
        self._unanswered = None
