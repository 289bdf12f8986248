"""Session timers (RFC 4028): what is agreed on, and the clockwork of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.extensions import supports
from xconf.sip.message import Request, Response
from xconf.sip.settings import Settings
from xconf.sip.syntax import parse_number, split_parameters
from xconf.sip.timers import Timer, Timers

SMALLEST = 90
LARGEST = 7 * 24 * 3600
_TRIES = 8  # of refreshing within one interval, beginning at half of it

Items = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Terms:
    """interval in seconds; ours: we refresh, else the peer does."""

    interval: int
    ours: bool


def _session_expires(message: Request | Response) -> tuple[int, str | None] | None:
    """(interval, refresher), or None when there is no Session-Expires."""
    value = message.headers.get("Session-Expires")
    if value is None:
        return None
    number, params = split_parameters(value)
    return min(LARGEST, parse_number(number, 2**32 - 1, "Session-Expires")), (params.get("refresher") or "").lower()


def min_se(message: Request | Response) -> int:
    """The shortest interval that the sender takes (section 5)."""
    value = message.headers.get("Min-SE")
    if value is None:
        return SMALLEST
    return min(LARGEST, parse_number(split_parameters(value)[0], 2**32 - 1, "Min-SE"))


def terms_as_server(request: Request, settings: Settings) -> Terms | None:
    """What a 2xx to this request agrees on (section 9). Raises RemoteProtocolError (422) for too short an interval."""
    asked, able, floor = _session_expires(request), supports(request, "timer"), max(SMALLEST, min_se(request))
    if asked is None:
        return Terms(max(settings.session_expires, floor), not able) if settings.session_expires else None
    interval, refresher = asked
    if interval < settings.min_se and able:
        raise RemoteProtocolError("Session Interval Too Small", 422)
    if settings.session_expires:
        interval = min(interval, settings.session_expires)
    return Terms(max(interval, floor, settings.min_se), not able or refresher == "uas")


def headers_as_server(terms: Terms | None, request: Request) -> Items:
    """For the 2xx that agrees on them."""
    if terms is None:
        return []
    headers = [("Session-Expires", f"{terms.interval};refresher={'uas' if terms.ours else 'uac'}")]
    return headers if terms.ours else [*headers, ("Require", "timer")]


def headers_as_client(terms: Terms | None, settings: Settings, floor: int) -> Items:
    """For an INVITE or UPDATE of ours. terms: those in force; floor: what a 422 has asked for."""
    if terms is None and not settings.session_expires:
        return []
    asked = max(settings.session_expires if terms is None else terms.interval, floor)
    role = "" if terms is None else f";refresher={'uac' if terms.ours else 'uas'}"
    headers = [("Session-Expires", f"{asked}{role}")]
    return [*headers, ("Min-SE", str(floor))] if floor > SMALLEST else headers


def terms_as_client(response: Response, before: Terms | None) -> Terms | None:
    """What a 2xx to a request of ours agrees on (section 7.2). A peer without timers leaves the refreshing to us."""
    try:
        given = _session_expires(response)
    except RemoteProtocolError:
        given = None
    if given is None:
        return before if before is not None and before.ours else None
    interval, refresher = given
    return Terms(max(interval, SMALLEST), refresher != "uas")


def _nothing(now: float) -> None:
    pass


class SessionTimer:
    """Calls `refresh(now)` when it is our turn, and `expire(now)` when the session was not refreshed in time."""

    __slots__ = ("_expire", "_expiry", "_next", "_refresh", "_timers", "terms")

    def __init__(self, timers: Timers, refresh: Callable[[float], None], expire: Callable[[float], None]) -> None:
        self.terms: Terms | None = None
        self._timers = timers
        self._refresh = refresh
        self._expire = expire
        self._next: Timer | None = None
        self._expiry: Timer | None = None

    def set(self, terms: Terms | None, now: float) -> None:
        """The session is set up or refreshed: count anew, by these terms (None: without end)."""
        self.stop()
        self.terms = terms
        if terms is None:
            return
        # Section 10: whoever waits gives up a little before the end, so that the BYE comes in time.
        self._expiry = self._timers.at(now + terms.interval - min(32.0, terms.interval / 3), self._expire)
        if terms.ours:
            self._next = self._timers.at(now + terms.interval / 2, self._due)

    def stop(self) -> None:
        for timer in (self._next, self._expiry):
            if timer is not None:
                timer.cancel()
        self._next = self._expiry = None

    def close(self) -> None:
        """The session is over: nothing is called any more, and nobody is held."""
        self.stop()
        self._refresh = self._expire = _nothing

    def _due(self, now: float) -> None:
        assert self.terms is not None
        self._next = self._timers.at(now + self.terms.interval / 2 / _TRIES, self._due)
        self._refresh(now)
