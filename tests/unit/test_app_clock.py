"""The server's timers."""

from __future__ import annotations

import time

from twisted.internet.epollreactor import EPollReactor

from xconf.app.service import use_steady_clock


def test_setting_the_time_of_day_moves_no_timer() -> None:
    """Twisted's own clock jumps with it: an hour forward would end every call whose session timer runs."""
    reactor = EPollReactor()
    use_steady_clock(reactor)
    before = time.monotonic()
    timer = reactor.callLater(1800, lambda: None)
    assert before + 1800 <= timer.getTime() <= time.monotonic() + 1800
    timer.cancel()
