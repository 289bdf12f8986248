"""The management socket: a Unix socket, for its owner alone, that takes commands one line at a time.

A line that begins with `{` is JSON, `{"command": "3000 show members"}` or `{"command": ["3000", "show", "members"]}`;
the answer is one line of JSON with `ok`, `text` and `data`. Any other line is a command as people type it; the answer
is its text, then `OK`, or `ERROR` and what was wrong. The command `events` goes on, with a line for each event.
"""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IPushProducer, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineReceiver
from zope.interface import implementer

from xconf.api.answers import Answer, Run, answer, refused
from xconf.api.following import Following
from xconf.conference.turns import TurnTaker

MAX_LINE = 16 << 10  # octets of a request
MAX_CLIENTS, MAX_FOLLOWERS = 32, 8
PATIENCE = 10.0  # seconds that a client may take to read an answer
SIGN_OF_LIFE = 5.0  # seconds between two empty lines while a client waits for an answer


class ControlError(Exception):
    """The management socket cannot be had; the text says why, and what to do."""


@implementer(IPushProducer)
class ControlProtocol(LineReceiver):
    """One client. While it does not read its answers no further request of it is taken, and not for long."""

    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE
    transport: Any  # a Unix socket's: ITransport, IConsumer and abortConnection at once

    def __init__(self, server: ControlFactory) -> None:
        self.server = server
        self.impatience: IDelayedCall | None = None
        self.serving: Deferred[None] | None = None
        self.sign: IDelayedCall | None = None
        self.following: Following | None = None

    def connectionMade(self) -> None:
        if len(self.server.clients) >= MAX_CLIENTS:
            self.transport.write(b"ERROR too many clients of the management socket; close one\n")
            self.transport.loseConnection()
            return
        self.server.clients.add(self)
        self.transport.registerProducer(self, True)

    def connectionLost(self, reason: object = None) -> None:
        self.server.clients.discard(self)
        self._be_patient()
        self._no_sign()
        if self.following is not None:
            self.following.close()

    def lineReceived(self, line: bytes) -> None:
        if not line.strip() or self.following is not None:  # who follows can only hang up
            return
        serving = Deferred.fromCoroutine(self._serve(line))
        if not serving.called:
            self.serving = serving
            super().pauseProducing()
            self.sign = self.server.reactor.callLater(SIGN_OF_LIFE, self._show_life)

    def _show_life(self) -> None:
        """Who waits for something that takes its time shall not take us for dead."""
        self.transport.write(b"\n")
        self.sign = self.server.reactor.callLater(SIGN_OF_LIFE, self._show_life)

    async def _serve(self, line: bytes) -> None:
        reply = await answer(line, self.server.run, self.server.turns)
        self.serving = None
        self._no_sign()
        if reply.feed is not None and self.connected and self.server.followers >= MAX_FOLLOWERS:
            reply = refused(f"{MAX_FOLLOWERS} already follow the events; end one of them", reply.as_json)
        if self.connected:
            self.transport.writeSequence(reply.parts)
            self._follow(reply)
            self._go_on()

    def _no_sign(self) -> None:
        if self.sign is not None:
            self.sign.cancel()
        self.sign = None

    def _follow(self, reply: Answer) -> None:
        if reply.feed is not None:
            self.following = Following(self.server.reactor, reply.feed, self.transport.write, reply.as_json)

    def _go_on(self) -> None:
        """The next request, if there is nothing to wait for."""
        if self.paused and self.serving is None and self.impatience is None:
            super().resumeProducing()

    def lineLengthExceeded(self, line: bytes) -> None:
        self.transport.write(f"ERROR a request has at most {MAX_LINE} octets\n".encode())
        self.transport.loseConnection()

    def pauseProducing(self) -> None:
        super().pauseProducing()
        if self.following is not None:
            self.following.pause()
        elif self.impatience is None:
            self.impatience = self.server.reactor.callLater(PATIENCE, self.transport.abortConnection)

    def resumeProducing(self) -> None:
        self._be_patient()
        if self.following is not None:
            self.following.resume()
        self._go_on()

    def stopProducing(self) -> None:
        self._be_patient()

    def _be_patient(self) -> None:
        if self.impatience is not None and self.impatience.active():
            self.impatience.cancel()
        self.impatience = None


class ControlFactory(Factory):
    """Makes a protocol for each client, and counts them."""

    noisy = False

    def __init__(self, run: Run, reactor: IReactorTime) -> None:
        self.run = run
        self.reactor = reactor
        self.turns = TurnTaker(reactor)
        self.clients: set[ControlProtocol] = set()

    @property
    def followers(self) -> int:
        return sum(client.following is not None for client in self.clients)

    def buildProtocol(self, addr: object) -> ControlProtocol:
        return ControlProtocol(self)


class ControlService(Service):
    """Listens on the management socket while the server runs."""

    name = "control"

    def __init__(self, path: Path, run: Run, reactor: IReactorUNIX) -> None:
        self.path = path
        self.reactor = reactor
        self.factory = ControlFactory(run, cast(IReactorTime, reactor))
        self.port: IListeningPort | None = None

    def startService(self) -> None:
        clear_the_way(self.path)
        # The socket is never open to others, not even between bind and chmod.
        umask = os.umask(0o177)
        try:
            self.port = self.reactor.listenUNIX(str(self.path), self.factory, mode=0o600)
        finally:
            os.umask(umask)
        super().startService()

    def stopService(self) -> Any:
        super().stopService()
        for client in tuple(self.factory.clients):
            client.transport.loseConnection()
        return self.port.stopListening() if self.port else None


def clear_the_way(path: Path) -> None:
    """Removes a socket that a server left behind. Raises ControlError when the place is taken or cannot be had."""
    if not path.parent.is_dir():
        raise ControlError(f"the folder {path.parent} does not exist; make it, or name another")
    if not os.access(path.parent, os.W_OK):
        raise ControlError(f"the folder {path.parent} is not writable; name another")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ControlError(f"{path} exists and is not a socket; remove it, or name another")
    if is_alive(path):
        raise ControlError(f"a server already listens on {path}; stop it, or name another")
    path.unlink(missing_ok=True)


def is_alive(path: Path) -> bool:
    """Whether a server listens on this socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True
