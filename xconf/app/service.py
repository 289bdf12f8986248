"""The server: what is made of a configuration, how its parts are joined, and how they start and stop together."""

from __future__ import annotations

import secrets
import signal
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from twisted.application.service import MultiService
from twisted.internet import defer, error, threads
from twisted.logger import Logger

from xconf.api.control import ControlError, ControlService
from xconf.api.drain_commands import drain_commands
from xconf.api.event_feed import event_command
from xconf.api.server_commands import Status, server_commands
from xconf.app.access import ConfiguredAccess
from xconf.app.certificates import CertificateWatch
from xconf.app.cluster import make_tunnel
from xconf.app.config import Configuration, load
from xconf.app.eventlog import log_events
from xconf.app.forwarding import adopt_secrets, make_forwarding, make_moves
from xconf.app.history.command import history_command
from xconf.app.invite_settings import Invite
from xconf.app.logs import take_logging
from xconf.app.memory import Collector, stay
from xconf.app.nodes import Busy, make_nodes, steered
from xconf.app.options import Options
from xconf.app.parts import (
    make_admission,
    make_conferences,
    make_engine,
    make_history,
    make_names,
    make_recordings,
    make_security,
    make_sip,
    make_trunks,
    make_webhook,
    planned_of,
    six_of,
)
from xconf.app.placement import make_placement
from xconf.app.problems import ConfigError
from xconf.app.summary import how_to_dial
from xconf.app.trace import trace
from xconf.app.trunks import trunks_of, verification
from xconf.app.version import VERSION
from xconf.app.workers import SoundThreads
from xconf.calls.inbound import Calls
from xconf.calls.leaving import Drain
from xconf.calls.media_addresses import MediaAddresses
from xconf.calls.outbound import Outbound
from xconf.calls.outbound_list import Invitations
from xconf.calls.schedule import Schedule, schedule_command
from xconf.calls.trunk import TrunkState
from xconf.conference.dispatch import Result, final
from xconf.conference.events import TrunkChanged
from xconf.conference.later import Later
from xconf.conference.library import Library
from xconf.conference.turns import Turns
from xconf.media.catalogue import possible
from xconf.media.service import MediaService
from xconf.rtp.ports import PortError
from xconf.sip.digest import Challenger

log = Logger()

SETTLED = 1000  # ticks, 20 s, after which those that were late tell how busy the machine is

__all__ = ["Options", "makeService"]


def makeService(options: Options) -> Server:
    """What `twistd xconf` runs."""
    from twisted.internet import reactor

    take_logging()
    use_steady_clock(reactor)
    return Server(reactor, options.configuration)


def use_steady_clock(reactor: Any) -> None:
    """Timers by CLOCK_MONOTONIC. Twisted's go by the time of day: were it set, all calls' timers would expire at once."""
    reactor.seconds = time.monotonic


