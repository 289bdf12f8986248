"""Which part of a message describes the session (RFC 3261 sections 7.4, 8.2.3; RFC 2046 section 5.1)."""

from __future__ import annotations

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Message
from xconf.sip.syntax import split_parameters

SDP = "application/sdp"
ACCEPTED = f"{SDP}, multipart/mixed, multipart/alternative"
"""For the Accept header."""

_MOST_PARTS = 16


def sdp_of(message: Message) -> bytes | None:
    """The session description, or None when the message has none.

    Raises RemoteProtocolError (415; 400 for a multipart body that is none): a body that we cannot read and may not
    leave aside.
    """
    if not message.body:
        return None
    if (message.headers.get("Content-Encoding") or "identity").strip().lower() != "identity":
        raise RemoteProtocolError("Unsupported content encoding", 415)
    kind = message.content_type
    if kind is None:
        raise RemoteProtocolError("Missing Content-Type header field")
    if kind == SDP:
        return message.body
    if kind in ("multipart/mixed", "multipart/alternative"):
        return _sdp_part(message)
    if _optional(message.headers.get("Content-Disposition")):
        return None
    raise RemoteProtocolError("Unsupported Media Type", 415)


def _optional(disposition: str | None) -> bool:
    return disposition is not None and split_parameters(disposition)[1].get("handling", "required") == "optional"


def _sdp_part(message: Message) -> bytes | None:
    boundary = split_parameters(message.headers.get("Content-Type") or "")[1].get("boundary")
    if not boundary:
        raise RemoteProtocolError("Multipart body without a boundary")
    pieces = (b"\r\n" + message.body).split(b"\r\n--" + boundary.encode("utf-8", "surrogateescape"), _MOST_PARTS)
    required = False
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, _, body = piece.partition(b"\r\n\r\n")
        fields = _fields(head)
        if fields.get("content-type", "").partition(";")[0].strip().lower() == SDP:
            return body
        required = required or not _optional(fields.get("content-disposition", ";handling=optional"))
    if required:
        raise RemoteProtocolError("Unsupported Media Type", 415)
    return None


def _fields(head: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n"))
    return {name.strip().lower(): value.strip() for name, colon, value in lines if colon}
