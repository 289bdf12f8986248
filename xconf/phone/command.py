"""`xconf phone`: from the words of the command line to a call and an exit status."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks

from xconf.media.catalogue import codec_of, formats
from xconf.media.sources import SoundError
from xconf.phone.arrivals import Arrivals
from xconf.phone.audio import SoundFactory, file, silence, tones
from xconf.phone.call import CallSettings, PhoneCall
from xconf.phone.negotiation import RATE
from xconf.phone.options import Options, parse
from xconf.phone.outcome import Outcome
from xconf.phone.phone import Phone, own_address, resolve
from xconf.phone.report import Happening, reporter
from xconf.phone.session import PhoneError
from xconf.phone.trace import tracer
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.exchange import Credentials
from xconf.sip.uri import URI

FAREWELL = 2.0
"""Seconds that an interrupted call gets to say goodbye."""

_INTERRUPTED = Outcome(False, "interrupted before there was a call", "let it run until the call is answered")


def main(arguments: Sequence[str]) -> int:
    """Runs one call; the result is the exit status."""
    options = parse(arguments)
    try:
        command = Command(options)
    except (PhoneError, SoundError) as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"{error.filename} cannot be written: {error.strerror}")
    # Not before: importing the reactor installs it, and the words may have been in vain.
    from twisted.internet import reactor

    return command.run(reactor)


def _fail(text: str) -> int:
    print(f"xconf phone: {text}", file=sys.stderr)
    return 1


class Command:
    """One run of the command. Creating it reads and opens files, so that nothing is missing once the call is up."""

    def __init__(self, options: Options) -> None:
        """Raises SoundError, PhoneError and OSError."""
        self._options = options
        self._uri = _uri(options.uri) if options.uri is not None else None
        self._tell = reporter(sys.stdout, time.monotonic(), as_json=options.json)
        self._sound = _sound(options)
        if options.record is not None:
            options.record.open("wb").close()
        self._arrivals = Arrivals(options.arrivals) if options.arrivals is not None else None
        self._phone: Phone | None = None
        self._call: PhoneCall | None = None
        self._outcome: Outcome = _INTERRUPTED
        self._farewell: Deferred[Any] | None = None

    def run(self, reactor: Any) -> int:
        """Run the reactor until the call is over or the user has enough; the exit status."""
        self._reactor = reactor
        reactor.callWhenRunning(self._begin)
        reactor.addSystemEventTrigger("before", "shutdown", self._interrupted)
        reactor.run()
        return self._finish()

    def _begin(self) -> None:
        self._one_call().addErrback(self._failed).addBoth(self._over)

    @inlineCallbacks
    def _one_call(self) -> Any:
        options = self._options
        host, port = "127.0.0.1", 0
        if self._uri is not None:
            host, port = yield resolve(self._reactor, self._uri)
        self._phone = phone = Phone(
            self._reactor,
            options.bind or own_address(host),
            options.answer or 0,
            transport=(self._uri and self._uri.transport) or options.transport,
            user=options.from_user,
            trace=tracer(sys.stderr) if options.verbose else None,
        )
        if self._uri is not None:
            self._say("calling", f"calling {self._uri} from {phone.address}:{phone.port}", uri=str(self._uri))
            self._call = phone.dial(self._uri, (host, port), self._settings(), credentials=self._credentials())
        else:
            self._say("waiting", f"waiting for a call at sip:{phone.address}:{phone.port}", port=phone.port)
            self._call = yield phone.wait(self._settings())
        self._outcome = yield self._call.ended

    def _settings(self) -> CallSettings:
        options = self._options
        return CallSettings(
            codecs=options.codecs,
            ptime=options.ptime,
            sound=self._sound,
            record=options.record is not None,
            keys=options.keys,
            digits_by=options.digits_by,
            duration=options.duration,
            stay=options.stay,
            tell=self._tell,
            on_arrival=self._arrivals.note if self._arrivals is not None else None,
        )

    def _credentials(self) -> Credentials | None:
        if self._options.user is None:
            return None
        return self._options.user, self._options.password or ""

    def _failed(self, failure: Any) -> None:
        failure.trap(PhoneError)
        self._outcome = Outcome(False, "", str(failure.value))

    def _say(self, event: str, text: str, **details: object) -> None:
        self._tell(Happening(time.monotonic(), event, text, details))

    def _over(self, _: object) -> None:
        """The call is over, or there was none."""
        if self._farewell is None:
            self._reactor.stop()
        elif not self._farewell.called:
            self._farewell.callback(None)

    def _interrupted(self) -> Deferred[Any]:
        """The reactor is about to stop: hang up first. It waits for what this returns, which is not for ever."""
        farewell: Deferred[Any] = Deferred()
        self._farewell = farewell
        call = self._call
        if call is None or call.is_over:
            farewell.callback(None)
        else:
            unanswered = Outcome(call.was_answered, "hung up, without a word from the other side", "is it running?")
            farewell.addTimeout(FAREWELL, self._reactor, onTimeoutCancel=lambda *_: call.over(unanswered))
            call.hangup()
        return farewell.addCallback(lambda _: self._phone.close() if self._phone is not None else None)

    def _finish(self) -> int:
        """The files and the last words."""
        if self._arrivals is not None:
            self._arrivals.close()
        try:
            self._save()
        except OSError as error:
            self._outcome = Outcome(False, "", str(error))
        if self._call is not None:
            summary = self._call.summary()
            self._say("summary", summary.text, **dataclasses.asdict(summary))
        if self._outcome.normal:
            return 0
        return _fail(": ".join(filter(None, (self._outcome.text, self._outcome.remedy))))

    def _save(self) -> None:
        path, call = self._options.record, self._call
        if path is not None and call is not None and call.recorder is not None:
            call.recorder.save(path)
            self._say("recorded", f"recorded {call.recorder.seconds:.1f} s to {path}", file=str(path))


def _uri(text: str) -> URI:
    """Whom to call; `3000@host` is taken as `sip:3000@host`. Raises PhoneError."""
    try:
        uri = URI.parse(text if ":" in text.partition("@")[0] else f"sip:{text}")
    except RemoteProtocolError as error:
        raise PhoneError(f"{text!r} cannot be called: {error}; write sip:3000@127.0.0.1:5060") from None
    if uri.scheme != "sip" or uri.transport not in (None, "udp", "tcp"):
        raise PhoneError(f"{text!r} cannot be called: only sip: addresses over UDP and TCP; write sip:3000@127.0.0.1")
    return uri


def _sound(options: Options) -> SoundFactory:
    if options.play is not None:
        rates = {codec_of(format, RATE, 1).rate for format in formats(options.codecs, RATE, 1)}
        return file(options.play, rates, loop=options.loop)
    return tones(options.tones, options.level) if options.tones else silence
