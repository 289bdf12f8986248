"""Calls that we place: from somebody who is to be called to a member of a conference, or to the reason why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from xconf.calls.access import Route
from xconf.calls.addresses import media_host
from xconf.calls.call import Call
from xconf.calls.inbound import Calls
from xconf.calls.outbound_results import Outcome, outcome_of
from xconf.calls.outbound_rules import Allowed, Target, destination, permitted, redirections
from xconf.calls.terms import Terms
from xconf.calls.trunk import TrunkError
from xconf.calls.trunks import Destination, Trunks
from xconf.conference.announcer import Announcer
from xconf.conference.confirm import ConfirmMenu
from xconf.conference.errors import ConferenceError
from xconf.conference.invitation import Result, Wishes
from xconf.media.engine import Engine
from xconf.media.rows import OutOfRows
from xconf.rtp.ports import PortError
from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.events import Ended, Progress
from xconf.sip.flow import Flow
from xconf.sip.sdp import SessionDescription
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI, Address

if TYPE_CHECKING:
    from twisted.python.failure import Failure

log = Logger()

MOST_REDIRECTIONS = 5
_FAULTS = (ConferenceError, OutOfRows, PortError, LocalProtocolError, RemoteProtocolError)


@dataclass(frozen=True, slots=True)
class Outbound:
    """What placing calls takes. allowed: whom the configuration lets us call now."""

    reactor: IReactorTime
    calls: Calls
    engine: Engine
    sip: SIPService
    trunks: Trunks
    allowed: Callable[[], Allowed]

    def check(self, target: Target, trunk: str) -> None:
        """That somebody may be called, by this trunk if one is named. Raises TrunkError."""
        permitted(self.allowed(), self.trunks, target, trunk)


class Attempt:
    """One call that is placed. told(attempt) is called when it rings; over(outcome) once: it is a member's now, or over."""

    def __init__(
        self,
        outbound: Outbound,
        conference: str,
        target: Target,
        wishes: Wishes,
        told: Callable[[Attempt], None],
        over: Callable[[Outcome], None],
    ) -> None:
        self.state = "calling"
        self._outbound = outbound
        self._conference = conference
        self._target = target
        self._wishes = wishes
        self._told = told
        self._over: Callable[[Outcome], None] | None = over
        self._call: Call | None = None
        self._menu: ConfirmMenu | None = None
        self._giving_up: Result | None = None
        self._redirected: list[URI] = []  # in the order of trying
        self._seen: set[str] = {target.where}
        self._ways: list[tuple[Destination, Flow]] = []
        self._heard = False  # anything, from the way that is tried now
        self._trunk = ""  # that it goes by
        self._timer: IDelayedCall | None = outbound.reactor.callLater(wishes.timeout, self._too_late)

    def start(self) -> None:
        self._locate(self._target, self._wishes.trunk)

    def cancel(self, result: Result = Result.CANCELLED) -> None:
        """It is not wanted any more."""
        if self._over is None:
            return
        self._giving_up = result
        if self._call is not None:
            self._call.hangup(result.value)
        else:
            self._finish(Outcome(result))

    def _too_late(self) -> None:
        self._timer = None
        self.cancel(Result.NO_ANSWER if self._heard else Result.UNREACHABLE)

    # Where to

    def _locate(self, target: Target, trunk: str) -> None:
        its = self._outbound
        found = destination(its.allowed(), its.trunks, target, trunk)
        found.addCallbacks(self._located, self._not_located)

    def _located(self, found: Destination) -> None:
        self._ways = [(found, flow) for flow in found.flows]
        if self._over is not None:
            self._next("no way there")

    def _not_located(self, failure: Failure) -> None:
        failure.trap(TrunkError)
        if self._over is not None:
            self._follow(Outcome(Result.REFUSED, reason=str(failure.value)))

    def _next(self, why: str) -> None:
        """By the next way, if there is one (RFC 3263 section 4.3)."""
        if not self._ways:
            self._follow(Outcome(Result.UNREACHABLE, reason=why))
            return
        found, flow = self._ways.pop(0)
        self._heard = False
        self._trunk = found.trunk
        try:
            self._invite(found, flow)
        except _FAULTS as fault:
            self._finish(Outcome(Result.REFUSED, reason=str(fault)))

    def _follow(self, outcome: Outcome) -> None:
        """To the next of those whom a redirection named; without one, that is the outcome."""
        if not self._redirected:
            self._finish(outcome)
            return
        uri = self._redirected.pop(0)
        trunk = self._outbound.trunks.serving(uri.host)
        if trunk is not None and trunk != self._trunk:
            # Whoever we call could have us call any number, at our cost.
            self._follow(Outcome(Result.REFUSED, reason=f"redirected to {uri}, by a trunk that it was not called by"))
        else:
            self._locate(Target(str(uri), self._target.name), "")

    # The call

    def _invite(self, found: Destination, flow: Flow) -> None:
        its, wishes, host = self._outbound, self._wishes, flow.remote[0]
        conference = its.calls.conferences.find_or_create(self._conference, wishes.profile)
        terms = Terms.of(conference)
        leg = its.engine.create_leg(
            conference.mix, None, media_host(host, its.calls.media_addresses.family(host, None))
        )
        try:
            offer = None if wishes.late_offer else its.calls.offer(terms, leg, host)
            session = its.sip.user_agent.invite(
                found.uri.replaced(headers={}) if found.uri.headers else found.uri,
                sdp=offer.to_bytes() if offer is not None else None,
                from_=self._from(found, flow),
                flow=flow,
                credentials=found.credentials,
                now=float(its.reactor.seconds()),
            )
        except Exception:
            leg.close()
            raise
        route = Route(self._conference, wishes.profile, {**wishes.flags, "auth": True})
        caller = self._target.caller
        self._call = its.calls.begin(Call(its.calls, session, route, leg, caller, terms, local=offer, placer=self))
        log.info(
            "call to {uri} at {host}{trunk}: conference {conference}",
            call_id=session.call_id,
            uri=found.uri,
            host=host,
            trunk=f" (trunk {found.trunk})" if found.trunk else "",
            conference=self._conference,
        )

    def _from(self, found: Destination, flow: Flow) -> Address:
        """Who calls: as is wished, or as the trunk wants it, or the conference."""
        domain = found.from_.uri.host if found.from_ is not None else flow.local[0]
        if not self._wishes.caller_id:
            return found.from_ or Address(URI("sip", user=self._conference, host=domain))
        wished = Target.parse(self._wishes.caller_id)
        return Address(URI("sip", user=wished.where, host=domain), wished.name or None)

    # What becomes of it

    def progress(self, event: Progress) -> None:
        """See Placer."""
        self._heard = True
        call = self._call
        if call is None or self._giving_up is not None:
            return
        if event.status >= 180 and self.state == "calling":
            self.state = "ringing"
            self._told(self)
        if self._wishes.early:
            self._hear_early(call, event.sdp)

    def _hear_early(self, call: Call, sdp: bytes | None) -> None:
        """What comes before the answer is for the conference to hear; nothing of the conference goes there."""
        try:
            if sdp is not None:
                call.hear_early(SessionDescription.parse(sdp))
        except (RemoteProtocolError, PortError) as fault:
            log.info("no early sound: {fault}", call_id=call.call_id, fault=str(fault))
            return
        conference = self._outbound.calls.conferences.get(self._conference)
        if call.answered and conference is not None and call.leg.mix is None:
            call.leg.deaf = True
            call.leg.attach(conference.mix)
            call.leg.speaker = True

    def answered(self) -> None:
        """See Placer."""
        call = self._call
        if call is None or self._giving_up is not None:
            return
        self._stop_timer()
        call.leg.attach(None)
        call.leg.speaker = call.leg.deaf = False
        if self._wishes.confirm:
            self._ask(call)
        else:
            self._join(call)

    def _ask(self, call: Call) -> None:
        """Only who presses the key comes in."""
        its, wishes = self._outbound, self._wishes
        try:
            conference = its.calls.conferences.find_or_create(self._conference, wishes.profile)
        except ConferenceError as fault:
            self._refused(call, str(fault))
            return
        self.state = "confirming"
        self._told(self)
        announcer = Announcer(call.leg, conference.sound)
        menu = ConfirmMenu(its.reactor, announcer, conference.profile.member_invited, self._confirmed)
        if self._over is not None:
            self._menu = menu
            call.leg.on_digit = menu.digit

    def _confirmed(self, wanted: bool) -> None:
        call = self._call
        if call is None:
            return
        call.leg.on_digit = None
        if wanted:
            self._join(call)
        else:
            self.cancel(Result.NOT_CONFIRMED)

    def _join(self, call: Call) -> None:
        try:
            call.confirm()
        except (ConferenceError, OutOfRows) as fault:
            self._refused(call, str(fault))
            return
        if call.member is not None:
            call.placer = None
            self._finish(Outcome(Result.ANSWERED, 200, "", call.call_id, call.member.id))

    def _refused(self, call: Call, why: str) -> None:
        self._giving_up = Result.REFUSED
        call.hangup(why)

    def ended(self, reason: str, event: Ended | None) -> None:
        """See Placer."""
        call, self._call = self._call, None
        if call is None or self._over is None:
            return
        call_id = call.call_id
        if self._giving_up is not None:
            why = reason if self._giving_up is Result.REFUSED else ""
            self._finish(Outcome(self._giving_up, reason=why, call_id=call_id))
            return
        outcome = outcome_of(reason, event, self.state, call_id)
        response = event.response if event is not None else None
        if response is not None and 300 <= response.status < 400:
            self._redirect(response.contacts, outcome)
        elif outcome.elsewhere and not self._heard and self._ways:
            self._next(outcome.reason)
        else:
            self._follow(outcome)

    def _redirect(self, contacts: object, outcome: Outcome) -> None:
        """A 3xx names others who are to be called in its place, if we may (RFC 3261 section 8.1.3.4)."""
        named = redirections(contacts) if isinstance(contacts, list) else []
        for uri in named:
            if str(uri) not in self._seen and len(self._seen) <= MOST_REDIRECTIONS:
                self._seen.add(str(uri))
                self._redirected.append(uri)
        self._ways.clear()
        self._follow(outcome)

    def _finish(self, outcome: Outcome) -> None:
        self._stop_timer()
        if self._menu is not None:
            self._menu.close()
            self._menu = None
        self._call = None
        over, self._over = self._over, None
        if over is not None:
            over(outcome)

    def _stop_timer(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
