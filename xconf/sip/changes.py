"""Changes of a session that is set up: re-INVITE (RFC 3261 section 14) and UPDATE (RFC 3311), theirs and ours.

Both are offers that await an answer. At most one is on the way: what crosses it is put off by 491 or 500.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from xconf.sip.acceptance import Acceptance
from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.events import AnswerArrived, ChangeRefused, Offered, Transmit
from xconf.sip.exchange import Exchange
from xconf.sip.message import Request, Response
from xconf.sip.session_timer import (
    SMALLEST,
    SessionTimer,
    headers_as_client,
    headers_as_server,
    min_se,
    terms_as_client,
    terms_as_server,
)
from xconf.sip.timers import Timer
from xconf.sip.transaction import Failure, Outcome, ServerTransaction

if TYPE_CHECKING:
    from xconf.sip.session import Session

Items = Sequence[tuple[str, str]]

_MOST_COLLISIONS = 10


@dataclass(slots=True)
class OwnChange:
    """A re-INVITE or UPDATE of ours. refresh: the session timer asked for it, and not our owner."""

    method: str
    sdp: bytes | None
    headers: Items = ()
    refresh: bool = False
    collisions: int = 0
    exchange: Exchange | None = None
    ack: Transmit | None = None
    over: bool = False


class Changes:
    """Of one session. local_offer, remote_offer: there is one, by us or by the peer, that has no answer yet."""

    def __init__(self, session: Session) -> None:
        ua = session.ua
        self.local_offer = False
        self.remote_offer = False
        self.asked: ServerTransaction | None = None
        """The peer's change that the owner of the session has not answered."""
        self.local_sdp: bytes | None = None
        """Our latest description, for refreshes."""
        self.floor = SMALLEST
        self.timer = SessionTimer(ua.timers, self._refresh, session.not_refreshed)
        # Not a strong one: sessions that are over are to be freed at once, not when the collector stops the tick for them.
        self._weak_session = weakref.ref(session)
        self._ua = ua
        self._acceptance: Acceptance | None = None
        self._ours: OwnChange | None = None
        self._retry: Timer | None = None

    @property
    def _session(self) -> Session:
        session = self._weak_session()
        assert session is not None, "whoever calls holds the session"
        return session

    def stop(self, now: float) -> None:
        """The session is over."""
        self.timer.close()
        if self._acceptance is not None:
            self._acceptance.stop()
        if self._retry is not None:
            self._retry.cancel()
        if self.asked is not None:
            self.refuse(487, now)
        if self._ours is not None and self._ours.exchange is not None:
            self._ua.abandon(self._ours.exchange.transaction, now)

    # Theirs

    def receive(self, transaction: ServerTransaction, now: float) -> None:
        """A re-INVITE, UPDATE or PRACK with an offer, or one that asks for ours."""
        request = transaction.request
        sdp = self._ua.sdp(request)
        if request.method == "INVITE":
            self._ua.promise(transaction, now)
        if request.method == "UPDATE" and sdp is None:
            self._refreshed(transaction, now)
        elif self._put_off(transaction, now):
            return
        else:
            transaction.cancelled = partial(self.refuse, 487)
            self.asked, self.remote_offer = transaction, sdp is not None
            self._session.refresh_target(request, transaction.flow)
            self._ua.emit(Offered(self._session, sdp, request))

    def _put_off(self, transaction: ServerTransaction, now: float) -> bool:
        """Whether it comes at a bad time, and has been told so (RFC 3261 section 14.2, RFC 3311 section 5.2)."""
        invite = transaction.request.method == "INVITE"
        if self.asked or self.remote_offer or (invite and self._session.incoming):
            self._ua.respond(transaction, 500, now, headers=[("Retry-After", str(self._ua.rng.randrange(11)))])
            return True
        if self.local_offer or (invite and self._ours is not None):
            self._ua.respond(transaction, 491, now)
            return True
        return False

    def _refreshed(self, transaction: ServerTransaction, now: float) -> None:
        self._session.refresh_target(transaction.request, transaction.flow)
        headers = self._agree_timer(transaction.request, now)
        self._ua.respond(transaction, 200, now, headers=[*self._session.contact_headers(), *headers])

    def _agree_timer(self, request: Request, now: float) -> list[tuple[str, str]]:
        terms = terms_as_server(request, self._ua.settings)
        self.timer.set(terms, now)
        return headers_as_server(terms, request)

    def answer(self, sdp: bytes, headers: Items, now: float) -> None:
        """Accept what is asked for: sdp is the answer to the peer's offer, or the offer that it asked us for."""
        transaction = self.asked
        if transaction is None:
            raise LocalProtocolError("there is nothing to accept")
        late, request = not self.remote_offer, transaction.request
        self.asked, self.remote_offer, self.local_sdp = None, False, sdp
        timer = self._agree_timer(request, now) if request.method != "PRACK" else []
        items = [*self._session.contact_headers(), *timer, *headers]
        response = self._ua.response(request, 200, headers=items, sdp=sdp)
        if request.method == "INVITE":
            self.accept(transaction, response, late, now)
        else:
            transaction.respond(response, now)

    def accept(self, transaction: ServerTransaction, response: Response, late: bool, now: float) -> None:
        """Send the 2xx to an INVITE until its ACK comes. late: it carries our offer."""
        if self._acceptance is not None:
            self._acceptance.stop()
        self.local_offer = late
        transaction.user, transaction.cancelled = self._session.acknowledged, None
        self._acceptance = Acceptance(
            self._ua.timers, self._ua.settings, transaction, response, self._session.not_acknowledged, now
        )

    def refuse(self, status: int, now: float, reason: str | None = None, headers: Items = ()) -> None:
        """The session stays as it was."""
        if self.asked is None:
            raise LocalProtocolError("there is nothing to refuse")
        transaction, self.asked, self.remote_offer = self.asked, None, False
        self._ua.respond(transaction, status, now, reason=reason, headers=headers)

    def acknowledged(self, ack: Request) -> bool:
        """Whether this is the ACK that we wait for. Its answer, if one is due, is passed on."""
        if self._acceptance is None or self._acceptance.seq != ack.cseq.number:
            return False
        self._acceptance.stop()
        self._acceptance = None
        if self.local_offer:
            self.answered(self._ua.sdp(ack))
        return True

    def answered(self, sdp: bytes | None) -> None:
        """The answer to our offer has come, or should have."""
        self.local_offer = False
        if sdp is not None:
            self._ua.emit(AnswerArrived(self._session, sdp))

    # Ours

    @property
    def free(self) -> bool:
        """No change is on the way."""
        busy = self.local_offer or self.remote_offer or self.asked or self._ours or self._acceptance
        return self._session.up and not busy

    def begin(self, change: OwnChange, now: float) -> None:
        if not self.free:
            raise LocalProtocolError("another change of the session is on the way, or the session is not up")
        self._cancel_retry()
        request = self._session.request(change.method)
        for name, value in [
            *self._session.contact_headers(),
            *headers_as_client(self.timer.terms, self._ua.settings, self.floor),
            *change.headers,
        ]:
            request.headers.add(name, value)
        if change.sdp is not None:
            self._ua.describe(request, change.sdp)
            self.local_sdp = change.sdp
        self._ours, self.local_offer = change, change.sdp is not None
        change.exchange = self._session.send(request, partial(self._outcome, change, self._session), now)

    def _outcome(self, change: OwnChange, session: Session, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Response) and outcome.status < 200:
            return
        if change.over:
            if change.ack is not None:
                self._ua.out.append(change.ack)  # the 2xx came again
            return
        change.over = True
        if isinstance(outcome, Response) and outcome.status < 300:
            self._succeeded(change, outcome, now)
        elif not session.ended:
            self._failed(change, outcome, now)

    def _succeeded(self, change: OwnChange, response: Response, now: float) -> None:
        if change.method == "INVITE" and change.exchange is not None:
            change.ack = self._session.acknowledge(change.exchange.request)
        if self._session.ended:
            return
        self._ours = None
        self._session.refresh_target(response, self._session.flow)
        self.timer.set(terms_as_client(response, self.timer.terms), now)
        if change.sdp is not None:
            self.answered(self._ua.sdp(response))

    def _failed(self, change: OwnChange, outcome: Response | Failure, now: float) -> None:
        self._ours, self.local_offer = None, False
        if self._session.lost(outcome, now):
            return
        assert isinstance(outcome, Response)
        if outcome.status == 491 and change.collisions < _MOST_COLLISIONS:
            self._retry = self._ua.timers.at(now + self._back_off(), self._try_again, change)
        elif outcome.status == 422 and self._raise_floor(outcome):
            self._try_again(now, change)
        elif not change.refresh:
            self._ua.emit(ChangeRefused(self._session, outcome.status, outcome.reason))

    def _back_off(self) -> float:
        """Seconds, random: whoever made the Call-ID waits longer (section 14.1)."""
        rng = self._ua.rng
        return (rng.randrange(210, 401) if self._session.owns_call_id else rng.randrange(0, 201)) / 100

    def _try_again(self, now: float, change: OwnChange) -> None:
        if self.free:
            again = OwnChange(change.method, change.sdp, change.headers, change.refresh, change.collisions + 1)
            self.begin(again, now)
        else:
            self._retry = self._ua.timers.at(now + max(0.1, self._back_off()), self._try_again, change)

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _raise_floor(self, response: Response) -> bool:
        """Whether a 422 asks, for the first time, for a longer interval than ours (RFC 4028 section 7.4)."""
        try:
            wanted = min_se(response)
        except RemoteProtocolError:
            return False
        raised = wanted > self.floor == SMALLEST
        self.floor = max(wanted, self.floor)
        return raised

    def _refresh(self, now: float) -> None:
        """The session timer: by UPDATE where the peer takes it, which changes nothing, else by our description again."""
        if not self.free:
            return
        if self._session.peer_allows("UPDATE") or self.local_sdp is None:
            self.begin(OwnChange("UPDATE", None, refresh=True), now)
        else:
            self.begin(OwnChange("INVITE", self.local_sdp, refresh=True), now)
