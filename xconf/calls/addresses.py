"""What the addresses of a phone are worth: where its signalling comes from, and where it says that its sound does."""

from __future__ import annotations

import ipaddress

from xconf.sip.message import Request
from xconf.sip.uri import URI

UNSPECIFIED = ("0.0.0.0", "::")
_LONGEST_NAME = 48


def plausible(address: str, source: str) -> bool:
    """Whether the media address that a phone names can be where its packets come from: its own, or a public one.

    Of a source of another family (media is IPv4, signalling may be IPv6) nothing better is known than what it names.
    """
    if address == source:
        return True
    named = ipaddress.ip_address(address)
    return named.is_global or (":" in source and not named.is_unspecified)


def media_host(source: str) -> str:
    """The host from which packets of a phone are expected that is not believed what it says: that of its signalling."""
    return UNSPECIFIED[0] if ":" in source else source


def number_of(uri: URI) -> str:
    """What was dialled: the user part, without the parameters that a telephone number may have (RFC 3966)."""
    return (uri.user or "").partition(";")[0]


def caller_of(request: Request) -> str:
    """Display name and number of who calls, like `Ann <1001>`; what cannot be printed is left out."""
    address = request.from_
    number = _printable(number_of(address.uri) or address.uri.host) or "unknown"
    name = _printable(address.display or "").strip()[:_LONGEST_NAME]
    return f"{name} <{number}>" if name else number


def _printable(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