class Server(MultiService):
    """One node."""

    def __init__(self, reactor: Any, configuration: Configuration) -> None:
        super().__init__()
        settings = configuration.settings
        self.reactor = reactor
        self.configuration = configuration
        self.started_at = reactor.seconds()
        self.allowed = settings.invite.allowed
        self._ending = False

        self.media = MediaService(reactor, make_engine(settings))
        self.sound_threads = SoundThreads(reactor, configuration.sounds)
        library = Library(configuration.sounds, self.sound_threads.preparing.call)
        self.conferences = make_conferences(reactor, self.media.engine, configuration, library)
        log_events(self.conferences.events)
        self.security = make_security(configuration)
        self.sip = make_sip(reactor, settings, self._sip_event, self.security)
        names = make_names(reactor, settings)
        self.trunks = make_trunks(settings, self.sip, names, self._trunk_changed)
        self.calls = Calls(
            reactor,
            self.media.engine,
            self.conferences,
            ConfiguredAccess(settings, self.trunks),
            Challenger(settings.sip.realm, secrets.token_bytes(32), algorithms=settings.sip.digest),
            admission=make_admission(settings, self.media.clock),
            media_addresses=MediaAddresses(settings.rtp.address.host, six_of(settings)),
            media_timeout=settings.rtp.media_timeout,
        )
        self.drain = Drain(reactor, self.calls, self.shut_down)
        self.media.engine.trusts = lambda host: self.calls.access.trusts(host)
        self.invitations = make_invitations(self, settings.invite)
        self.conferences.inviter = self.invitations
        self.schedule = Schedule(reactor, time.time, self.invitations, self.conferences.events)
        self.tunnel = make_tunnel(reactor, settings)
        if self.tunnel is not None:
            self.conferences.link_by(self.tunnel.conferences.open)
            self.media.before = self.tunnel.read
        self.nodes = make_nodes(reactor, configuration, self.tunnel, self.conferences, self.busy)
        self.calls.forwarding = make_forwarding(settings, self.sip, names)
        self.calls.moves = make_moves(settings)
        if self.nodes is not None and self.calls.forwarding is not None:
            self.nodes.on_gone.append(self.calls.forwarding.gone)
        self.calls.placement = make_placement(self.nodes, self.conferences, self.calls)
        self.sip.user_agent.closed = lambda: self.calls.closed() is not None
        self.steer = steered(self.nodes, self.conferences)
        self.conferences.steer = self.steer if self.nodes is not None else None
        self.recordings = make_recordings(reactor, configuration)
        if self.recordings is not None:
            self.conferences.recorder = self.recordings
        self.history = make_history(reactor, configuration, self.conferences.events)
        configuration.commands.add([*server_commands(self), *drain_commands(self.drain)])
        configuration.commands.add([schedule_command(self.schedule)])
        told = history_command(reactor, configuration.history)
        configuration.commands.add([event_command(self.conferences.events), told])
        self.control = ControlService(configuration.socket, self.run, reactor)
        self.webhook = make_webhook(reactor, settings, self.conferences)
        for part in (
            self.media,
            self.sip,
            self.tunnel,
            self.nodes,
            self.control,
            self.sound_threads,
            self.history,
            self.webhook,
            self.recordings,
        ):
            if part is not None:
                part.setServiceParent(self)
        self._certificates = CertificateWatch(reactor, self.security)
        self._collector = Collector(reactor, self.calls, self.sip.user_agent.transactions)

    def _sip_event(self, event: object) -> None:
        self.calls.handle(event)

    def _trunk_changed(self, state: TrunkState) -> None:
        fields = {"trunk": state.name, "state": state.summary, "reachable": state.reachable, "error": state.error}
        self.conferences.events.publish(TrunkChanged, conference="", **fields)

    def run(self, command: str | Sequence[str]) -> Turns[Result | defer.Deferred[Result]] | defer.Deferred[Result]:
        """A command of the management socket."""
        if command in ("reload", ["reload"]):
            return self.reload()
        return self._in_turns(command)

    def _in_turns(self, command: str | Sequence[str]) -> Turns[Result | defer.Deferred[Result]]:
        result = yield from self.steer(command)
        return result if result.later is None else at_last(result.later)

    # Start and stop

    def startService(self) -> None:
        try:
            super().startService()
            self.calls.start()
            self.trunks.start()
            self.schedule.adopt(planned_of(self.configuration.settings.invite))
            self._certificates.start()
            possible(8000)  # whatever codecs there are is loaded before anybody calls
            self._collector.start()
            stay()
        except (error.CannotListenError, ControlError, PortError) as fault:
            # Between the look before the start and now somebody else was faster.
            log.critical("{fault}", fault=fault)
            raise SystemExit(f"{self.configuration.name}: {fault}") from None
        self.reactor.callWhenRunning(self._ready)

    def _ready(self) -> None:
        # A server that was told to end and did so has succeeded; left to twistd, its exit status would be the signal.
        answers = {signal.SIGHUP: self.reload, signal.SIGTERM: self._end, signal.SIGINT: self._end}
        for number, answer in answers.items():
            signal.signal(number, lambda *_, answer=answer: self.reactor.callFromThread(answer))
        for line in how_to_dial(self.configuration.settings):
            log.info("dial {line}", line=line)
        log.info("ready for calls")

    def stopService(self) -> defer.Deferred[Any]:
        """BYE to all, while the sound of the others goes on. Signalling then waits a second, at most, for their answers."""
        log.info("stopping: {calls} calls to end", calls=len(self.calls))
        self._collector.stop()
        self._certificates.stop()
        self.trunks.stop()
        self.drain.stop()
        self.schedule.stop()
        self.invitations.stop()
        return self.calls.shutdown().addCallback(self._stop_parts)

    def _stop_parts(self, _: None) -> defer.Deferred[Any]:
        if not len(self.calls):
            self.conferences.shutdown()
        stopped: defer.Deferred[Any] = super().stopService()
        return stopped

    def shut_down(self) -> None:
        self.reactor.callLater(0, self._end)

    def _end(self) -> None:
        if not self._ending:
            self._ending = True
            self.reactor.stop()

    # Reload

    def reload(self) -> defer.Deferred[Result]:
        """Dial plan, profiles, controls and who may call, from the file as it is now; a faulty file changes nothing."""
        return defer.Deferred.fromCoroutine(self._reload())

    async def _reload(self) -> Result:
        try:
            # In a thread: reading and checking takes longer than the tick can wait.
            fresh = await threads.deferToThread(load, self.configuration.path, self.configuration)
        except ConfigError as fault:
            reasons = "; ".join(map(str, fault.problems))
            log.error("not reloaded, all stays as it was: {reasons}", reasons=reasons)
            return Result(f"not reloaded, all stays as it was: {reasons}", None, False)
        outcome = self._adopt(fresh)
        log.info("{outcome}", outcome=outcome)
        return Result(outcome)

    def _adopt(self, fresh: Configuration) -> str:
        restart = self.configuration.restart_for(fresh)
        self.conferences.reload(fresh.profiles, fresh.controls)
        self.trunks.adopt(trunks_of(fresh.settings))
        self.calls.access = ConfiguredAccess(fresh.settings, self.trunks)
        self.allowed = fresh.settings.invite.allowed
        invite = fresh.settings.invite
        self.invitations.adopt(invite.limits, invite.usual, invite.lists)
        self.schedule.adopt(planned_of(invite))
        if self.tunnel is not None and fresh.settings.cluster.secrets:
            self.tunnel.adopt(fresh.settings.cluster.secrets)
        if self.nodes is not None and fresh.settings.cluster.secrets:
            self.nodes.adopt(fresh.settings.cluster.secrets)
            adopt_secrets(self.calls, fresh.settings.cluster.secrets)
        if fresh.contexts is not None:
            self._certificates.adopt(fresh.contexts)
        self.security.verify = verification(fresh.settings.sip.tls)
        return "reloaded" + (f"; only a restart changes {', '.join(restart)}" if restart else "")

    # What the server commands want

    def busy(self) -> Busy:
        clock = self.media.clock
        # A start has late ticks; what is yet to come counts as punctual, so that other nodes do not take it for overload.
        lateness = float(np.percentile(clock.lateness[: max(clock.ticks, SETTLED)], 99)) * 1000
        return Busy(len(self.calls), lateness, self.drain.active, clock.overloaded)

    def status(self) -> Status:
        clock, totals = self.media.clock, self.conferences.totals
        seen = slice(min(clock.ticks, len(clock.lateness)))
        late, busy = clock.lateness[seen] * 1000, clock.busy[seen] * 1000
        median, high, worst = np.percentile(late, (50, 99, 100)).tolist() if late.size else (0.0, 0.0, 0.0)
        return Status(
            node=self.configuration.settings.node.name,
            version=VERSION,
            uptime=self.reactor.seconds() - self.started_at,
            calls=len(self.calls),
            conferences=totals.conferences,
            members=totals.members,
            speakers=totals.speakers,
            ticks=clock.ticks,
            ticks_missed=clock.missed,
            lateness_median=median,
            lateness_99=high,
            lateness_worst=worst,
            busy_median=float(np.median(busy)) if busy.size else 0.0,
            draining=self.drain.summary,
            held={
                "sip": self.sip.user_agent.sizes(),
                "media": {**self.media.engine.sizes(), "streams": self.configuration.sounds.streams},
                "conference": self.conferences.sizes(),
                **({"tunnel": self.tunnel.conferences.sizes()} if self.tunnel else {}),
            },
        )

    def counters(self) -> dict[str, int]:
        engine = self.media.engine
        return {
            **{f"sip.{name}": count for name, count in self.sip.user_agent.counters.items()},
            **{f"calls.{name}": count for name, count in self.calls.counters.items()},
            **{f"media.{name}": count for name, count in (engine.counters + engine.receiver.counters).items()},
            **{f"rtcp.{name}": count for name, count in engine.reports.counters.items()},
            **{f"sounds.{name}": count for name, count in self.configuration.sounds.counters.items()},
            "media.truncated": engine.ports.truncated,
            "media.unsent": engine.ports.unsent,
            "media.ticks_made_up": self.media.clock.made_up,
            **{f"tunnel.{name}": count for name, count in (self.tunnel.counters() if self.tunnel else {}).items()},
            **{f"nodes.{name}": count for name, count in (self.nodes.counters() if self.nodes else {}).items()},
            **{f"history.{name}": count for name, count in (self.history.counters() if self.history else {}).items()},
            **{f"webhook.{name}": count for name, count in (self.webhook.counters if self.webhook else {}).items()},
        }

    def trunk_states(self) -> list[TrunkState]:
        return self.trunks.states()

    def trace_sip(self, on: bool) -> None:
        self.sip.trace = trace if on else None


def at_last(later: Later) -> defer.Deferred[Result]:
    """What a command has to say when that which it began is over."""
    result: defer.Deferred[Result] = defer.Deferred()
    later.then(lambda outcome: result.callback(final(outcome)))
    return result


def make_invitations(server: Server, invite: Invite) -> Invitations:
    """Calls that are placed from here, to whomever the configuration allows at the time."""
    parts = (server.reactor, server.calls, server.media.engine, server.sip, server.trunks, lambda: server.allowed)
    return Invitations(Outbound(*parts), server.conferences.events, invite.limits, invite.usual, invite.lists)
