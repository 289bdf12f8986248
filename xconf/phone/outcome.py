"""How a call came out, in words: what happened, and what to do about it when it should have gone otherwise."""

from __future__ import annotations

from dataclasses import dataclass

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.events import Cause, Ended
from xconf.sip.message import Request, Response
from xconf.sip.syntax import split_parameters
from xconf.sip.uri import Address


@dataclass(slots=True, frozen=True)
class Outcome:
    """`normal`: the call was answered and ended by hanging up. `remedy` is empty when it was."""

    normal: bool
    text: str
    remedy: str = ""


_LOOK = "look at the server's log, or at the messages with --verbose"
_CREDENTIALS = "give --user and the right password (XCONF_PASSWORD)"
_CODEC = "no common codec; try another --codec"

_REMEDIES = {
    401: _CREDENTIALS,
    403: "this caller is not allowed there; give --user, or another --bind or --from",
    404: "no such number there; look at the server's dial plan",
    407: _CREDENTIALS,
    408: "is the server running, and is this its address and port?",
    480: "nobody is there now; try again later",
    486: "busy; try again later",
    488: _CODEC,
    503: "the server takes no calls now; look at its log",
    600: "busy; try again later",
    606: _CODEC,
}

_FAILURES = {
    Cause.NO_ACK: Outcome(False, "the caller did not acknowledge our answer", "look at the messages with --verbose"),
    Cause.TRANSPORT: Outcome(False, "no connection", "is the server running, and is this its address and port?"),
    Cause.SESSION_TIMER: Outcome(False, "the other side did not refresh the session", "is it still running?"),
    Cause.TIMEOUT: Outcome(False, "no answer", "is the server running, and is this its address and port?"),
}


def of(event: Ended, *, answered: bool) -> Outcome:
    """What the end of a session means to the phone."""
    local = event.by == "local"
    if event.cause in _FAILURES:
        return _FAILURES[event.cause]
    if event.cause is Cause.REJECTED:
        return _rejected(event.response)
    if event.cause is Cause.CANCELLED:
        who = "cancelled" if local else "the caller gave up"
        return Outcome(False, f"{who} before the call was answered", "let it ring for longer")
    text = "hung up" if local else f"the other side hung up{_reason(event.request)}"
    return Outcome(answered, text, "" if answered else _LOOK)


def _reason(bye: Request | None) -> str:
    """What the Reason header field says in words (RFC 3326)."""
    try:
        text = split_parameters((bye and bye.headers.get("Reason")) or "")[1].get("text")
    except RemoteProtocolError:
        text = None
    return f": {text}" if text else ""


def _rejected(response: Response | None) -> Outcome:
    if response is None:
        return Outcome(False, "refused the call", _CODEC)
    text, contact = f"{response.status} {response.reason}", _contact(response)
    if 300 <= response.status < 400 and contact is not None:
        return Outcome(False, f"moved: {text}", f"call {contact.uri} instead")
    return Outcome(False, f"refused: {text}", _REMEDIES.get(response.status, _LOOK))


def _contact(response: Response) -> Address | None:
    try:
        return response.contact
    except RemoteProtocolError:
        return None
