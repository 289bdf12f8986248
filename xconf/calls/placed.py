"""A call that one node forwards to another: what the first has found out of it, sealed, so that the other can believe it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from xconf.calls.once import Once
from xconf.sip.message import Request

HEADER = "X-Xconf-Placed"


@dataclass(frozen=True, slots=True)
class Placed:
    """host: the address that the call comes from; trunk: the name of its trunk, "" for none; by: the node that placed it."""

    host: str
    trunk: str
    by: str


class Placements:
    """Of the node of this name. keys: what all nodes share: the first one seals, all open. clock: the time of day."""

    def __init__(self, node: str, keys: Sequence[bytes], clock: Callable[[], float]) -> None:
        self.keys = keys
        self._node = node
        self._once = Once(clock)

    def seal(self, request: Request, host: str, trunk: str, to: str) -> tuple[str, str]:
        """The header field with which the node `to` takes this call, once and soon."""
        fields = {"from": host, "trunk": trunk, "by": self._node, "at": f"{self._once.clock():.3f}"}
        text = ";".join(f"{name}={quote(value, ':')}" for name, value in fields.items())
        return HEADER, f"{text};seal={_seal(self.keys[0], text, to, request)}"

    def open(self, request: Request) -> Placed | None:
        """None where there is no such field, or none to believe."""
        text, _, seal = (request.headers.get(HEADER) or "").rpartition(";seal=")
        if not text or not seal.isascii():
            return None
        if not any(hmac.compare_digest(seal, _seal(key, text, self._node, request)) for key in self.keys):
            return None
        fields = {name: unquote(value) for name, _, value in (part.partition("=") for part in text.split(";"))}
        if not self._once.takes(seal, float(fields["at"])):
            return None
        return Placed(fields["from"], fields["trunk"], fields["by"])

    @staticmethod
    def is_there(request: Request) -> bool:
        """Whether somebody says that he has placed this call."""
        return HEADER in request.headers


def _seal(key: bytes, text: str, to: str, request: Request) -> str:
    """Over what is said, to whom, and of which call."""
    whole = "\0".join((text, to, request.call_id, request.from_.tag or ""))
    return hmac.digest(key, whole.encode("utf-8", "surrogateescape"), hashlib.sha256).hex()
