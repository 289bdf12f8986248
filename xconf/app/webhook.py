"""Events told to a web server of the operator's: batches of them, each signed, each sent until it is taken.

Nothing is queued: the stream of events keeps the last ones, and this keeps its place in it. What it comes too late for is
lost, and the next batch says so.
"""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from xconf.conference.events import Error, Event, EventsLost
from xconf.conference.stream import Stream

AT_ONCE = 100  # events in a batch
PAUSE = 0.2  # s from an event until it is sent: what happens at the same time goes together
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # s until a batch is sent again: twice as long each time
LAST_WORDS = 2.0  # s that a stop waits for the last events to be taken
MALFORMED = (400, 413, 422)  # answers to what the batch says: sending it again would not help

Post = Callable[[bytes, dict[bytes, list[bytes]]], Deferred[int]]
"""Sends a body with some headers; gives the status of the answer, or fails."""

log = Logger()


class Webhook(Service):
    """only: the kinds of events that are sent, all when empty. One batch is under way at a time."""

    name = "webhook"

    def __init__(
        self, reactor: Any, stream: Stream, post: Post, *, node: str, secret: str, only: frozenset[str]
    ) -> None:
        self.counters = {"sent": 0, "retries": 0, "refused": 0, "lost": 0}
        self._reactor = reactor
        self._stream = stream
        self._post = post
        self._node = node
        self._run = str(uuid.uuid4())
        self._secret = secret.encode()
        self._only = only
        self._told = 0  # the number of the last event that was sent or passed over
        self._batch: list[Event] = []  # what is being sent
        self._body = b""
        self._pause = 0.0  # before the next try; 0: the last one went well
        self._timer: Any = None
        self._request: Deferred[Any] | None = None
        self._stopped: Deferred[None] | None = None
        self._end: Callable[[], None] | None = None

    def startService(self) -> None:
        super().startService()
        self._end = self._stream.subscribe(lambda event: self._wake(PAUSE))

    def stopService(self) -> Deferred[None]:
        """What happened last is still sent, if that does not take long."""
        super().stopService()
        if self._end is not None:
            self._end()
        if self._pause or not (self._request or self._collect()):
            self._give_up()
            return succeed(None)
        self._stopped = Deferred()
        if self._request is None:
            self._send()
        self._timer = self._reactor.callLater(LAST_WORDS, self._give_up)
        return self._stopped

    def _give_up(self) -> None:
        self._cancel_timer()
        stopped, self._stopped = self._stopped, None
        request, self._request = self._request, None
        if request is not None:
            request.cancel()
        if stopped is not None:
            stopped.callback(None)

    def _wake(self, pause: float) -> None:
        if self._timer is None and self._request is None and self.running:
            self._timer = self._reactor.callLater(pause, self._go_on)

    def _cancel_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _go_on(self) -> None:
        self._timer = None
        if self._collect():
            self._send()

    def _collect(self) -> bool:
        """The next batch, unless there is one that was not taken yet. Whether there is something to send."""
        while not self._batch and self._told < self._stream.last:
            found = self._stream.after(self._told, AT_ONCE)
            lost = found[0].sequence - 1 - self._told
            self._told = found[-1].sequence
            self._batch = [event for event in found if not self._only or event.kind in self._only]
            if lost:
                before = found[0]
                gap = EventsLost(sequence=before.sequence - 1, time=before.time, conference="", count=lost)
                self._batch.insert(0, gap)
                self.counters["lost"] += lost
            self._body = msgspec.json.encode({"node": self._node, "run": self._run, "events": self._batch})
        return bool(self._batch)

    def _send(self) -> None:
        signature = hmac.new(self._secret, self._body, hashlib.sha256).hexdigest()
        headers = {b"Content-Type": [b"application/json"], b"X-Xconf-Signature": [f"sha256={signature}".encode()]}
        self._request = self._post(self._body, headers)
        self._request.addCallbacks(self._answered, lambda failure: self._failed(failure.getErrorMessage()))
        self._request.addErrback(lambda failure: log.failure("the webhook broke", failure))

    def _answered(self, status: int) -> None:
        if 200 <= status < 300:
            self.counters["sent"] += len(self._batch)
            if self._pause:
                log.info("the webhook is answered again")
            self._done()
        elif status in MALFORMED:
            self.counters["refused"] += len(self._batch)
            self._tell(f"a batch of {len(self._batch)} events was refused with status {status}, and is not sent again")
            self._done()
        else:
            self._failed(f"answered with status {status}")

    def _done(self) -> None:
        self._request = None
        self._pause = 0.0
        self._batch = []
        if self.running:
            if self._told < self._stream.last:
                self._wake(0)
        elif self._collect():
            self._send()
        else:
            self._give_up()

    def _failed(self, why: str) -> None:
        self._request = None
        self.counters["retries"] += 1
        if not self.running:
            self._give_up()
            return
        first = not self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE) or FIRST_PAUSE
        self._wake(self._pause)
        if first:
            self._tell(why)

    def _tell(self, why: str) -> None:
        self._stream.publish(Error, conference="", part="webhook", error=why)
