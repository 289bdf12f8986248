"""A call that has come in and is not answered yet: from where, whose it is, and whether that is believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from twisted.logger import Logger

from xconf.calls.identity import dialled
from xconf.calls.placed import HEADER
from xconf.calls.trunk import Trunk
from xconf.sip.digest import Outcome
from xconf.sip.message import Request
from xconf.sip.session import Session

if TYPE_CHECKING:
    from xconf.calls.inbound import Calls

log = Logger()

_TEXT_LIMIT = 64
_WHY = "it has not our secret, is of another call, came before, or is a minute off by our clock"


@dataclass(slots=True)
class Arrival:
    """host: the address that it comes from; trunk: whose it is, None for none; by: the node that has forwarded it, and knows
    who calls; "" for none.
    """

    session: Session
    request: Request
    host: str
    trunk: Trunk | None
    by: str = ""

    @property
    def number(self) -> str:
        """That was dialled."""
        return dialled(self.request, self.trunk.username if self.trunk else "")


def arrived(calls: Calls, session: Session, request: Request) -> Arrival | None:
    """None: the caller has been answered."""
    forwarding = calls.forwarding
    placed = forwarding.placements.open(request) if forwarding is not None else None
    if placed is None:
        if HEADER in request.headers:
            calls.counters["not_believed"] += 1
            log.info("not believed to be forwarded by a node: {why}", call_id=session.call_id, why=_WHY)
        return Arrival(session, request, session.flow.remote[0], calls.access.trunk_of(request, session.flow))
    call = Arrival(session, request, placed.host, None, placed.by)
    if placed.trunk:
        call.trunk = calls.access.trunk_named(placed.trunk)
        if call.trunk is None:
            calls.refuse(
                call, 503, f"{placed.by} has forwarded a call of trunk {placed.trunk}, which is not known here"
            )
            return None
    return call


def authenticated(calls: Calls, call: Arrival) -> bool:
    """Whether it is known who calls; else the caller has been answered."""
    if call.by or call.trunk is not None or calls.access.trusts(call.host):
        return True
    if not calls.access.users:
        calls.refuse(call, 403, f"{call.host} is not in sip.allow or sip.trunks, and there are no sip.users")
        return False
    now = calls.seconds()
    verdict = calls.challenger.verify(call.request, calls.access.users.get, now)
    if verdict.outcome is Outcome.DENIED:
        calls.counters["wrong_password"] += 1
        log.warn(
            "wrong user or password from {host}: {user!r}",
            call_id=call.session.call_id,
            host=call.host,
            user=(verdict.username or "")[:_TEXT_LIMIT],
        )
    if not verdict.accepted:
        calls.counters["challenged"] += 1
        call.session.challenge(calls.challenger.challenge(now, stale=verdict.stale), now)
        return False
    call.trunk = calls.access.trunk_of_user(verdict.username or "")
    return True
