"""The SIP trace: messages as they went over the wire, without what is secret in them."""

from __future__ import annotations

import re
from typing import Any

from twisted.logger import Logger

log = Logger()

LONGEST = 16 << 10  # octets of a message that are shown

_CREDENTIALS = re.compile(r'(?im)^((?:proxy-)?authorization\s*:.*?\bresponse\s*=\s*)"?[^",\r\n]*"?')
_CALL_ID = re.compile(r"(?im)^(?:call-id|i)\s*:\s*(\S+)")
_KEYS = re.compile(r"(?im)^(?:content-type|c)\s*:\s*application/dtmf")  # also dtmf-relay: may be a PIN


def trace(direction: str, flow: Any, data: bytes) -> None:
    """Logs one message. direction: 'in' or 'out'; flow: has transport and remote (host, port)."""
    text = data[:LONGEST].decode("utf-8", "replace")
    found = _CALL_ID.search(text)
    log.info(
        "{arrow} {transport} {host}:{port}\n{message}",
        call_id=found[1] if found else "",
        arrow="<<<" if direction == "in" else ">>>",
        transport=flow.transport,
        host=flow.remote[0],
        port=flow.remote[1],
        message=without_secrets(text),
    )


def without_secrets(text: str) -> str:
    """The message without digest responses, and without the keys that were pressed."""
    text = _CREDENTIALS.sub(r'\1"(left out)"', text)
    head, gap, body = text.partition("\r\n\r\n")
    if body and _KEYS.search(head):
        body = "(keys left out)"
    return f"{head}{gap}{body}".rstrip("\r\n")
