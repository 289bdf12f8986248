"""`Stand`: the SIP service on real sockets, in the test's own process, on a reactor that runs while the test waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor

from xconf.sip.transport import SIPService
from xconf.sip.useragent import Event, Invited

HOST = "127.0.0.81"
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


class Stand:
    """A service on a reactor of its own, which runs only while somebody waits."""

    def __init__(self, *listen: str, **options: Any) -> None:
        self.reactor = EPollReactor()
        self.events: list[Event] = []
        self.react: Callable[[Event], None] = lambda event: None
        self.service = SIPService(
            self.reactor, listen or [f"udp://{HOST}:0", f"tcp://{HOST}:0"], self.handle, **options
        )
        self.service.startService()

    def handle(self, event: Event) -> None:
        self.events.append(event)
        self.react(event)

    @property
    def now(self) -> float:
        return self.reactor.seconds()

    def address(self, transport: str) -> tuple[str, int]:
        return dict(self.service.listeners)[transport]

    def wait(self, until: Callable[[], object], seconds: float = 5.0) -> None:
        limit = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < limit, f"waited in vain; {self.service.user_agent.counters}"
            self.spin()

    def spin(self) -> None:
        self.reactor.runUntilCurrent()
        self.reactor.doIteration(0.005)

    def seen(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def accept_all(self) -> None:
        def react(event: Event) -> None:
            if isinstance(event, Invited):
                event.session.accept(SDP, self.now)

        self.react = react

    def stop(self) -> None:
        done: list[None] = []
        self.service.stopService().addCallback(done.append)
        self.wait(lambda: done)
        for _ in range(5):
            self.spin()
        for delayed in self.reactor.getDelayedCalls():
            delayed.cancel()
        self.reactor.removeAll()
        self.reactor._poller.close()
