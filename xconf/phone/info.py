"""Keys sent as INFO, one after the other: a second one that overtakes the first would be refused as out of order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from xconf.sip import dtmf_relay
from xconf.sip.errors import LocalProtocolError
from xconf.sip.session import Session
from xconf.sip.transaction import Failure, Outcome

MOST_WAITING = 64


class InfoKeys:
    """The keys of one session. `refused` is called with a digit and why it did not arrive."""

    def __init__(self, session: Session, held: float, refused: Callable[[str, str], None]) -> None:
        """held: seconds that each key is said to be pressed."""
        self._session = session
        self._milliseconds = round(held * 1000)
        self._refused = refused
        self._waiting: deque[str] = deque()
        self._under_way: str | None = None

    def press(self, digit: str, now: float) -> None:
        """Send a digit as soon as those before it have been answered."""
        if len(self._waiting) >= MOST_WAITING:
            self._refused(digit, "too many keys wait for their answer")
            return
        self._waiting.append(digit)
        self._next(now)

    def _next(self, now: float) -> None:
        if self._under_way is not None or not self._waiting or self._session.ended:
            return
        digit = self._waiting.popleft()
        try:
            request = self._session.request("INFO")
        except LocalProtocolError as error:
            self._refused(digit, str(error))
            return
        request.headers.add("Content-Type", dtmf_relay.CONTENT_TYPES[0])
        request.body = dtmf_relay.build(digit, self._milliseconds)
        self._under_way = digit
        self._session.send(request, self._answered, now)

    def _answered(self, outcome: Outcome, now: float) -> None:
        digit = self._under_way
        if digit is None or (not isinstance(outcome, Failure) and outcome.status < 200):
            return
        self._under_way = None
        if isinstance(outcome, Failure):
            self._refused(digit, "no answer")
        elif outcome.status >= 300:
            self._refused(digit, f"{outcome.status} {outcome.reason}")
        if not self._session.lost(outcome, now):
            self._next(now)
