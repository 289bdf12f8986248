"""Option tags: what a request's sender understands, and what it insists on (RFC 3261 sections 20.32, 20.37)."""

from __future__ import annotations

from xconf.sip.message import Request


def requires(request: Request, option: str) -> bool:
    return option in _named(request, "Require")


def supports(request: Request, option: str) -> bool:
    """It requires it, or names it as supported."""
    return option in _named(request, "Supported") or requires(request, option)


def _named(request: Request, header: str) -> list[str]:
    return request.headers.typed_list(header, str.lower)
