"""A call that the server moves elsewhere: it asks by REFER (RFC 3515), and hears by NOTIFY what comes of the new call."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from xconf.phone.negotiation import Negotiation
from xconf.phone.outcome import Outcome
from xconf.phone.session import MediaPorts
from xconf.sip.offer_answer import Agreed
from xconf.sip.session import Session
from xconf.sip.status import phrase
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.phone.call import PhoneCall

GONE = 487
"""What the server is told of a new call that we have given up."""


def why_not(uri: URI) -> str:
    """Why we do not call there; empty if we do."""
    if uri.scheme != "sip" or uri.transport not in (None, "udp", "tcp"):
        return "only sip: addresses over UDP and TCP can be called"
    if uri.headers or (uri.params.get("method") or "INVITE").upper() != "INVITE":
        return "it asks for more than a call"
    return ""


class Transfer:
    """From the REFER until the new call is answered or is not. What the new session tells comes here; a `PhoneCall` is told.

    old: the session whose server has asked; seconds: of the user agent's clock.
    """

    def __init__(self, call: PhoneCall, old: Session, target: URI, seconds: Callable[[], float]) -> None:
        self.target = target
        self.session: Session | None = None
        self.talk: Negotiation | None = None
        self.ports: MediaPorts | None = None
        self._call, self._old, self._seconds = call, old, seconds
        self._status = 100
        self._why = ""

    def begin(self, session: Session, talk: Negotiation, ports: MediaPorts) -> None:
        """The INVITE is on its way."""
        self.session, self.talk, self.ports = session, talk, ports
        session.app = self

    def notify(self, status: int, now: float, reason: str = "") -> None:
        """Tell the server; each status once."""
        if status != self._status:
            self._status = status
            self._old.referrals.notify(status, reason or phrase(status), now)

    @property
    def agreed(self) -> Agreed | None:
        return self.talk.agreed if self.talk is not None else None

    def answer_arrived(self, sdp: bytes) -> None:
        """Raises RemoteProtocolError when it answers nothing."""
        assert self.talk is not None
        self.talk.answer_arrived(sdp)

    def answered(self, now: float) -> None:
        """The new call is up. The old one ends, for servers do not all hang up."""
        assert self.session is not None
        if self.agreed is None:
            self.give_up(Outcome(False, "answered without a description of the sound that we understand"))
            return
        self._call.move(self)
        self.notify(200, now, "OK")
        self._old.app = None
        self._old.hangup(now)

    def give_up(self, outcome: Outcome) -> None:
        """The new call is of no use; `failed` follows."""
        assert self.session is not None
        self._why = outcome.text
        self.session.hangup(self._seconds())

    def failed(self, status: int, why: str, now: float) -> None:
        """There is no new call."""
        self._free()
        self.notify(status, now)
        self._call.stay(self, status, self._why or why)

    def abandon(self, now: float) -> None:
        """The call is over: it goes nowhere any more."""
        if self.session is not None:
            self.session.app = None
            self.session.hangup(now)
        self._free()
        self.notify(GONE, now)

    def _free(self) -> None:
        if self.ports is not None:
            self.ports.close()


def outcome_of(status: int, why: str) -> Outcome:
    """Of a call whose old server has hung up, and which has found no new one."""
    return Outcome(
        False, f"the other side hung up, and the call that it asked for failed: {status} {why}", "look there"
    )
