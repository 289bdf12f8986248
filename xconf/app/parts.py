"""The parts of a server, each made of what the configuration says of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from xconf.app.config import Configuration
from xconf.app.history.service import History
from xconf.app.invite_settings import Invite
from xconf.app.recordings import RecordingFiles
from xconf.app.settings import Settings
from xconf.app.trace import trace
from xconf.app.trunks import trunks_of, verification
from xconf.app.version import VERSION
from xconf.app.webhook import Webhook
from xconf.calls.admission import Admission, Limits
from xconf.calls.names import Names, system_hosts, system_resolver
from xconf.calls.schedule import Planned
from xconf.calls.trunk import TrunkState
from xconf.calls.trunks import Trunks
from xconf.conference.elsewhere import Alone
from xconf.conference.library import Library
from xconf.conference.registry import MOST, Conferences
from xconf.conference.stream import Stream
from xconf.media.clock import TickClock
from xconf.media.engine import Engine
from xconf.rtp.ports import MediaPorts
from xconf.sip.settings import Settings as AgentSettings
from xconf.sip.tls.files import Files
from xconf.sip.tls.ports import Security
from xconf.sip.tls.ports import load as load_contexts
from xconf.sip.transport import SIPService

SPARE = 100  # rows of the engine for calls that have just ended, and for conferences that wait for members


def six_of(settings: Settings) -> str:
    """The address for sound over IPv6, "" for none."""
    return settings.rtp.address6.host if settings.rtp.address6 else ""


def planned_of(invite: Invite) -> dict[str, Planned]:
    return {name: appointment.planned for name, appointment in invite.schedule.items()}


def make_engine(settings: Settings) -> Engine:
    """Media ports are opened when calls need them."""
    numbers = settings.rtp.ports
    ports = MediaPorts(settings.rtp.address.host, numbers.first, numbers.last, six=six_of(settings))
    capacity = settings.sip.limits.calls + SPARE
    return Engine(ports, capacity, np.random.default_rng(), relatch=settings.rtp.relatch)


def make_admission(settings: Settings, clock: TickClock) -> Admission:
    limits = settings.sip.limits
    numbers = (limits.calls, limits.calls_per_second, limits.host_calls, limits.host_calls_per_second)
    return Admission(Limits(*numbers), lambda: clock.overloaded)


def make_security(configuration: Configuration) -> Security:
    """Where the configuration says nothing of TLS, the system says whom to believe when we call."""
    contexts = configuration.contexts or load_contexts(Files())
    return Security(contexts, verification(configuration.settings.sip.tls))


def make_names(reactor: Any, settings: Settings) -> Names:
    servers = [(server.host, server.port or 53) for server in settings.sip.nameservers]
    return Names(reactor, system_resolver(servers), system_hosts)


def make_trunks(settings: Settings, sip: SIPService, names: Names, changed: Callable[[TrunkState], None]) -> Trunks:
    trunks = Trunks(sip, names, changed)
    trunks.adopt(trunks_of(settings))
    return trunks


def make_sip(reactor: Any, settings: Settings, handle: Callable[[object], None], security: Security) -> SIPService:
    """Room for the calls that may be, and as much again for those that are refused or ending."""
    calls = settings.sip.limits.calls
    agent = AgentSettings(product=f"xconf/{VERSION}", max_sessions=2 * calls + 100, max_transactions=5 * calls + 1000)
    service = SIPService(reactor, [str(listen) for listen in settings.sip.listen], handle, agent, security=security)
    service.trace = trace if settings.log.sip_trace else None
    return service


def make_conferences(reactor: Any, engine: Engine, configuration: Configuration, library: Library) -> Conferences:
    """No more than the engine has room for, with a call in each."""
    limit = min(MOST, configuration.settings.sip.limits.calls + SPARE)
    its, alone = configuration, Alone(configuration.settings.node.name)
    return Conferences(reactor, engine, library, its.profiles, its.controls, its.commands, limit, time.time, alone)


def make_history(reactor: Any, configuration: Configuration, stream: Stream) -> History | None:
    """Room for the records of all calls, should the disk fail when they end together."""
    if configuration.history is None:
        return None
    settings = configuration.settings
    return History(
        reactor, stream, configuration.history, settings.history.keep_days, 2 * settings.sip.limits.calls + 1000
    )


def make_recordings(reactor: Any, configuration: Configuration) -> RecordingFiles | None:
    folder = configuration.settings.recording.folder
    return RecordingFiles(reactor, configuration.path.parent / folder) if folder else None


def make_webhook(reactor: Any, settings: Settings, conferences: Conferences) -> Webhook | None:
    """What it needs of HTTP is loaded only where there is one."""
    its = settings.webhook
    if its.url is None or its.secret is None:
        return None
    from xconf.app.http import Poster

    only = frozenset(kind.name for kind in its.only)
    conferences.posts = not only or "webhook-called" in only
    poster = Poster(reactor, its.url.text, f"xconf/{VERSION}")
    return Webhook(reactor, conferences.events, poster, node=settings.node.name, secret=its.secret, only=only)
