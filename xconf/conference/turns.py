"""Long work in short turns: a generator that yields where the tick, and everything else, may come in between.

No turn takes more than some 2 ms: at a hundred rows of a table, or a thousand looks at a member.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, TypeVar

from xconf.conference.interfaces import Clock

ROWS, LOOKS = 100, 1000  # in a turn

Given = TypeVar("Given")
Made = TypeVar("Made")
Turns = Generator[None, None, Made]


def each(items: Sequence[Given], make: Callable[[Given], Made], at_once: int = ROWS) -> Turns[list[Made]]:
    """What is made of each of them, so many in a turn."""
    made: list[Made] = []
    for begin in range(0, len(items), at_once):
        if begin:
            yield None
        made.extend(map(make, items[begin : begin + at_once]))
    return made


def finish(turns: Turns[Made]) -> Made:
    """All turns at once: for tests, and where little is to be done."""
    while True:
        try:
            next(turns)
        except StopIteration as end:
            made: Made = end.value
            return made


class TurnTaker:
    """Takes the turns of all work that it is given, in the order given, one in each turn of the reactor."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._work: deque[tuple[Turns[Any], Callable[[Any], None], Callable[[Exception], None]]] = deque()

    def take(self, turns: Turns[Made], done: Callable[[Made], None], failed: Callable[[Exception], None]) -> None:
        """The first turn now, unless others wait; then, now or later, one of `done` and `failed` is called."""
        self._work.append((turns, done, failed))
        if len(self._work) == 1:
            self._go_on()

    def _go_on(self) -> None:
        turns, done, failed = self._work[0]
        over: Callable[[], None] | None = None
        try:
            next(turns)
        except StopIteration as end:
            over = partial(done, end.value)
        except Exception as error:
            over = partial(failed, error)
        if over:
            self._work.popleft()
        if self._work:
            self._clock.callLater(0, self._go_on)
        if over:
            over()
