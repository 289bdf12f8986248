"""The two ways in which SIP goes wrong: our own caller asked for the impossible, or the peer sent what it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xconf.sip.message import Request


class SIPError(Exception):
    """Anything that the SIP room raises."""


class LocalProtocolError(SIPError):
    """We asked for something impossible: a fault of the calling code, not of the peer."""


class RemoteProtocolError(SIPError):
    """What came is wrong.

    `status` and `reason` are what to answer with; `request` is the request as far as it could be parsed, or None when
    there is not enough of it to answer (or it was a response, which is dropped).
    """

    def __init__(self, reason: str, status: int = 400, request: Request | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.request = request

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"
