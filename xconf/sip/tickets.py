"""What is kept of a call that was forwarded: nothing. The way back and forth stands, sealed, in the URI of our Record-Route.

So a proxy that is restarted goes on where it was, and relays for nobody who has not been given such a URI for his call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from xconf.sip.flow import Flow

_MARK = "xr."  # how the user part of such a URI begins
_SEAL = 16  # octets of HMAC-SHA256
_LONGEST = 400  # characters


@dataclass(frozen=True, slots=True)
class Ticket:
    """Where requests that carry it go: to the node that has taken the call, always; or to its caller, who was heard on
    the flow, and as Route and Request-URI say. caller_behind: see `Dialog.peer_behind`. Of the flow's names those of a node are
    kept: they are demanded of it, however often it is connected to.
    """

    flow: Flow
    to_caller: bool = False
    caller_behind: bool = False

    def to_text(self) -> str:
        flow, what = self.flow, 2 * self.to_caller + self.caller_behind
        number = "" if flow.id is None else flow.id
        way = f"{what} {flow.transport} {flow.local[0]} {flow.local[1]} {flow.remote[0]} {flow.remote[1]} {number}"
        return way if self.to_caller else " ".join([way, *flow.names])

    @classmethod
    def from_text(cls, text: str) -> Ticket:
        """Of a text of ours."""
        what, transport, host, port, remote, remote_port, number, *names = text.split(" ")
        places = (host, int(port)), (remote, int(remote_port))
        flow = Flow(transport, *places, int(number) if number else None, tuple(names))
        return cls(flow, bool(int(what) & 2), bool(int(what) & 1))


class Tickets:
    """keys: secrets; the first one seals, all open. Whoever has the same ones opens what we have sealed."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self.keys = keys

    def seal(self, ticket: Ticket, call_id: str) -> str:
        """The ticket for the requests of this call, as the user part of a URI."""
        text = ticket.to_text().encode()
        sealed = _seal(self.keys[0], text, call_id) + text
        return _MARK + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, user: str | None, call_id: str) -> Ticket | None:
        """None where it is no ticket for this call."""
        if user is None or not user.startswith(_MARK) or not len(user) <= _LONGEST or not user.isascii():
            return None
        coded = user.removeprefix(_MARK)
        try:
            sealed = base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        seal, text = sealed[:_SEAL], sealed[_SEAL:]
        for key in self.keys:
            if hmac.compare_digest(seal, _seal(key, text, call_id)):
                return Ticket.from_text(text.decode())
        return None


def _seal(key: bytes, text: bytes, call_id: str) -> bytes:
    whole = text + b"\0" + call_id.encode("utf-8", "surrogateescape")
    return hmac.digest(key, whole, hashlib.sha256)[:_SEAL]
