"""What a command says when that which it began is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xconf.conference.commands import Reply
    from xconf.conference.errors import CommandError

Told = Callable[["Reply | CommandError"], None]


class Later:
    """One outcome, told once, now or later, to all who want to know."""

    def __init__(self) -> None:
        self._outcome: Reply | CommandError | None = None
        self._waiting: list[Told] = []

    def tell(self, outcome: Reply | CommandError) -> None:
        """That is it; only the first word counts."""
        if self._outcome is None:
            self._outcome = outcome
            waiting, self._waiting = self._waiting, []
            for told in waiting:
                told(outcome)

    def then(self, told: Told) -> None:
        """Calls it with the outcome."""
        if self._outcome is None:
            self._waiting.append(told)
        else:
            told(self._outcome)
