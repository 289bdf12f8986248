"""Digest authentication (RFC 7616 and RFC 8760; RFC 2617 for telephones that know nothing newer).

The server keeps nothing for what it asks: a nonce carries its time and a MAC. What it remembers is bounded: the highest
count seen of each nonce that was used with the right password, so that nobody can use the same credentials again.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.message import Request
from xconf.sip.syntax import is_token, quote_string, read_quoted, split_commas
from xconf.sip.uri import URI

Lookup: TypeAlias = Callable[[str], str | None]
"""Username -> password; None for an unknown user."""

ALGORITHMS = ("SHA-256", "SHA-256-sess", "MD5", "MD5-sess")

_MOST_TRIED = 4
_STAMP_BYTES = 8
_SALT_BYTES = 8
_MAC_BYTES = 16
_COUNT = re.compile(r"[0-9A-Fa-f]{1,8}\Z")


class Outcome(Enum):
    """What came of looking at a request's credentials. All but ACCEPTED are answered with a challenge."""

    ACCEPTED = "accepted"
    MISSING = "missing"
    STALE = "stale"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`username` is only a claim unless the outcome is ACCEPTED or STALE."""

    outcome: Outcome
    username: str | None = None

    @property
    def accepted(self) -> bool:
        return self.outcome is Outcome.ACCEPTED

    @property
    def stale(self) -> bool:
        """The password was right, the nonce too old or used before: to be challenged again with `stale=True`."""
        return self.outcome is Outcome.STALE


class Challenger:
    """Asks callers for credentials of one realm, and checks them.

    `secret` is any bytes that only the servers of the realm know; `lifetime` is that of a nonce in seconds; at most
    `most_nonces` are remembered. `algorithms` are offered in this order, the best first (RFC 8760 section 2.3).
    """

    def __init__(
        self,
        realm: str,
        secret: bytes,
        *,
        algorithms: Sequence[str] = ("SHA-256", "MD5"),
        lifetime: float = 300.0,
        most_nonces: int = 10_000,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if not set(algorithms) <= set(ALGORITHMS):
            raise LocalProtocolError(f"digest algorithms are {', '.join(ALGORITHMS)}")
        self._realm = realm
        self._secret = secret
        self._algorithms = tuple(algorithms)
        self._lifetime = lifetime
        self._most_nonces = most_nonces
        self._random = random
        self._counts: OrderedDict[str, tuple[float, int]] = OrderedDict()
        self._forgotten = float("-inf")
        self._nobody = secrets.token_hex(16)

    def challenge(self, now: float, *, stale: bool = False) -> list[str]:
        """Values for WWW-Authenticate, one line for each algorithm. `now` is in seconds, of the clock of `verify`."""
        again = ", stale=true" if stale else ""
        fields = f'Digest realm={quote_string(self._realm)}, nonce="{self._nonce(now)}", qop="auth"{again}'
        return [f"{fields}, algorithm={algorithm}" for algorithm in self._algorithms]

    def verify(self, request: Request, lookup: Lookup, now: float) -> Verdict:
        """What the request's Authorization is worth. Malformed ones, and those for other realms, do not count."""
        for value in request.headers.values("Authorization")[:_MOST_TRIED]:
            fields = _fields_or_nothing(value)
            if fields.get("realm") == self._realm:
                return self._judge(request, fields, lookup, now)
        return Verdict(Outcome.MISSING)

    def _judge(self, request: Request, fields: Mapping[str, str], lookup: Lookup, now: float) -> Verdict:
        username = fields.get("username", "")
        password = lookup(username)
        # An unknown user costs what a known one costs, so that time does not tell them apart.
        right = self._is_right(request, fields, self._nobody if password is None else password)
        if password is None or not right or not _is_for(request, fields["uri"]):
            return Verdict(Outcome.DENIED, username)
        count = int(fields["nc"], 16) if "qop" in fields else 1
        fresh = self._is_fresh(fields["nonce"], count, now)
        return Verdict(Outcome.ACCEPTED if fresh else Outcome.STALE, username)

    def _is_right(self, request: Request, fields: Mapping[str, str], password: str) -> bool:
        algorithm = _algorithm(fields)
        if algorithm not in self._algorithms or not {"nonce", "uri", "response"} <= fields.keys():
            return False
        if "qop" in fields and not (
            fields["qop"] == "auth" and "cnonce" in fields and _COUNT.match(fields.get("nc", ""))
        ):
            return False
        expected = digest(algorithm, request.method, fields, password)
        return hmac.compare_digest(expected.encode(), _octets(fields["response"].lower()))

    def _nonce(self, now: float) -> str:
        stamped = int(now * 1000).to_bytes(_STAMP_BYTES, "big", signed=True) + self._random(_SALT_BYTES)
        return urlsafe_b64encode(stamped + self._mac(stamped)).decode("ascii")

    def _mac(self, stamped: bytes) -> bytes:
        return hmac.digest(self._secret, stamped + _octets(self._realm), "sha256")[:_MAC_BYTES]

    def _issued(self, nonce: str) -> float | None:
        """When we issued this nonce, in seconds; None when we did not."""
        try:
            data = urlsafe_b64decode(nonce)
        except ValueError:
            return None
        stamped, mac = data[:-_MAC_BYTES], data[-_MAC_BYTES:]
        if len(stamped) != _STAMP_BYTES + _SALT_BYTES or not hmac.compare_digest(mac, self._mac(stamped)):
            return None
        return int.from_bytes(stamped[:_STAMP_BYTES], "big", signed=True) / 1000

    def _is_fresh(self, nonce: str, count: int, now: float) -> bool:
        """Ours, young enough, and not used with this count or a higher one; if so, remembered as used."""
        issued = self._issued(nonce)
        if issued is None or not now - self._lifetime <= issued <= now or issued <= self._forgotten:
            return False
        if count <= self._counts.get(nonce, (issued, 0))[1]:
            return False
        self._counts[nonce] = (issued, count)
        self._forget(now)
        return True

    def _forget(self, now: float) -> None:
        while self._counts and next(iter(self._counts.values()))[0] < now - self._lifetime:
            self._counts.popitem(last=False)
        while len(self._counts) > self._most_nonces:
            # What is forgotten must not become usable again: nothing as old as this is accepted any more.
            _, (issued, _) = self._counts.popitem(last=False)
            self._forgotten = max(self._forgotten, issued)


