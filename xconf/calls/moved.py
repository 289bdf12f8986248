"""A member who is moved to another node goes on there as what he is: that stands, sealed, in the URI which his telephone is told
to call.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from xconf.calls.once import Once
from xconf.conference.settings import Settings
from xconf.sip.message import Request
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.conference.member import Member

PARAMETER = "xconf-as"
_SEAL = 16  # octets of HMAC-SHA256
_LONGEST = 1000  # characters


@dataclass(frozen=True, slots=True)
class Moved:
    """conference: that he was in, which may be another than he had dialled; profile: it is made from, where there is none."""

    conference: str
    profile: str
    settings: Settings


class Moves:
    """keys: what all nodes share: the first one seals, all open. clock: the time of day."""

    def __init__(self, keys: Sequence[bytes], clock: Callable[[], float]) -> None:
        self.keys = keys
        self._once = Once(clock)

    def seal(self, uri: URI, member: Member, caller: URI) -> URI:
        """The URI with which this caller goes on elsewhere as the member that he is here, once and soon."""
        conference = member.conference
        where = {"at": round(self._once.clock(), 3), "in": conference.name, "by": conference.profile_name}
        text = json.dumps(where | member.settings.told(), separators=(",", ":")).encode()
        coded = base64.urlsafe_b64encode(_seal(self.keys[0], text, caller) + text).rstrip(b"=").decode()
        return uri.replaced(params={**uri.params, PARAMETER: coded})

    def open(self, request: Request) -> Moved | None:
        """What he was; None where the request does not say, or nothing to believe."""
        coded = request.uri.params.get(PARAMETER)
        if not coded or len(coded) > _LONGEST or not coded.isascii():
            return None
        try:
            sealed = base64.b64decode(coded + "=" * (-len(coded) % 4), b"-_", validate=True)
        except (binascii.Error, ValueError):
            return None
        seal, text = sealed[:_SEAL], sealed[_SEAL:]
        if not any(hmac.compare_digest(seal, _seal(key, text, request.from_.uri)) for key in self.keys):
            return None
        told = json.loads(text)
        if not self._once.takes(seal.hex(), told["at"]):
            return None
        return Moved(told["in"], told["by"], Settings.as_told(told))


def goes_along(uri: URI, request: Request) -> URI:
    """Where a call is sent on to: it says of the caller what it said here."""
    told = request.uri.params.get(PARAMETER)
    return uri.replaced(params={**uri.params, PARAMETER: told}) if told else uri


def without_seal(uri: str) -> str:
    """For the log: what lets somebody in is not for its readers."""
    return re.sub(rf";{PARAMETER}=[^;?>]*", "", uri)


def _seal(key: bytes, text: bytes, caller: URI) -> bytes:
    """Over what is said, and of whom. A telephone may call from another of its addresses, but by the same name."""
    whole = text + b"\0" + (caller.user or "").encode("utf-8", "surrogateescape")
    return hmac.digest(key, whole, hashlib.sha256)[:_SEAL]
