"""A beat on the monotonic clock that does not drift: each beat is due at a multiple of the interval since the start."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

MOST_BEHIND = 50
"""Beats that are made up for after a stall; more are left out."""

_EARLY = 1e-6  # s: a beat this close is not waited for


class Metronome:
    """Calls `beat(missed)` at every interval (seconds); `missed` beats before it were left out, nearly always 0."""

    def __init__(
        self,
        clock: IReactorTime,
        monotonic: Callable[[], float],
        interval: float,
        beat: Callable[[int], None],
    ) -> None:
        self._clock = clock
        self._monotonic = monotonic
        self._interval = interval
        self._beat = beat
        self._due = 0.0
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Beat for the first time at once."""
        self._due = self._monotonic()
        self._run()

    def stop(self) -> None:
        """Beat no more; may be called from within a beat, and twice."""
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _run(self) -> None:
        self._timer = self._clock.callLater(self._interval, self._run)
        missed = max(0, int((self._monotonic() - self._due) / self._interval) - MOST_BEHIND)
        self._due += missed * self._interval
        while self._timer is not None and self._due <= self._monotonic() + _EARLY:
            self._due += self._interval
            self._beat(missed)
            missed = 0
        if self._timer is not None:
            self._timer.reset(max(0.0, self._due - self._monotonic()))
