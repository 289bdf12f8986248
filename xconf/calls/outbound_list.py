"""Invitations: who is to be called into a conference, at which pace, how often; and what came of each."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xconf.calls.outbound import Attempt, Outbound
from xconf.calls.outbound_results import Outcome
from xconf.calls.outbound_rules import Target
from xconf.calls.trunk import TrunkError
from xconf.conference import events
from xconf.conference.errors import CommandError, near
from xconf.conference.invitation import Request, Result, Row, Wishes
from xconf.conference.stream import Stream
from xconf.conference.turns import Turns, each

log = Logger()

KEPT = 1000  # invitations that are over
LOOK_AGAIN = 1.0  # s, while the server has no room for calls
PATIENCE = 60.0  # s that an invitation waits for room


@dataclass(frozen=True, slots=True)
class Limits:
    """rate: calls a second of all lists; at_once: that are not answered yet; pending: invitations that are not over."""

    rate: float = 5.0
    at_once: int = 50
    pending: int = 1000


@dataclass(slots=True, eq=False)
class Invitation:
    """One who is to be called. due: when, the next time; state: waiting, calling, ringing, confirming, or its result."""

    number: int
    conference: str
    target: Target
    wishes: Wishes
    by: str
    began: float
    due: float
    state: str = "waiting"
    attempts: int = 0
    outcome: Outcome = field(default_factory=lambda: Outcome(Result.REFUSED))
    seconds: float = 0.0
    attempt: Attempt | None = None

    @property
    def over(self) -> bool:
        return self.state in list(Result)

    def row(self, now: float) -> Row:
        outcome = self.outcome if self.over else None
        return {
            "id": self.number,
            "conference": self.conference,
            "target": self.target.where,
            "name": self.target.name,
            "state": self.state,
            "status": outcome.status if outcome else 0,
            "reason": outcome.reason if outcome else "",
            "attempts": self.attempts,
            "seconds": round(self.seconds if self.over else now - self.began, 1),
            "member": outcome.member if outcome else "",
            "by": self.by,
        }


class Invitations:
    """See Inviter. lists: targets by the name of a list; usual: what is wished unless something else is."""

    def __init__(
        self, outbound: Outbound, stream: Stream, limits: Limits, usual: Wishes, lists: Mapping[str, Sequence[str]]
    ) -> None:
        self._outbound = outbound
        self._reactor = outbound.reactor
        self._stream = stream
        self._numbers = 0
        self._pending: dict[int, Invitation] = {}
        self._queue: list[tuple[float, int, Invitation]] = []
        self._at_work = 0
        self._free_at = 0.0  # when the pace allows the next call
        self._kept: OrderedDict[int, Invitation] = OrderedDict()
        self._timer: IDelayedCall | None = None
        self._stopped = False
        self.adopt(limits, usual, lists)
        stream.subscribe(self._happened)

    def adopt(self, limits: Limits, usual: Wishes, lists: Mapping[str, Sequence[str]]) -> None:
        """What the configuration says from now on."""
        self._limits, self._usual, self._lists = limits, usual, lists

    def stop(self) -> None:
        """No call is placed any more."""
        self._stopped = True
        for invitation in tuple(self._pending.values()):
            self._cancel(invitation)
        self._stop_timer()

    def __len__(self) -> int:
        """Those that are not over."""
        return len(self._pending)

    # What commands want

    def invite(self, conference: str, request: Request, by: str) -> Turns[list[Row]]:
        """See Inviter."""
        wishes = request.wishes(self._usual)
        targets = yield from self._targets(request.targets, wishes.trunk)
        if self._stopped:
            raise CommandError("the server is stopping")
        if len(self._pending) + len(targets) > self._limits.pending:
            raise CommandError(
                f"{len(self._pending)} invitations wait already; no more than invite.pending = {self._limits.pending}"
            )
        now = self._reactor.seconds()
        step = 1 / wishes.pace if wishes.pace else 0.0
        made = [
            self._add(conference, target, wishes, by, now, now + place * step) for place, target in enumerate(targets)
        ]
        self._go_on()
        return (yield from each(made, lambda invitation: invitation.row(now)))

    def _targets(self, words: Sequence[str], trunk: str) -> Turns[list[Target]]:
        """Whom they mean; lists are opened. Raises CommandError."""
        named: list[str] = []
        for word in words:
            name = word.removeprefix("@")
            if name != word and name not in self._lists:
                raise CommandError(f"no list '{name}' in invite.lists{near(name, self._lists)}")
            named += self._lists[name] if name != word else [word]

        def checked(text: str) -> Target:
            target = Target.parse(text)
            self._outbound.check(target, trunk)
            return target

        try:
            return (yield from each(list(dict.fromkeys(named)), checked))
        except TrunkError as fault:
            raise CommandError(str(fault)) from None

    def _add(self, conference: str, target: Target, wishes: Wishes, by: str, now: float, due: float) -> Invitation:
        self._numbers += 1
        made = Invitation(self._numbers, conference, target, wishes, by, now, due)
        self._pending[made.number] = made
        heapq.heappush(self._queue, (due, made.number, made))
        return made

    def cancel(self, which: str, conference: str | None = None) -> Turns[list[Row]]:
        """See Inviter."""
        those = [one for one in self._pending.values() if conference in (None, one.conference)]
        if which != "all":
            those = [one for one in those if str(one.number) == which]
            if not those:
                raise CommandError(f"no invitation {which} waits or rings{'' if conference is None else ' here'}")
        now = self._reactor.seconds()

        def cancelled(invitation: Invitation) -> Row:
            self._cancel(invitation)
            return invitation.row(now)

        return (yield from each(those, cancelled))

    def rows(self, conference: str | None = None) -> Turns[list[Row]]:
        """See Inviter."""
        now = self._reactor.seconds()
        every = sorted([*self._kept.values(), *self._pending.values()], key=lambda one: one.number)
        those = [one for one in every if conference in (None, one.conference)]
        return (yield from each(those, lambda one: one.row(now)))

    # Their pace

    def _go_on(self) -> None:
        """Place the calls that are due, as far as the pace and the room allow."""
        self._stop_timer()
        now, later = self._reactor.seconds(), 0.0
        while self._queue and not self._stopped:
            due, _, invitation = self._queue[0]
            if invitation.over:
                heapq.heappop(self._queue)
                continue
            if self._at_work >= self._limits.at_once:
                return  # the end of one of them goes on
            later = max(due, self._free_at)
            if later > now:
                break
            full = self._outbound.calls.full()
            if full is not None and now - due < PATIENCE:
                later = now + LOOK_AGAIN
                break
            heapq.heappop(self._queue)
            self._free_at = now + 1 / self._limits.rate
            if full is not None:
                self._over(invitation, Outcome(Result.REFUSED, reason=full))
            else:
                self._place(invitation)
        if self._queue and not self._stopped and self._timer is None:
            self._timer = self._reactor.callLater(max(0.0, later - now), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._go_on()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _place(self, invitation: Invitation) -> None:
        invitation.attempts += 1
        invitation.state = "calling"
        self._at_work += 1
        self._tell(events.InvitationCalling, invitation, attempt=invitation.attempts)
        attempt = Attempt(
            self._outbound,
            invitation.conference,
            invitation.target,
            invitation.wishes,
            lambda attempt: self._told(invitation, attempt),
            lambda outcome: self._ended(invitation, outcome),
        )
        invitation.attempt = attempt
        attempt.start()

    def _told(self, invitation: Invitation, attempt: Attempt) -> None:
        invitation.state = attempt.state
        if attempt.state == "ringing":
            self._tell(events.InvitationRinging, invitation)

    # Their end

    def _ended(self, invitation: Invitation, outcome: Outcome) -> None:
        """One attempt is over."""
        invitation.attempt = None
        self._at_work -= 1
        wishes = invitation.wishes
        if outcome.result in wishes.retry_on and invitation.attempts <= wishes.retries and not self._stopped:
            invitation.state = "waiting"
            invitation.due = self._reactor.seconds() + wishes.pause
            heapq.heappush(self._queue, (invitation.due, invitation.number, invitation))
        else:
            self._over(invitation, outcome)
        # Not at once: whoever ends many attempts is not to be held up by the next ones.
        if self._timer is None and not self._stopped:
            self._timer = self._reactor.callLater(0, self._wake)

    def _over(self, invitation: Invitation, outcome: Outcome) -> None:
        invitation.outcome = outcome
        invitation.state = outcome.result.value
        invitation.seconds = self._reactor.seconds() - invitation.began
        self._pending.pop(invitation.number, None)
        self._kept[invitation.number] = invitation
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        self._tell(
            events.InvitationEnded,
            invitation,
            result=outcome.result.value,
            status=outcome.status,
            reason=outcome.reason,
            attempts=invitation.attempts,
            seconds=round(invitation.seconds, 3),
            member=outcome.member,
            call_id=outcome.call_id,
        )

    def _cancel(self, invitation: Invitation) -> None:
        if invitation.attempt is not None:
            invitation.attempt.cancel()
        elif not invitation.over:
            self._over(invitation, Outcome(Result.CANCELLED))

    def _happened(self, event: events.Event) -> None:
        """Nobody is called into a conference that somebody has ended."""
        if isinstance(event, events.ConferenceEnded) and not event.reason.startswith("empty"):
            for invitation in [one for one in self._pending.values() if one.conference == event.conference]:
                self._cancel(invitation)

    def _tell(self, kind: type[events.InvitationEvent], invitation: Invitation, **fields: Any) -> None:
        self._stream.publish(
            kind,
            conference=invitation.conference,
            invitation=invitation.number,
            target=invitation.target.where,
            by=invitation.by,
            **fields,
        )
