"""What must be in order before a message is acted upon (RFC 3261 sections 8.1.1, 8.2, 18.1.2; RFC 4475 section 3)."""

from __future__ import annotations

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.headers import identify
from xconf.sip.message import Message, Request, Response

METHODS = frozenset(
    {"ACK", "BYE", "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY"}
    | {"OPTIONS", "PRACK", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE", "UPDATE"}
)
"""The methods that the RFCs define."""

_ONLY_ONCE = frozenset(
    ("call-id", "cseq", "from", "to", "max-forwards", "content-type", "content-length", "expires", "min-se")
    + ("session-expires", "rack", "rseq", "event", "refer-to", "replaces")
)


def validate(message: Request | Response) -> None:
    """RemoteProtocolError when the message must not be acted upon, with the status to answer and the request.

    A response that fails is to be dropped; whether its Vias are those of a request of ours is for its transaction to
    say. What depends on our abilities (methods, extensions, URI schemes, bodies) is left to the user agent, and so are
    Max-Forwards of 0 and a missing Max-Forwards, Contact or From tag, which RFC 2543 allowed.
    """
    try:
        _validate_common(message)
        if isinstance(message, Request):
            _validate_request(message)
    except RemoteProtocolError as error:
        if isinstance(message, Request):
            error.request = message
        raise


def _validate_common(message: Message) -> None:
    for key in message.headers.repeated():
        if key in _ONLY_ONCE:
            raise RemoteProtocolError(f"Several {identify(key)[1]} header fields")
    if not message.call_id:
        raise RemoteProtocolError("Empty Call-ID")
    _ = (message.via, message.from_, message.to, message.cseq, message.contacts, message.content_type)
    _ = message.record_routes


def _validate_request(request: Request) -> None:
    _ = (request.max_forwards, request.routes)
    if request.uri.headers:
        raise RemoteProtocolError("Request-URI with headers")
    if request.contacts == "*" and request.method != "REGISTER":
        raise RemoteProtocolError("Contact * outside of REGISTER")
    if request.cseq.method != request.method:
        # A method from the future may pair otherwise than we know: 501 tells its sender more (RFC 4475 3.1.2.18).
        raise RemoteProtocolError("CSeq is of another method", 400 if request.method in METHODS else 501)
