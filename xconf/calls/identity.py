"""Who calls, and which number was dialled: what a request says, and which of it is believed."""

from __future__ import annotations

from collections.abc import Callable

from xconf.calls.addresses import number_of
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.message import Request
from xconf.sip.uri import Address

_LONGEST_NAME = 48
_HIDDEN = {"id", "user", "header", "full", "uri"}
ANONYMOUS = "anonymous"


def caller_of(request: Request, *, trusted: bool = False) -> str:
    """Display name and number of who calls, like `Ann <1001>`; what cannot be printed is left out.

    trusted: it comes from a trunk, whose P-Asserted-Identity (RFC 3325) or Remote-Party-ID counts more than From, which
    is the caller's own word. Who wants to stay hidden (RFC 3323) does.
    """
    asserted = (_asserted(request) or _remote_party(request)) if trusted else None
    if asserted is None:
        return _shown(request.from_)
    privacy = {word.strip().lower() for line in request.headers.values("Privacy") for word in line.split(";")}
    hidden = privacy & _HIDDEN or (asserted.params.get("privacy") or "off").lower() not in ("off", "no")
    return ANONYMOUS if hidden else _shown(asserted)


def _asserted(request: Request) -> Address | None:
    """The identity with a number, where there are two."""
    found = _addresses(request, "P-Asserted-Identity", lambda address: True)
    return next((address for address in found if number_of(address.uri)), None)


def _remote_party(request: Request) -> Address | None:
    parties = _addresses(request, "Remote-Party-ID", lambda one: (one.params.get("party") or "calling") == "calling")
    return parties[0] if parties else None


def _addresses(request: Request, name: str, wanted: Callable[[Address], bool]) -> list[Address]:
    found: list[Address] = []
    for value in request.headers.get_all(name)[:4]:
        try:
            address = Address.parse(value)
        except RemoteProtocolError:
            continue  # no reason to refuse a call
        if wanted(address):
            found.append(address)
    return found


def _shown(address: Address) -> str:
    number = _printable(number_of(address.uri) or address.uri.host) or "unknown"
    name = _printable(address.display or "").strip()[:_LONGEST_NAME]
    return f"{name} <{number}>" if name else number


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())


def dialled(request: Request, user: str = "") -> str:
    """The number that was dialled: the Request-URI's, but To's where a registrar has put our own user in its place.

    user: ours at the trunk that the call comes from.
    """
    number = number_of(request.uri)
    return (number_of(request.to.uri) or number) if user and number == user else number
