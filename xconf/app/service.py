"""The server: what is made of a configuration, how its parts are joined, and how they start and stop together."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from twisted.application.service import MultiService
from twisted.internet import defer, threads
from twisted.logger import Logger

from xconf.api.control import ControlService
from xconf.api.server_commands import Status, server_commands
from xconf.app.cli import program_version
from xconf.app.config import Configuration, load
from xconf.app.logs import take_logging
from xconf.app.options import Options
from xconf.app.problems import ConfigError
from xconf.app.settings import Settings
from xconf.app.summary import how_to_dial
from xconf.conference.commands import Reply
from xconf.conference.dispatch import Result, dispatch
from xconf.conference.errors import CommandError
from xconf.conference.library import Decode, Decoded, Library
from xconf.conference.registry import Conferences
from xconf.media.engine import Engine
from xconf.media.service import MediaService
from xconf.rtp.ports import MediaPorts

STOP_TIME = 4.5  # seconds for goodbyes; with the rest of the way out less than 5

log = Logger()

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> Server:
    """What `twistd xconf` runs."""
    from twisted.internet import reactor

    take_logging()
    return Server(reactor, options.configuration)


def in_a_thread(work: Decode, done: Decoded) -> None:
    """Decodes a sound file that somebody named, while the tick goes on."""
    threads.deferToThread(work).addCallbacks(done, lambda failure: done(failure.value))


def make_engine(settings: Settings) -> Engine:
    ports = MediaPorts(settings.rtp.address.host, settings.rtp.ports.first, settings.rtp.ports.last)
    return Engine(ports, settings.sip.limits.calls, np.random.default_rng(), relatch=settings.rtp.relatch)


class Server(MultiService):
    """One node."""

    def __init__(self, reactor: Any, configuration: Configuration) -> None:
        super().__init__()
        settings = configuration.settings
        self.reactor = reactor
        self.configuration = configuration
        self.media = MediaService(reactor, make_engine(settings))
        self.conferences = Conferences(
            reactor,
            self.media.engine,
            Library(configuration.sounds, in_a_thread),
            configuration.profiles,
            configuration.controls,
            configuration.commands,
        )
        configuration.commands.add(server_commands(self))
        for part in (self.media, ControlService(configuration.socket, self.run, reactor)):
            part.setServiceParent(self)

    def run(self, command: str | Sequence[str]) -> Result:
        return dispatch(self.conferences, command)

    # Start and stop

    def startService(self) -> None:
        super().startService()
        self.started_at = self.reactor.seconds()
        signal.signal(signal.SIGHUP, lambda *_: self.reactor.callFromThread(self._hang_up_signal))
        for line in how_to_dial(self.configuration.settings):
            log.info("dial {line}", line=line)
        log.info("ready for calls")
