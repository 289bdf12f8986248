"""From digits to commands: the longest that was meant, by what follows or by a pause."""

from __future__ import annotations

from collections.abc import Callable

from xconf.conference.controls import Action, Controls
from xconf.conference.interfaces import Clock, Timer


def _nothing(action: Action) -> None:
    """Stands in for a member that has left, so that nothing holds it."""


class Collector:
    """The digits of one member. `fire` is called with each action; at most ten digits wait."""

    def __init__(self, clock: Clock, controls: Controls, timeout: float, fire: Callable[[Action], None]) -> None:
        self._clock = clock
        self._controls = controls
        self.timeout = timeout
        self._fire = fire
        self._digits = ""
        self._closed = False
        self._timer: Timer | None = None

    def feed(self, digit: str) -> None:
        """One more digit. A command fires at once when it is not the beginning of another, else after the pause."""
        self._stop_timer()
        if self._closed:
            return
        self._digits += digit
        if self._controls.begins(self._digits):
            self._timer = self._clock.callLater(self.timeout, self._pause)
        else:
            self._resolve()

    def use(self, controls: Controls) -> None:
        """Other controls from now on; digits that wait are forgotten."""
        self._stop_timer()
        self._digits = ""
        self._controls = controls

    def close(self) -> None:
        """No action fires any more."""
        self._stop_timer()
        self._closed = True
        self._fire = _nothing

    def _pause(self) -> None:
        self._timer = None
        self._resolve()

    def _resolve(self) -> None:
        """No more digits belong to these: fire the longest command they begin with, and look at the rest anew."""
        digits, self._digits = self._digits, ""
        actions = self._controls.actions
        length = next((n for n in range(len(digits), 0, -1) if digits[:n] in actions), 0)
        if length:
            self._fire(actions[digits[:length]])
        for digit in digits[length or 1 :]:
            self.feed(digit)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
