"""Whether somebody who was called wants to come in: a prompt, and the key 1. An answering machine does not press it."""

from __future__ import annotations

from collections.abc import Callable

from xconf.conference.announcer import Announcer
from xconf.conference.interfaces import Clock, Timer

KEY = "1"
TRIES = 3
PATIENCE = 5.0  # s for the key after each prompt
LONGEST_PROMPT = 30.0  # s that a prompt may take, should its end never be told


class ConfirmMenu:
    """Asks some times. `result` is called once: whether the key was pressed."""

    def __init__(self, clock: Clock, announcer: Announcer, prompt: str, result: Callable[[bool], None]) -> None:
        self._clock = clock
        self._announcer = announcer
        self._prompt = prompt
        self._result = result
        self._asked = 0
        self._over = False
        self._timer: Timer | None = None
        self._ask()

    def digit(self, digit: str) -> None:
        """A key was pressed. Others than the one are passed over."""
        if digit == KEY and not self._over:
            self.close()
            self._result(True)

    def close(self) -> None:
        """Over, without a result."""
        self._over = True
        self._stop_timer()
        self._announcer.close()

    def _ask(self) -> None:
        self._asked += 1
        self._wait(LONGEST_PROMPT + PATIENCE)
        self._announcer.say("confirm", self._prompt, self._listen)

    def _listen(self) -> None:
        self._wait(PATIENCE)

    def _wait(self, delay: float) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._asked < TRIES:
            self._ask()
        else:
            self.close()
            self._result(False)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
