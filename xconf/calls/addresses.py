"""What the addresses of a phone are worth: where its signalling comes from, and where it says that its sound does."""

from __future__ import annotations

import ipaddress

from xconf.sip.uri import URI

UNSPECIFIED = ("0.0.0.0", "::")


def plausible(address: str, source: str) -> bool:
    """Whether the media address that a phone names can be where its packets come from: its own, or a public one.

    Of a source of another family (sound over IPv4, signalling over IPv6) nothing better is known than what it names.
    """
    if address == source:
        return True
    named = ipaddress.ip_address(address)
    return named.is_global or ((":" in source) != (":" in address) and not named.is_unspecified)


def media_host(source: str, six: bool = False) -> str:
    """The host from which packets of a phone are expected that is not believed what it says: that of its signalling.

    six: its sound goes over IPv6.
    """
    return source if (":" in source) is six else UNSPECIFIED[six]


def number_of(uri: URI) -> str:
    """What was dialled: the user part, without the parameters that a telephone number may have (RFC 3966)."""
    return (uri.user or "").partition(";")[0]
