"""A clock that takes the turns of a reactor one by one: what is called later, if only at once, comes in the next."""

from __future__ import annotations

from twisted.internet import task


class TurnClock(task.Clock):
    """`turn` makes the calls that are due, and not those that they add; `task.Clock.advance` makes them all."""

    def turn(self) -> None:
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call in self.calls:
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)
