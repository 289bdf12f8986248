"""One trunk at work: its servers looked up, our registration there kept up, and whether it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from xconf.calls.names import Names, NamesError
from xconf.calls.trunk import Server, Trunk, TrunkError, TrunkState
from xconf.sip.errors import LocalProtocolError
from xconf.sip.flow import Flow
from xconf.sip.location import Target, is_address
from xconf.sip.probe import Probe
from xconf.sip.registration import Account, Registration, State

if TYPE_CHECKING:
    from xconf.sip.transport import SIPService

log = Logger()

REFRESH = 60.0  # s between two looks for other addresses (answers are kept for as long as they say)
MOST_FLOWS = 32


class TrunkLine:
    """`addresses`: where its calls come from, as far as names lead there. changed(line) is called when the state is another."""

    def __init__(
        self,
        trunk: Trunk,
        sip: SIPService,
        names: Names,
        changed: Callable[[TrunkLine], None],
        moved: Callable[[], None],
    ) -> None:
        self.trunk = trunk
        self.addresses = frozenset(host for host, _ in (*trunk.servers, *trunk.hosts) if is_address(host))
        self._sip = sip
        self._names = names
        self._changed = changed
        self._moved = moved
        self._flows: list[Flow] = []
        self._stopped = False
        self._nowhere = ""
        self._refresher = LoopingCall(self._refresh)
        self._refresher.clock = sip.reactor
        told = self._tell
        self._registration = (
            Registration(sip.user_agent, self._account(), locate=self._locate, changed=told, why=sip.why_failed)
            if trunk.register
            else None
        )
        self._probe = (
            Probe(
                sip.user_agent,
                trunk.domain,
                trunk.options_interval,
                flow=self._flow_to_ask,
                changed=told,
                why=sip.why_failed,
            )
            if trunk.options_interval
            else None
        )

    def _account(self) -> Account:
        trunk = self.trunk
        return Account(trunk.username, trunk.domain, trunk.credentials, trunk.expires, trunk.retry)

    # Start and stop

    def start(self) -> None:
        now = self._sip.seconds()
        if any(not is_address(host) for host, _ in (*self.trunk.servers, *self.trunk.hosts)):
            self._refresher.start(REFRESH, now=True)
        if self._registration is not None:
            self._registration.start(now)
        if self._probe is not None:
            self._locate()
            self._probe.start(now)
        self._sip.pump()

    def stop(self, heir: Trunk | None = None) -> None:
        """It is not ours any more: no request of its own but the one that ends the registration.

        That could reach the registrar after the heir's first one, and end that: an heir of the same account has it.
        """
        if self._refresher.running:
            self._refresher.stop()
        if self._probe is not None:
            self._probe.stop()
        if self._registration is not None:
            goodbye = heir is None or not heir.register or heir.account != self.trunk.account
            self._registration.stop(self._sip.seconds(), goodbye=goodbye)
        self._stopped = True
        self._sip.pump()

    # Where it is

    def locate(self) -> Deferred[list[Flow]]:
        """Ways to its servers, the one in use first. Fails with TrunkError when there is none."""
        return Deferred.fromCoroutine(self._search())

    async def _search(self) -> list[Flow]:
        flows: list[Flow] = []
        why = "it has no server, and only sends calls"
        for server in self.trunk.servers:
            try:
                flows += self._flows_to(server, await self._targets(server))
            except (NamesError, LocalProtocolError) as error:
                why = str(error)
        if not flows:
            raise TrunkError(why)
        if set(flows) != set(self._flows):
            self._flows = list(dict.fromkeys(flows))[:MOST_FLOWS]
        self._learn({flow.remote[0] for flow in flows})
        current = self._current()
        return sorted(self._flows, key=lambda flow: flow != current)

    def _targets(self, server: Server) -> Deferred[list[Target]]:
        return self._names.locate(*server, self.trunk.transport, transports=self._sip.transports)

    def _flows_to(self, server: Server, targets: list[Target]) -> list[Flow]:
        flows: list[Flow] = []
        fault: LocalProtocolError | None = None
        for transport, place in targets:
            names = (self.trunk.certificate_names or (server[0],)) if transport == "tls" else ()
            try:
                flows.append(self._sip.flow_to(transport, place, names))
            except LocalProtocolError as error:  # of a family that we do not have, most likely
                fault = error
        if not flows and fault is not None:
            raise fault
        return flows

    def _refresh(self) -> Deferred[None]:
        """Names may lead to other addresses now. What is known stays when they cannot be looked up."""
        return Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        found: set[str] = set()
        try:
            for server in (*self.trunk.servers, *self.trunk.hosts):
                found |= {place[0] for _, place in await self._targets(server)}
        except NamesError as error:
            if str(error) != self._nowhere:
                log.warn("trunk {name}: {error}", name=self.trunk.name, error=error)
            self._nowhere = str(error)
            found |= self.addresses
        else:
            self._nowhere = ""
        self._learn(found, all_of_them=True)

    def _learn(self, addresses: set[str], *, all_of_them: bool = False) -> None:
        known = frozenset(addresses) if all_of_them else self.addresses | addresses
        if known != self.addresses and not self._stopped:
            self.addresses = known
            self._moved()

    def _current(self) -> Flow | None:
        """The server in use: where we are registered, or the first that is."""
        registered = self._registration.flow if self._registration is not None else None
        return registered or (self._flows[0] if self._flows else None)

    # What the machines want

    def _locate(self) -> None:
        self.locate().addCallbacks(self._located, self._not_located)

    def _located(self, flows: list[Flow]) -> None:
        if self._registration is not None and not self._stopped:
            self._registration.located(flows, self._sip.seconds())
            self._sip.pump()

    def _not_located(self, failure: object) -> None:
        why = str(getattr(failure, "value", failure))
        if self._registration is not None and not self._stopped:
            self._registration.not_located(why, self._sip.seconds())
            self._sip.pump()

    def _flow_to_ask(self) -> Flow | None:
        """Where OPTIONS go. A server that did not answer is followed by the next."""
        if not self._flows:
            self._locate()
        elif self._probe is not None and self._probe.reachable is False:
            self._flows = [*self._flows[1:], self._flows[0]]
        return self._current()

    def _tell(self) -> None:
        if not self._stopped:
            self._changed(self)

    # For those who look

    @property
    def usable(self) -> bool:
        """Whether calls can go out by it, as far as is known."""
        registered = self._registration is None or self._registration.state is State.REGISTERED
        return registered and not (self._probe is not None and self._probe.reachable is False)

    def state(self) -> TrunkState:
        now = self._sip.seconds()
        registration, probe = self._registration, self._probe
        until = registration.until if registration is not None else None
        retry = registration.retry_at if registration is not None else None
        errors = [machine.error for machine in (registration, probe) if machine is not None and machine.error]
        return TrunkState(
            name=self.trunk.name,
            registration=registration.state.value if registration is not None else "not used",
            expires=round(until - now, 1) if until is not None and until > now else None,
            retry=round(retry - now, 1) if retry is not None and retry > now else None,
            reachable=probe.reachable if probe is not None else None,
            round_trip=round(probe.round_trip, 4) if probe is not None and probe.round_trip is not None else None,
            server=str(self._current() or ""),
            error="; ".join([*errors, *([self._nowhere] if self._nowhere and not errors else [])]),
            addresses=sorted({*map(str, self.trunk.networks), *self.addresses}),
        )
