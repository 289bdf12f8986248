"""`xconf load`: from the words of the command line to many calls, a report, and an exit status."""

from __future__ import annotations

import dataclasses
import gc
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import LoopingCall, deferLater

from xconf.phone.load_calls import LoadCalls
from xconf.phone.load_media import LoadMedia, codec_named
from xconf.phone.load_options import LoadOptions, loopback_addresses, parse
from xconf.phone.load_report import Goodbyes, Window, make_result
from xconf.phone.phone import own_address, resolve
from xconf.phone.report import Happening, reporter
from xconf.phone.session import Address, PhoneError
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.settings import Settings
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI

PRODUCT = "xconf-load"
PROGRESS_EVERY = 5.0  # s
LAST_WORDS = 5.0  # s that the last answers to BYEs may take
FAREWELL = 30.0  # s that an interrupted run gets to hang up


def main(arguments: Sequence[str]) -> int:
    """Runs the calls; the result is the exit status."""
    options = parse(arguments)
    try:
        uris = [_uri(options.target(caller)) for caller in (0, options.calls - 1)]
    except PhoneError as error:
        return _fail(str(error))
    from twisted.internet import reactor

    return Load(options, uris[-1]).run(reactor)


def _uri(text: str) -> URI:
    try:
        uri = URI.parse(text)
    except RemoteProtocolError as error:
        raise PhoneError(f"{text!r} cannot be called: {error}; write sip:4000@127.0.0.1:5060") from None
    if uri.scheme != "sip":
        raise PhoneError(f"{text!r} cannot be called: only sip: addresses can; write sip:4000@127.0.0.1:5060")
    return uri


def _fail(text: str) -> int:
    print(f"xconf load: {text}", file=sys.stderr)
    return 1


class Load:
    """One run of the command."""

    def __init__(self, options: LoadOptions, uri: URI) -> None:
        self._options = options
        self._uri = uri
        self._tell = reporter(sys.stdout, time.monotonic(), as_json=options.json)
        self._media: LoadMedia | None = None
        self._sip: SIPService | None = None
        self._calls: LoadCalls | None = None
        self._held = Window()
        self._goodbyes = Goodbyes()
        self._trouble = ""
        self._stopping = False
        self._progress = LoopingCall(self._say_progress)

    def run(self, reactor: Any) -> int:
        """Run the reactor until all is over or the user has enough; the exit status."""
        self._reactor = reactor
        reactor.callWhenRunning(self._begin)
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        reactor.run()
        return self._finish()

    def _begin(self) -> None:
        # A full collection stops all callers, with ten thousand of them for a second; calls that end are freed without it.
        gc.freeze()
        gc.set_threshold(2000, 20, 1 << 30)
        ensureDeferred(self._all_of_it()).addErrback(self._failed).addBoth(lambda _: self._stop())

    def _stop(self) -> None:
        if not self._stopping:
            self._reactor.stop()

    def _failed(self, failure: Any) -> None:
        failure.trap(PhoneError)
        self._trouble = str(failure.value)

    async def _all_of_it(self) -> None:
        options = self._options
        remote = await resolve(self._reactor, self._uri)
        calls, media = self._open(remote)
        media.run()
        self._progress.start(PROGRESS_EVERY, now=False)
        self._say("dialling", f"dialling {options.calls} times, {options.rate:g} calls a second")
        await calls.dial()
        self._say("up", f"{calls.up} calls up, {sum(calls.failures.values())} failed", up=calls.up)
        self._held.open(time.monotonic(), media.arrived, media.call_seconds)
        await deferLater(self._reactor, options.hold)
        self._close_window()
        self._say("hanging-up", f"hanging up {calls.up} calls", up=calls.up)
        await self._hang_up(options.hang_up_rate)

    def _close_window(self) -> None:
        if self._media is not None:
            self._held.close(time.monotonic(), self._media.arrived, self._media.call_seconds)

    def _open(self, remote: Address) -> tuple[LoadCalls, LoadMedia]:
        """Sockets, before the first call."""
        options = self._options
        own = own_address(remote[0])
        callers = range(options.calls)
        addresses = options.bind or (loopback_addresses(options.calls) if own.startswith("127.") else (own,))
        self._media = media = LoadMedia(
            self._reactor,
            addresses,
            options.calls,
            codec_named(options.codec),
            np.random.default_rng(),
            speaks=np.array([caller < options.speakers for caller in callers]),
            expects=np.array([options.heard_by(caller) > 0 for caller in callers]),
            sends=options.sends,
            measured=options.measured,
        )
        listen = [f"udp://{address}:0" for address in addresses[: options.calls]]
        settings = Settings(product=PRODUCT, max_sessions=2 * options.calls, max_transactions=20 * options.calls)
        rng = random.Random()
        self._sip = sip = SIPService(self._reactor, listen, self._handle, settings, rng=rng)
        try:
            sip.startService()
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", error.socketError)
            raise PhoneError(f"--bind {error.interface}: {reason}") from None
        self._calls = calls = LoadCalls(self._reactor, sip, media, options, remote, rng)
        return calls, media

    def _handle(self, event: Any) -> None:
        if self._calls is not None:
            self._calls.handle(event)

    async def _hang_up(self, rate: float) -> None:
        """Until the last BYEs are answered, or have had their time."""
        assert self._calls is not None and self._sip is not None
        began = time.monotonic()
        self._goodbyes = Goodbyes(True, self._sip.user_agent.counters["retransmitted"])
        await self._calls.hang_up(rate)
        latest = time.monotonic() + LAST_WORDS
        while self._sip.user_agent.transactions.unanswered and time.monotonic() < latest:
            await deferLater(self._reactor, 0.05)
        self._goodbyes.seconds = time.monotonic() - began

    def _interrupted(self) -> Deferred[None]:
        """The reactor is about to stop: hang up first. It waits for what this returns, which is not for ever."""
        self._stopping = True
        return ensureDeferred(self._goodbye())

    async def _goodbye(self) -> None:
        self._close_window()
        if self._calls is not None and self._calls.up:
            self._say("interrupted", f"interrupted: hanging up {self._calls.up} calls")
            await ensureDeferred(self._hang_up(0)).addTimeout(FAREWELL, self._reactor)

    # What is said of it

    def _say(self, event: str, text: str, **details: object) -> None:
        self._tell(Happening(time.monotonic(), event, text, details))

    def _say_progress(self) -> None:
        calls = self._calls
        if calls is not None:
            failed = sum(calls.failures.values())
            self._say("progress", f"{calls.up} calls up, {failed} failed", up=calls.up, failed=failed)

    def _finish(self) -> int:
        """The last words."""
        if self._media is not None and self._calls is not None and self._sip is not None:
            result = make_result(self._calls, self._sip, self._media, self._held, self._goodbyes)
            self._say("result", result.text, **dataclasses.asdict(result))
            if result.failed:
                self._trouble = self._trouble or f"{result.failed} calls failed"
            self._media.close()
        return _fail(self._trouble) if self._trouble else 0
