"""The PIN menu: asks for a PIN, some times, with some patience."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from xconf.conference.announcer import Announcer
from xconf.conference.interfaces import Clock, Timer
from xconf.conference.profile import Profile

PATIENCE = 10.0  # s for each try, from the end of the prompt or from the first digit
LONGEST_PROMPT = 30.0  # s that a prompt may take, should its end never be told
_LONGEST_PIN = 10


class PinMenu:
    """pins: PIN -> what it stands for. `result` is called once, with that or with None when all tries failed; `failed`
    with the number of each failed try. A PIN ends with #, or with its last digit when no other PIN goes on from there;
    * begins it anew. optional: who types nothing is not asked again, and has not failed.
    """

    def __init__(
        self,
        clock: Clock,
        announcer: Announcer,
        profile: Profile,
        pins: Mapping[str, str],
        tries: int,
        result: Callable[[str | None], None],
        failed: Callable[[int], None],
        *,
        optional: bool = False,
    ) -> None:
        self._clock = clock
        self._announcer = announcer
        self._profile = profile
        self._pins = pins
        self._tries = tries
        self._result = result
        self._failed = failed
        self._optional = optional
        self._attempt = 0
        self._typed = ""
        self._prompting = self._over = False
        self._timer: Timer | None = None
        self._ask()

    def digit(self, digit: str) -> None:
        """A digit was pressed."""
        if self._over:
            return
        if self._prompting:
            self._hush()
            self._listen()
        if digit == "#":
            self._check()
        elif digit == "*":
            self._typed = ""
        else:
            self._typed = (self._typed + digit)[: _LONGEST_PIN + 1]
            if self._typed in self._pins and not any(
                pin.startswith(self._typed) for pin in self._pins if pin != self._typed
            ):
                self._check()

    def close(self) -> None:
        """Over, without a result."""
        self._over = True
        self._stop_timer()
        self._hush()

    def _ask(self) -> None:
        self._typed = ""
        self._prompting = True
        self._wait(LONGEST_PROMPT + PATIENCE, self._check)
        self._announcer.say("enter-pin", self._profile.enter_pin_code, self._listen)

    def _listen(self) -> None:
        self._prompting = False
        self._wait(PATIENCE, self._check)

    def _check(self) -> None:
        role = self._pins.get(self._typed)
        if role is not None:
            self.close()
            self._result(role)
            return
        if self._optional and not self._typed:
            self._give_up()
            return
        self._attempt += 1
        self._failed(self._attempt)
        self._prompting = True
        if self._attempt < self._tries:
            self._announcer.say("bad-pin", self._profile.bad_pin_code)
            self._ask()
        else:
            self._over = True
            self._wait(LONGEST_PROMPT, self._give_up)
            self._announcer.say("bad-pin", self._profile.bad_pin_code, self._give_up)

    def _give_up(self) -> None:
        self.close()
        self._result(None)

    def _hush(self) -> None:
        self._announcer.drop("enter-pin")
        self._announcer.drop("bad-pin")

    def _wait(self, delay: float, then: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._clock.callLater(delay, self._expire, then)

    def _expire(self, then: Callable[[], None]) -> None:
        self._timer = None
        then()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
