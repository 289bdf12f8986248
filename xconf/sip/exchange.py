"""A request of ours until its last response: sent again with credentials when the peer asks for them (RFC 3261 22.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xconf.sip.digest import respond, strongest
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, Response
from xconf.sip.transaction import ClientTransaction, ClientUser, Failure, Outcome

if TYPE_CHECKING:
    from xconf.sip.useragent import UserAgent

Credentials = tuple[str, str]
"""Username, password."""

_MOST_CHALLENGES = 3
_ASKED = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


class Exchange:
    """Tells its user all responses but the challenges that it could answer.

    `renumber()` gives the CSeq number of the next try. `transaction` is the latest.
    """

    __slots__ = ("_challenges", "_credentials", "_hop", "_renumber", "_ua", "_user", "transaction")

    def __init__(
        self,
        ua: UserAgent,
        request: Request,
        hop: tuple[Flow, Place | None],
        user: ClientUser,
        now: float,
        *,
        credentials: Credentials | None,
        renumber: Callable[[], int],
    ) -> None:
        self._ua = ua
        self._hop = hop
        self._user = user
        self._credentials = credentials
        self._renumber = renumber
        self._challenges = 0
        self.transaction = self._send(request, now)

    @property
    def request(self) -> Request:
        return self.transaction.request

    def send_again(self, headers: list[tuple[str, str]], now: float) -> None:
        """The same request with a new number, and these header fields in place of those of the same name."""
        request = Request(self.request.method, self.request.uri, self.request.headers.copy(), self.request.body)
        request.headers.remove("Via")
        for name, value in headers:
            request.headers.set(name, value)
        request.headers.set("CSeq", f"{self._renumber()} {request.method}")
        self.transaction = self._send(request, now)

    def _send(self, request: Request, now: float) -> ClientTransaction:
        transaction = self._ua.send(request, self._hop, self._outcome, now)
        transaction.over = self._over
        return transaction

    def _over(self, transaction: ClientTransaction) -> None:
        """After the last of them nothing more is heard: who keeps this exchange and hears by it is in no circle with it."""
        if transaction is self.transaction:
            self._user, self._renumber = _nobody, _never

    def _outcome(self, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, Failure) or outcome.status not in _ASKED:
            self._user(outcome, now)
            return
        header = self._answer(outcome)
        if header is None:
            self._user(outcome, now)
        else:
            self.send_again([header], now)

    def _answer(self, response: Response) -> tuple[str, str] | None:
        """The header field with our credentials; None when we have none, or they have been refused."""
        asked, answered = _ASKED[response.status]
        challenge = strongest(response.headers.values(asked))
        self._challenges += 1
        if self._credentials is None or challenge is None or self._challenges > _MOST_CHALLENGES:
            return None
        if answered in self.request.headers and "stale=true" not in challenge.lower():
            return None
        try:
            return answered, respond(challenge, self.request.method, str(self.request.uri), *self._credentials)
        except RemoteProtocolError:
            return None


def _nobody(outcome: Outcome, now: float) -> None:
    """Hears of an exchange that is over: nothing."""


def _never() -> int:
    raise AssertionError("an exchange that is over sends nothing again")
