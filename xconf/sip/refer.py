"""Referrals (RFC 3515): one side asks the other to call somebody else, and is told by NOTIFY what comes of it."""

from __future__ import annotations

import re
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.events import ReferralNews, Referred
from xconf.sip.exchange import Exchange
from xconf.sip.message import Request, Response
from xconf.sip.syntax import split_parameters
from xconf.sip.timers import Timer
from xconf.sip.transaction import Failure, Outcome, ServerTransaction
from xconf.sip.uri import URI, Address

if TYPE_CHECKING:
    from xconf.sip.session import Session

SIPFRAG = "message/sipfrag"
LIFETIME = 600  # s of a subscription
NEWS = 240.0  # s that we wait for the last NOTIFY to a REFER of ours

_STATUS_LINE = re.compile(rb"\s*SIP/2\.0 (\d{3})(?: ([^\r\n]*))?", re.IGNORECASE)


@dataclass(slots=True, eq=False)
class _Own:
    """A REFER of ours."""

    limit: Timer
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class _Subscription:
    """The one that a REFER of the peer's has made; name: the value of Event."""

    name: str


class Referrals:
    """Of one session; at most one each way at a time."""

    def __init__(self, session: Session) -> None:
        self._weak_session = weakref.ref(session)  # see Changes
        self._ua = session.ua
        self._own: _Own | None = None
        self._own_id = ""  # CSeq number of our latest
        self._asked: ServerTransaction | None = None
        self._subscription: _Subscription | None = None
        self._received = 0

    @property
    def _session(self) -> Session:
        session = self._weak_session()
        assert session is not None, "whoever calls holds the session"
        return session

    def receive(self, transaction: ServerTransaction, now: float) -> None:
        """A REFER or NOTIFY in the dialog."""
        if transaction.request.method == "REFER":
            self._referred(transaction, now)
        else:
            self._notified(transaction, now)

    def stop(self, now: float) -> None:
        """The session is over, and its subscriptions with it."""
        if self._asked is not None:
            self._ua.respond(self._asked, 481, now)
        if self._own is not None:
            self._own.limit.cancel()
        self._own = self._asked = self._subscription = None

    # Ours

    def refer(self, target: URI, now: float, headers: Sequence[tuple[str, str]] = ()) -> None:
        """Ask the peer to call somebody; ReferralNews follow."""
        if self._own is not None:
            raise LocalProtocolError("another REFER is on the way")
        session = self._session
        request = session.request("REFER")
        referred_by = ("Referred-By", str(Address(session.local.uri)))
        for name, value in (("Refer-To", f"<{target}>"), referred_by, *session.contact_headers(), *headers):
            request.headers.add(name, value)
        own = self._own = _Own(self._ua.timers.at(now + NEWS, self._no_news))
        self._own_id = str(request.cseq.number)
        own.exchange = session.send(request, partial(self._outcome, own), now)

    def _outcome(self, own: _Own, outcome: Outcome, now: float) -> None:
        if own.exchange is not None:
            self._own_id = str(own.exchange.request.cseq.number)  # another one, when a password was asked for
        if own is not self._own or (isinstance(outcome, Response) and outcome.status < 200):
            return
        if isinstance(outcome, Failure):
            self._session.lost(outcome, now)
            self._over(408, "no answer to the REFER")
        elif outcome.status >= 300 or (outcome.headers.get("Refer-Sub") or "").lower().startswith("false"):
            self._over(outcome.status, outcome.reason)

    def _no_news(self, now: float) -> None:
        self._over(408, "no news of the transfer")

    def _over(self, status: int, reason: str) -> None:
        if self._own is None:
            return
        self._own.limit.cancel()
        self._own = None
        session = self._weak_session()
        if session is not None and not session.ended:
            self._ua.emit(ReferralNews(session, status, reason, True))

    def _notified(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        package, params = split_parameters(request.headers.get("Event") or "")
        if package.lower() != "refer":
            self._ua.respond(transaction, 489, now, headers=[("Allow-Events", "refer")])
        elif not self._own_id or params.get("id") not in (None, self._own_id):
            self._ua.respond(transaction, 481, now)
        else:
            self._ua.respond(transaction, 200, now)
            if self._own is not None:
                self._told(request)

    def _told(self, notify: Request) -> None:
        """What the peer says of the call that it makes for us."""
        found = _STATUS_LINE.match(notify.body) if notify.content_type == SIPFRAG else None
        status = int(found[1]) if found else 0
        reason = (found[2] or b"").decode("utf-8", "replace") if found else ""
        state = split_parameters(notify.headers.get("Subscription-State") or "")[0].lower()
        if status >= 200:
            self._over(status, reason)
        elif state == "terminated":
            self._over(408, "no more news of the transfer")
        elif status >= 100:
            self._ua.emit(ReferralNews(self._session, status, reason, False))

    # The peer's

    def _referred(self, transaction: ServerTransaction, now: float) -> None:
        request = transaction.request
        try:
            target = Address.parse(request.headers.get("Refer-To") or "").uri
        except RemoteProtocolError:
            self._ua.respond(transaction, 400, now, reason="Malformed or missing Refer-To")
            return
        if self._asked is not None or self._subscription is not None or not self._session.up:
            self._ua.respond(transaction, 500, now, headers=[("Retry-After", "5")])
            return
        self._asked = transaction
        self._ua.emit(Referred(self._session, request, target))

    def accept(self, now: float) -> None:
        """202 to Referred; `notify` is to follow, up to a final status."""
        transaction = self._answered()
        request, headers = transaction.request, self._session.contact_headers()
        self._received += 1
        if (request.headers.get("Refer-Sub") or "").lower().startswith("false"):
            self._ua.respond(transaction, 202, now, headers=[*headers, ("Refer-Sub", "false")])
            return
        self._ua.respond(transaction, 202, now, headers=headers)
        # The first one needs no id (section 2.4.6), and some telephones do not expect it.
        name = "refer" if self._received == 1 else f"refer;id={request.cseq.number}"
        self._subscription = _Subscription(name)
        self.notify(100, "Trying", now)

    def refuse(self, status: int, now: float, reason: str | None = None) -> None:
        self._ua.respond(self._answered(), status, now, reason=reason)

    def _answered(self) -> ServerTransaction:
        if self._asked is None:
            raise LocalProtocolError("there is no REFER to answer")
        transaction, self._asked = self._asked, None
        return transaction

    def notify(self, status: int, reason: str, now: float) -> None:
        """What comes of the call that the peer asked for. A final status ends the subscription. Nobody listening: nothing."""
        subscription = self._subscription
        if subscription is None:
            return
        session = self._session
        over = status >= 200
        request = session.request("NOTIFY")
        state = "terminated;reason=noresource" if over else f"active;expires={LIFETIME}"
        for name, value in (
            *session.contact_headers(),
            ("Event", subscription.name),
            ("Subscription-State", state),
            ("Content-Type", f"{SIPFRAG};version=2.0"),
        ):
            request.headers.add(name, value)
        request.body = f"SIP/2.0 {status} {reason}\r\n".encode()
        if over:
            self._subscription = None
        session.send(request, partial(self._notify_outcome, subscription), now)

    def _notify_outcome(self, subscription: _Subscription, outcome: Outcome, now: float) -> None:
        """Who does not want to be told is told no more; that does not end the call (RFC 6665 section 4.2.2)."""
        refused = isinstance(outcome, Failure) or outcome.status >= 300
        if refused and self._subscription is subscription:
            self._subscription = None
