"""Transfer: a telephone of ours is told to call somebody else (REFER), and leaves when it has reached them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.defer import Deferred

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.events import ReferralNews
from xconf.sip.session import Session
from xconf.sip.uri import URI


class TransferError(Exception):
    """A call that cannot be transferred; the text says why."""


@dataclass(frozen=True, slots=True)
class Transferred:
    """What came of a transfer. status: of the telephone's answer, or of the call that it made; done: it is there now."""

    status: int
    reason: str

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300


class Transfer:
    """One that is under way. over(result) is called once. reason: why the member leaves; accepted: it has begun to call."""

    def __init__(
        self, session: Session, target: str, now: float, over: Callable[[Transferred], None], reason: str
    ) -> None:
        """Asks the telephone. Raises TransferError."""
        self.reason = reason
        self.accepted = False
        self._over: Callable[[Transferred], None] | None = over
        try:
            uri = URI.parse(target)
        except RemoteProtocolError:
            raise TransferError(f"'{target[:64]}' is not a SIP URI like sip:1001@192.0.2.10") from None
        if not uri.is_sip or not uri.host:
            raise TransferError(f"'{target[:64]}' is not a SIP URI like sip:1001@192.0.2.10")
        if not session.up:
            raise TransferError("the call is not up")
        try:
            session.referrals.refer(uri, now)
        except LocalProtocolError as error:
            raise TransferError(str(error)) from None

    def news(self, event: ReferralNews) -> None:
        """What the telephone tells."""
        if event.over:
            self._finish(Transferred(event.status, event.reason))
        else:
            self.accepted = True

    def hung_up(self) -> None:
        """The call is over. A telephone that had begun to call has gone there, as far as it lets us know."""
        self._finish(Transferred(202, "gone there") if self.accepted else Transferred(487, "hung up"))

    def _finish(self, result: Transferred) -> None:
        over, self._over = self._over, None
        if over is not None:
            over(result)


def failed(why: Exception) -> Deferred[Transferred]:
    """A transfer that did not begin."""
    result: Deferred[Transferred] = Deferred()
    result.errback(why)
    return result
