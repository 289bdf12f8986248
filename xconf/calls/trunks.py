"""All trunks: which one a call comes from, and by which way somebody is to be called."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from xconf.calls.addresses import number_of
from xconf.calls.names import Names, NamesError
from xconf.calls.trunk import Trunk, TrunkError, TrunkState
from xconf.calls.trunk_line import TrunkLine
from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.exchange import Credentials
from xconf.sip.flow import Flow
from xconf.sip.message import Request
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI, Address

log = Logger()

MOST_HOSTS = 10_000  # whose trunks are remembered

Changed = Callable[[TrunkState], None]


@dataclass(frozen=True, slots=True)
class Destination:
    """How to call somebody, for `UserAgent.invite`. flows: the ways there, the best first; one at least.

    credentials: for who asks; from_: who calls, where the trunk wants to be told; trunk: its name, "" without.
    """

    uri: URI
    flows: tuple[Flow, ...]
    credentials: Credentials | None = None
    from_: Address | None = None
    trunk: str = ""


class Trunks:
    """`adopt` takes what the configuration says, at the start and again whenever it was read."""

    def __init__(self, sip: SIPService, names: Names, changed: Changed = lambda state: None) -> None:
        self._sip = sip
        self._names = names
        self._told = changed
        self._lines: dict[str, TrunkLine] = {}
        self._running = False
        self._known: OrderedDict[str, tuple[Trunk, ...]] = OrderedDict()

    # What the configuration says

    def adopt(self, trunks: Iterable[Trunk]) -> None:
        """From now on these. One that is as it was goes on as it is; one that is not, begins anew."""
        wanted = {trunk.name: trunk for trunk in trunks}
        for name, line in tuple(self._lines.items()):
            if wanted.get(name) != line.trunk:
                del self._lines[name]
                line.stop(wanted.get(name))
        lines: dict[str, TrunkLine] = {}
        fresh: list[TrunkLine] = []
        for name, trunk in wanted.items():
            line = self._lines.get(name) or TrunkLine(trunk, self._sip, self._names, self._changed, self._known.clear)
            lines[name] = line
            if name not in self._lines:
                fresh.append(line)
        self._lines = lines
        self._known.clear()
        if self._running:
            for line in fresh:
                line.start()

    def start(self) -> None:
        self._running = True
        for line in self._lines.values():
            line.start()

    def stop(self) -> None:
        """The registrars are told that we are gone; the user agent waits for their answers."""
        if self._running:
            self._running = False
            for line in self._lines.values():
                line.stop()

    def _changed(self, line: TrunkLine) -> None:
        state = line.state()
        emit = log.warn if state.error else log.info
        emit(
            "trunk {name}: {what}{server}{error}",
            name=state.name,
            what=_said(state),
            server=f" at {state.server}" if state.server and not state.error else "",
            error=f": {state.error}" if state.error else "",
        )
        self._told(state)

    # Calls that come in

    @property
    def users(self) -> dict[str, str]:
        """Names and passwords by which calls of trunks are known."""
        return {user: word for line in self._lines.values() for user, word in line.trunk.users.items()}

    def at(self, host: str) -> bool:
        """Whether this address is one of a trunk's."""
        return bool(self._at(host))

    def media_at(self, address: str) -> bool:
        """Whether sound of a trunk may come from this address: one of its own, or of its media."""
        if self.at(address):
            return True
        where = ipaddress.ip_address(address)
        return any(where in network for line in self._lines.values() for network in line.trunk.media)

    def calling(self, request: Request, flow: Flow) -> Trunk | None:
        """The trunk that a call comes from, by its address or its certificate; see `of_user` for the others.

        Of several at one address, the one whose user is dialled.
        """
        candidates = [*self._certified(flow), *self._at(flow.remote[0])]
        if len(candidates) < 2:
            return candidates[0] if candidates else None
        user = number_of(request.uri)
        return next((trunk for trunk in candidates if trunk.username and trunk.username == user), candidates[0])

    def of_user(self, user: str) -> Trunk | None:
        """The trunk whose calls are known by this user's password."""
        return next((line.trunk for line in self._lines.values() if user in line.trunk.users), None)

    def named(self, name: str) -> Trunk | None:
        line = self._lines.get(name)
        return line.trunk if line is not None else None

    def _certified(self, flow: Flow) -> list[Trunk]:
        if not flow.names:
            return []
        return [line.trunk for line in self._lines.values() if line.trunk.certificate in flow.names]

    def _at(self, host: str) -> tuple[Trunk, ...]:
        if not self._lines:
            return ()
        known = self._known.get(host)
        if known is None:
            known = self._known[host] = self._look_up(host)
            if len(self._known) > MOST_HOSTS:
                self._known.popitem(last=False)
        return known

    def _look_up(self, host: str) -> tuple[Trunk, ...]:
        address = ipaddress.ip_address(host)
        return tuple(
            line.trunk
            for line in self._lines.values()
            if host in line.addresses or any(address in network for network in line.trunk.networks)
        )

    # Calls that go out

    @property
    def names(self) -> list[str]:
        return list(self._lines)

    def serving(self, host: str) -> str | None:
        """The name of the trunk whose users a sip: URI of this host means: by its domain, or its servers."""
        wanted = host.lower()
        for name, line in self._lines.items():
            servers = line.trunk.servers
            if servers and wanted in {line.trunk.domain.lower(), *(server.lower() for server, _ in servers)}:
                return name
        return None

    def destination(self, target: str, trunk: str | None = None) -> Deferred[Destination]:
        """How to call a number (by a trunk: the one that is named, or the first) or a SIP URI (by a trunk if one is named).

        Fails with TrunkError, whose text says what to do.
        """
        try:
            uri = _target(target)
            line = self._line(trunk, needed=uri is None)
        except TrunkError:
            return defer.fail()
        found = self._directly(uri) if uri is not None and line is None else self._by_trunk(target, uri, line)
        return Deferred.fromCoroutine(found)

    def _line(self, name: str | None, *, needed: bool) -> TrunkLine | None:
        if name is not None:
            if name not in self._lines:
                raise TrunkError(f"there is no trunk {name}; there are {', '.join(self._lines) or 'none'}")
            return self._lines[name]
        if not needed:
            return None
        able = [line for line in self._lines.values() if line.trunk.servers]
        if not able:
            raise TrunkError("a number needs a trunk that it is called by; give sip.trunks, or call a sip: URI")
        return next((line for line in able if line.usable), able[0])

    async def _directly(self, uri: URI | None) -> Destination:
        assert uri is not None
        secure = uri.scheme == "sips"
        try:
            targets = await self._names.locate(
                uri.host, uri.port, uri.transport, transports=self._sip.transports, secure=secure
            )
            flows = [self._sip.flow_to(way, place, (uri.host,) if way == "tls" else ()) for way, place in targets]
        except (NamesError, LocalProtocolError) as error:
            raise TrunkError(f"no way to {uri.host}: {error}") from None
        return Destination(uri, tuple(flows))

    async def _by_trunk(self, target: str, uri: URI | None, line: TrunkLine | None) -> Destination:
        assert line is not None
        trunk = line.trunk
        if uri is None:
            uri = URI("sip", user=target, host=trunk.domain)
        caller = trunk.caller_id or trunk.username
        from_ = Address(URI("sip", user=caller, host=trunk.domain)) if caller else None
        try:
            flows = tuple(await line.locate())
        except TrunkError as error:
            raise TrunkError(f"trunk {trunk.name}: {error}") from None
        return Destination(uri, flows, trunk.credentials, from_, trunk.name)

    # For those who look

    def states(self) -> list[TrunkState]:
        """Of all trunks, in the order of the configuration."""
        return [line.state() for line in self._lines.values()]


def _target(target: str) -> URI | None:
    """None: it is a number. Raises TrunkError."""
    if ":" not in target:
        if not target or any(char.isspace() or char in '<>"@' for char in target):
            raise TrunkError(f"'{target[:64]}' is neither a number nor a SIP URI")
        return None
    try:
        uri = URI.parse(target)
    except RemoteProtocolError:
        uri = None
    if uri is None or not uri.is_sip or not uri.host:
        raise TrunkError(f"'{target[:64]}' is not a SIP URI like sip:1001@192.0.2.10")
    return uri


def _said(state: TrunkState) -> str:
    parts = [] if state.registration == "not used" else [state.registration]
    if state.reachable is not None:
        parts.append("reachable" if state.reachable else "not reachable")
    return ", ".join(parts)
