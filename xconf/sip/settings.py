"""What can be set about a user agent."""

from __future__ import annotations

from dataclasses import dataclass

ALLOW = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "INFO", "UPDATE", "PRACK", "REFER", "NOTIFY")
SUPPORTED = ("100rel", "timer")


@dataclass(frozen=True, slots=True)
class Settings:
    """Times in seconds. The maxima bound what strangers can make the user agent keep."""

    product: str = "xconf"
    """For User-Agent and Server headers."""
    info_types: tuple[str, ...] = ("application/dtmf-relay", "application/dtmf")
    """Bodies of INFO that are taken; others are answered with 415."""

    t1: float = 0.5
    """Estimate of the round trip (RFC 3261, 17.1.1.1)."""
    t2: float = 4.0
    """Longest interval between retransmissions of non-INVITE requests and INVITE responses."""
    t4: float = 5.0
    """How long a message may stay in the network."""

    session_expires: int = 1800
    """Session interval that we ask for (RFC 4028); 0: we ask for none."""
    min_se: int = 90
    """Shortest session interval that we accept."""
    ring_timeout: float = 180.0
    """How long our own calls ring before they are cancelled."""

    max_sessions: int = 20_000
    max_transactions: int = 50_000
    retry_after: int = 10
    """For the 503 that answers what is over a maximum."""