def strongest(challenges: Iterable[str]) -> str | None:
    """The first of these challenges that we can answer (the server lists the best first); None when there is none."""
    return next((challenge for challenge in challenges if _answerable(_fields_or_nothing(challenge))), None)


def respond(
    challenge: str, method: str, uri: str, username: str, password: str, *, count: int = 1, cnonce: str | None = None
) -> str:
    """The value of Authorization (or Proxy-Authorization) that answers a challenge.

    `uri` is the Request-URI as sent; `count` how often this nonce was answered, this time included.
    RemoteProtocolError(400) when the challenge is malformed or asks for what we cannot do: see `strongest`.
    """
    asked = parse_fields(challenge)
    if not _answerable(asked):
        raise RemoteProtocolError("Digest challenge that cannot be answered")
    fields = {"username": username, "realm": asked["realm"], "nonce": asked["nonce"], "uri": uri}
    if "qop" in asked or _algorithm(asked).endswith("-sess"):
        fields["cnonce"] = secrets.token_hex(8) if cnonce is None else cnonce
    if "qop" in asked:
        fields |= {"qop": "auth", "nc": f"{count:08x}"}
    fields["response"] = digest(_algorithm(asked), method, fields, password)
    fields |= {name: asked[name] for name in ("opaque", "algorithm") if name in asked}
    bare = ("qop", "nc", "algorithm")
    return "Digest " + ", ".join(f"{k}={v if k in bare else quote_string(v)}" for k, v in fields.items())


def digest(algorithm: str, method: str, fields: Mapping[str, str], password: str) -> str:
    """The response in hexadecimal (RFC 7616 section 3.4.1; without qop, that of RFC 2069)."""
    hashed = _sha256 if algorithm.startswith("SHA-256") else _md5
    secret = hashed(f"{fields.get('username', '')}:{fields['realm']}:{password}")
    cnonce = fields.get("cnonce", "")
    if algorithm.endswith("-sess"):
        secret = hashed(f"{secret}:{fields['nonce']}:{cnonce}")
    count = f"{fields['nc']}:{cnonce}:{fields['qop']}:" if "qop" in fields else ""
    target = hashed(f"{method}:{fields['uri']}")
    return hashed(f"{secret}:{fields['nonce']}:{count}{target}")


def parse_fields(value: str) -> dict[str, str]:
    """The fields of a Digest challenge or of Digest credentials: names in lower case, values unquoted.

    RemoteProtocolError(400) for another scheme or malformed fields.
    """
    scheme, _, rest = value.strip(" \t").partition(" ")
    if scheme.lower() != "digest":
        raise RemoteProtocolError("Not the Digest scheme")
    fields: dict[str, str] = {}
    for piece in split_commas(rest.strip(" \t")):
        name, equals, text = (part.strip(" \t") for part in piece.partition("="))
        name = name.lower()
        if not equals or not is_token(name) or name in fields:
            raise RemoteProtocolError("Malformed Digest field")
        fields[name] = read_quoted(text)[0] if text.startswith('"') else text
    return fields


def _fields_or_nothing(value: str) -> dict[str, str]:
    try:
        return parse_fields(value)
    except RemoteProtocolError:
        return {}


def _answerable(fields: Mapping[str, str]) -> bool:
    offered = [word.strip(" \t").lower() for word in fields.get("qop", "auth").split(",")]
    return {"realm", "nonce"} <= fields.keys() and _algorithm(fields) in ALGORITHMS and "auth" in offered


def _algorithm(fields: Mapping[str, str]) -> str:
    """The algorithm as we spell it, MD5 when none is named."""
    named = fields.get("algorithm", "MD5")
    return next((algorithm for algorithm in ALGORITHMS if algorithm.lower() == named.lower()), named)


def _is_for(request: Request, signed: str) -> bool:
    """True when the signed URI dials the same number. Proxies may change the host of the Request-URI, but not that."""
    try:
        theirs, ours = URI.parse(signed), request.uri
    except RemoteProtocolError:
        return False
    return theirs.user == ours.user and theirs.opaque == ours.opaque


def _md5(text: str) -> str:
    return hashlib.md5(_octets(text), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(_octets(text)).hexdigest()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
