"""Calls that are moved: a telephone that is told to call somebody else, and one that wants us to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from calls_world import Office, Phone

from xconf.calls.call import Call
from xconf.calls.outbound_transfer import TransferError, Transferred
from xconf.conference import events
from xconf.conference.commands import Reply
from xconf.conference.dispatch import dispatch
from xconf.sip.events import Event, ReferralNews, Referred
from xconf.sip.uri import URI


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


class Movable:
    """Ann's call, and what her telephone says when she is told to call somebody else."""

    def __init__(self, office: Office) -> None:
        self.office = office
        (self.ann,) = office.phones_in(1)
        (member,) = office.conferences.named("3000").members.values()
        assert isinstance(member.call, Call)
        self.call = member.call
        self.results: list[Any] = []
        self.targets: list[URI] = []
        self.react: Callable[[Referred], None] = lambda event: event.session.referrals.accept(office.now)
        usual = self.ann._handle

        def handle(event: Event) -> None:
            if isinstance(event, Referred):
                self.targets.append(event.target)
                self.react(event)
            else:
                usual(event)

        self.ann.sip.handle = handle

    def transfer(self, target: str = "sip:cat@127.0.0.9") -> None:
        self.call.transfer(target).addCallbacks(self.results.append, lambda failure: self.results.append(failure.value))
        self.office.run(0.2)

    def tell(self, status: int, reason: str) -> None:
        self.ann.up.referrals.notify(status, reason, self.office.now)
        self.ann.sip.pump()
        self.office.run(0.2)


@pytest.mark.parametrize(
    ("status", "reason", "gone"), [(200, "OK", True), (486, "Busy Here", False)], ids=["answered", "busy"]
)
def test_a_command_has_the_telephone_call_somebody_else(office: Office, status: int, reason: str, gone: bool) -> None:
    moved = Movable(office)
    assert moved.call.member is not None
    name = moved.call.member.id
    result = dispatch(office.conferences, f"3000 member {name} exec transfer sip:cat@127.0.0.9")
    told: list[str] = []
    assert result.later is not None
    result.later.then(lambda outcome: told.append(outcome.text if isinstance(outcome, Reply) else str(outcome)))
    office.run(0.2)
    assert [str(uri) for uri in moved.targets] == ["sip:cat@127.0.0.9"]
    assert told == []
    moved.tell(status, reason)
    assert told == [f"{name} has gone to sip:cat@127.0.0.9" if gone else "sip:cat@127.0.0.9: 486 Busy Here"]
    assert moved.ann.up.ended is gone


def test_who_has_reached_somebody_else_leaves(office: Office) -> None:
    moved = Movable(office)
    moved.transfer()
    assert [str(uri) for uri in moved.targets] == ["sip:cat@127.0.0.9"]
    moved.tell(180, "Ringing")
    assert moved.results == [] and not moved.ann.up.ended
    moved.tell(200, "OK")
    assert moved.results == [Transferred(200, "OK")]
    assert moved.ann.up.ended
    (left,) = [event for event in office.events if isinstance(event, events.MemberLeft)]
    assert left.reason == "transferred"


@pytest.mark.parametrize("status", [486, 603])
def test_who_reaches_nobody_stays(office: Office, status: int) -> None:
    moved = Movable(office)
    moved.transfer()
    moved.tell(status, "No")
    assert moved.results == [Transferred(status, "No")]
    assert len(office.conferences.named("3000").members) == 1
    moved.transfer()  # and may be sent elsewhere
    assert len(moved.targets) == 2


def test_a_telephone_that_does_not_want_to_stays(office: Office) -> None:
    moved = Movable(office)
    moved.react = lambda event: event.session.referrals.refuse(405, office.now)
    moved.transfer()
    assert [result.status for result in moved.results] == [405]
    assert not moved.ann.up.ended


def test_a_telephone_that_hangs_up_on_its_way_has_gone_there(office: Office) -> None:
    moved = Movable(office)
    moved.transfer()
    moved.ann.hang_up()
    office.run(0.2)
    assert moved.results == [Transferred(202, "gone there")]


def test_a_telephone_that_says_nothing_stays(office: Office) -> None:
    moved = Movable(office)
    moved.transfer()
    office.sleep(300)
    assert [result.status for result in moved.results] == [408]
    assert not moved.ann.up.ended


def test_what_cannot_be_begun_is_told_so(office: Office) -> None:
    moved = Movable(office)
    for target in ("nonsense", "tel:110", "sip:"):
        moved.transfer(target)
        assert isinstance(moved.results[-1], TransferError), target
    moved.transfer()
    moved.transfer()
    assert str(moved.results[-1]) == "the call is being transferred already"
    moved.tell(200, "OK")
    moved.transfer()
    assert str(moved.results[-1]) == "the call is not up"
    assert len(moved.targets) == 1


def test_nobody_can_have_us_call_others(office: Office) -> None:
    """A call could else be made at our cost by whoever may call."""
    phone: Phone = office.phone().call()
    phone.up.referrals.refer(URI.parse("sip:0900@127.0.0.9"), office.now)
    phone.sip.pump()
    office.run(0.2)
    assert [event.status for event in phone.events if isinstance(event, ReferralNews)] == [403]
    assert office.sent("INVITE") == []
    assert not phone.up.ended
