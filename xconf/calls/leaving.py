"""How all calls of a node end: at once, when it stops; or one after the other, when it is drained first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xconf.calls.outbound_transfer import TransferError, Transferred
from xconf.calls.placement import Elsewhere
from xconf.conference.conference import AT_ONCE
from xconf.conference.member import Member, Reason
from xconf.sip.uri import URI

if TYPE_CHECKING:
    from xconf.calls.call import Call
    from xconf.calls.inbound import Calls

log = Logger()

HANG_UP_WITHIN = 8.0  # s that the calls of a server that stops may take: supervisors kill after 10 s or later
LOOK_EVERY = 0.2  # s between two looks of a drain
MOVED_AT_ONCE = 5  # telephones that are told to go in one look: 25 a second


def hang_up_all(reactor: Any, calls: Calls) -> Deferred[None]:
    """BYE to all, some in each turn of the reactor. Fires when no call is left, or there is no more time for them."""
    done: Deferred[None] = Deferred()
    _hang_up_some(reactor, calls, reactor.seconds() + HANG_UP_WITHIN, done)
    return done


def _hang_up_some(reactor: Any, calls: Calls, latest: float, done: Deferred[None]) -> None:
    for call in tuple(islice(calls, AT_ONCE)):
        calls.careful(call, call.hangup, Reason.STOPPED)
    if len(calls) and reactor.seconds() < latest:
        reactor.callLater(0, _hang_up_some, reactor, calls, latest, done)
        return
    if len(calls):
        log.warn("no time to hang up {calls} calls", calls=len(calls))
    done.callback(None)


@dataclass
class Away:
    """A node that takes no new calls. targets: SIP URIs of nodes that do, without a user; they are named in turns. Without
    them it is the calls' placement, if there is one, that knows such nodes.
    """

    targets: Sequence[URI] = ()
    _turns: Iterator[URI] = field(init=False)

    def __post_init__(self) -> None:
        self._turns = cycle(self.targets)

    def next(self) -> Elsewhere:
        """Where a call goes now. There are targets."""
        uri = next(self._turns)
        return Elsewhere(str(uri), uri, "this node is being drained", chosen=False)


class Drain:
    """Empties a node: new calls are refused or sent on, those that are up end by themselves or are moved. `empty` is called
    when no call is left, or when it has taken too long.
    """

    def __init__(self, reactor: Any, calls: Calls, empty: Callable[[], None]) -> None:
        self.moved = self.stayed = 0
        self._calls = calls
        self._empty = empty
        self._waiting: deque[Call] = deque()
        self._latest: float | None = None
        self._loop = LoopingCall(self._look)
        self._loop.clock = reactor

    @property
    def active(self) -> bool:
        return self._calls.away is not None

    @property
    def summary(self) -> str:
        """In a few words; empty when there is no drain."""
        away = self._calls.away
        if away is None:
            return ""
        left = "" if self._latest is None else f", the rest in {max(0, round(self._latest - self._calls.seconds()))} s"
        targets = self._targets(away)
        if not targets:
            return f"{len(self._calls)} calls to end{left}"
        return f"{len(self._calls)} calls to move to {targets}: {self.moved} moved, {self.stayed} would not{left}"

    def _targets(self, away: Away) -> str:
        """Where calls are moved to, for people; empty: nowhere."""
        if away.targets or self._calls.placement is None:
            return ", ".join(map(str, away.targets))
        return ", ".join(self._calls.placement.open()) or "another node, when one has room"

    def begin(self, seconds: float | None = None, targets: Sequence[URI] = ()) -> None:
        """seconds: after which the calls that are left no longer count. Again: with other words from now on."""
        self._calls.away = Away(targets)
        self._latest = None if seconds is None else self._calls.seconds() + seconds
        self.moved = self.stayed = 0
        moves = targets or self._calls.placement is not None
        # Whom we called ourselves knows no number to call us by.
        self._waiting = deque(call for call in self._calls if call.number) if moves else deque()
        if not self._loop.running:
            self._loop.start(LOOK_EVERY, now=False)
        log.info("draining: {summary}", summary=self.summary)

    def end(self) -> None:
        """New calls are taken again. Telephones that have been told to go may still do so."""
        self._calls.away, self._latest = None, None
        self._waiting.clear()
        if self._loop.running:
            self._loop.stop()

    def stop(self) -> None:
        """The server stops: nothing more is done, and calls go on being refused."""
        if self._loop.running:
            self._loop.stop()

    def _look(self) -> None:
        if not len(self._calls) or (self._latest is not None and self._calls.seconds() >= self._latest):
            log.info("drained: {calls} calls left", calls=len(self._calls))
            self._loop.stop()
            self._empty()
            return
        if self._anybody_there():
            for call in [self._waiting.popleft() for _ in range(min(MOVED_AT_ONCE, len(self._waiting)))]:
                self._calls.careful(call, self._move, call)

    def _anybody_there(self) -> bool:
        """Whether a node is known that takes calls now."""
        away, placement = self._calls.away, self._calls.placement
        return (away is not None and bool(away.targets)) or (placement is not None and bool(placement.open()))

    def _move(self, call: Call) -> None:
        away = self._calls.away
        if call.session.ended or away is None:
            return
        if call.member is None or call.transferring is not None:
            self._waiting.append(call)  # not up yet, or on its way elsewhere
            return
        other = away.next() if away.targets else self._chosen(call)
        if other is None:
            self._waiting.append(call)  # until a node has room
            return
        call.transfer(str(self._way(call, call.member, other)), Reason.MOVED).addCallbacks(self._went, self._not_begun)

    def _way(self, call: Call, member: Member, other: Elsewhere) -> URI:
        """What its telephone is to call, to be there what it is here."""
        uri = call.front or other.address(call.number)
        moves = self._calls.moves
        if moves is None or not member.hears:
            return uri
        return moves.seal(uri, member, call.session.remote.uri)

    def _chosen(self, call: Call) -> Elsewhere | None:
        placement, member = self._calls.placement, call.member
        if placement is None or member is None:
            return None
        return placement.choose(member.conference.name, member.settings.speaker, call.call_id, closed=True)

    def _went(self, outcome: Transferred) -> None:
        self.moved += outcome.done
        self.stayed += not outcome.done

    def _not_begun(self, failure: Failure) -> None:
        failure.trap(TransferError)
        self.stayed += 1
