"""Referrals between two user agents: REFER, its subscription, and what NOTIFY tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sip_world import Network, World, drops

from xconf.sip.errors import LocalProtocolError
from xconf.sip.events import Ended, ReferralNews, Referred
from xconf.sip.message import Request
from xconf.sip.session import Session
from xconf.sip.uri import URI

CAT = URI.parse("sip:cat@192.0.2.3")


class Pair:
    """Ann has called Bob."""

    def __init__(self, network: Network | None = None) -> None:
        self.world = World(network)
        self.ann, self.bob = self.world.node("ann"), self.world.node("bob")
        self.session = self.ann.call(self.bob)
        self.world.run(1)
        assert self.session.up

    @property
    def bobs(self) -> Session:
        return next(iter(self.bob.ua.sessions))

    def refer(self) -> None:
        self.session.referrals.refer(CAT, self.world.now)
        self.ann.flush()
        self.world.run(0.5)

    def tell(self, *told: tuple[int, str]) -> None:
        for status, reason in told:
            self.bobs.referrals.notify(status, reason, self.world.now)
            self.bob.flush()
            self.world.run(0.5)

    @property
    def news(self) -> list[tuple[int, bool]]:
        return [(event.status, event.over) for event in self.ann.seen(ReferralNews)]

    def close(self) -> None:
        self.session.hangup(self.world.now)
        self.ann.flush()
        self.world.settle()


def accepting(pair: Pair) -> None:
    pair.bob.on[Referred] = lambda event: event.session.referrals.accept(pair.world.now)


def notifies(pair: Pair) -> list[Request]:
    return [message for message in pair.world.sent("NOTIFY", by="bob") if isinstance(message, Request)]


def test_a_referral_is_accepted_and_told_of_to_its_end() -> None:
    pair = Pair()
    accepting(pair)
    pair.refer()
    (refer,) = pair.world.sent("REFER")
    assert refer.headers.get("Refer-To") == "<sip:cat@192.0.2.3>"
    assert refer.headers.get("Referred-By") == "<sip:ann@example.com>"
    assert pair.bob.seen(Referred)[0].target == CAT
    pair.tell((180, "Ringing"), (200, "OK"))
    assert pair.news == [(100, False), (180, False), (200, True)]
    first, _, last = notifies(pair)
    assert first.headers.get("Event") == "refer"
    assert (first.headers.get("Subscription-State") or "").startswith("active;expires=")
    assert (first.headers.get("Content-Type") or "").startswith("message/sipfrag")
    assert first.body == b"SIP/2.0 100 Trying\r\n"
    assert last.headers.get("Subscription-State") == "terminated;reason=noresource"
    pair.tell((486, "Busy Here"))  # nobody listens any more
    assert len(notifies(pair)) == 3
    pair.close()


def test_the_second_referral_of_a_dialog_has_an_id() -> None:
    pair = Pair()
    accepting(pair)
    for _ in range(2):
        pair.refer()
        pair.tell((603, "Decline"))
    assert [status for status, over in pair.news if over] == [603, 603]
    refer = pair.world.sent("REFER")[1]
    assert notifies(pair)[-1].headers.get("Event") == f"refer;id={refer.cseq.number}"
    pair.close()


@pytest.mark.parametrize("status", [403, 405, 603])
def test_a_referral_that_is_refused(status: int) -> None:
    pair = Pair()
    pair.bob.on[Referred] = lambda event: event.session.referrals.refuse(status, pair.world.now)
    pair.refer()
    assert pair.news == [(status, True)]
    assert notifies(pair) == []
    pair.close()


def test_one_at_a_time() -> None:
    pair = Pair()
    accepting(pair)
    pair.refer()
    with pytest.raises(LocalProtocolError):
        pair.session.referrals.refer(CAT, pair.world.now)
    # another telephone would not keep to that
    request = pair.session.request("REFER")
    request.headers.add("Refer-To", "<sip:dan@192.0.2.4>")
    statuses: list[int] = []
    pair.session.send(request, lambda outcome, now: statuses.append(getattr(outcome, "status", 0)), pair.world.now)
    pair.ann.flush()
    pair.world.run(1)
    assert statuses == [500]
    pair.close()


def test_lost_messages_come_again() -> None:
    for lost in ("REFER", "SIP/2.0 202", "NOTIFY", "SIP/2.0 200"):
        pair = Pair()
        accepting(pair)
        pair.world.network.loses = drops(lost, 1)
        pair.refer()
        pair.world.run(2)
        pair.tell((200, "OK"))
        pair.world.run(5)
        assert pair.news[-1] == (200, True), lost
        pair.close()


def test_a_referral_that_nobody_tells_of_is_over_after_some_minutes() -> None:
    pair = Pair()
    accepting(pair)
    pair.refer()
    pair.world.run(300)
    assert pair.news == [(100, False), (408, True)]
    pair.tell((200, "OK"))  # too late, and answered all the same
    assert pair.news[-1] == (408, True)
    assert pair.session.up
    pair.close()


def test_who_wants_no_news_gets_none() -> None:
    """RFC 4488."""
    pair = Pair()
    accepting(pair)
    pair.session.referrals.refer(CAT, pair.world.now, [("Refer-Sub", "false")])
    pair.ann.flush()
    pair.world.run(1)
    assert notifies(pair) == []
    assert pair.news == [(202, True)]
    pair.close()


def test_the_end_of_the_call_ends_its_referrals() -> None:
    pair = Pair()
    accepting(pair)
    pair.refer()
    pair.session.hangup(pair.world.now)
    pair.ann.flush()
    pair.world.run(1)
    assert len(pair.bob.seen(Ended)) == 1
    pair.world.settle()
    assert pair.news == [(100, False)]


def test_a_referral_without_an_answer_ends_the_call() -> None:
    pair = Pair()
    pair.world.network.loses = drops("REFER")
    pair.refer()
    pair.world.run(40)
    assert pair.ann.endings == [("timeout", "local")]
    pair.world.settle()


def by_hand(pair: Pair, method: str, *headers: tuple[str, str], body: bytes = b"") -> int:
    """The answer of Ann to a request that Bob makes up."""
    request = pair.bobs.request(method)
    for name, value in headers:
        request.headers.add(name, value)
    request.body = body
    statuses: list[int] = []
    pair.bobs.send(request, lambda outcome, now: statuses.append(getattr(outcome, "status", 0)), pair.world.now)
    pair.bob.flush()
    pair.world.run(1)
    return statuses[-1]


FRAG = ("Content-Type", "message/sipfrag")


def test_what_makes_no_sense_is_told_so() -> None:
    pair = Pair()
    accepting(pair)
    assert by_hand(pair, "REFER") == 400
    assert by_hand(pair, "REFER", ("Refer-To", "<nonsense")) == 400
    assert by_hand(pair, "NOTIFY", ("Event", "refer")) == 481
    assert by_hand(pair, "NOTIFY", ("Event", "conference")) == 489
    assert by_hand(pair, "NOTIFY") == 489
    pair.refer()
    assert by_hand(pair, "NOTIFY", ("Event", "refer;id=99999")) == 481
    assert by_hand(pair, "NOTIFY", ("Event", "refer"), FRAG, body=b"\xff\x00nonsense") == 200
    assert by_hand(pair, "NOTIFY", ("Event", "Refer"), FRAG, body=b"SIP/2.0 183\r\n") == 200
    assert pair.news == [(100, False), (183, False)]
    terminated = ("Subscription-State", "terminated;reason=timeout")
    assert by_hand(pair, "NOTIFY", ("Event", "refer"), FRAG, terminated) == 200
    assert pair.news[-1] == (408, True)
    pair.close()


def test_a_notify_that_overtakes_the_202_counts() -> None:
    pair = Pair()
    accepting(pair)
    pair.world.network.loses = drops("SIP/2.0 202", 1)  # it is sent again, behind the NOTIFY
    pair.session.referrals.refer(CAT, pair.world.now)
    pair.ann.flush()
    pair.world.run(0.1)
    pair.tell((200, "OK"))
    pair.world.run(5)
    assert pair.news == [(100, False), (200, True)]
    pair.close()


def test_who_refuses_to_be_told_is_told_no_more() -> None:
    pair = Pair()
    accepting(pair)
    pair.refer()
    pair.session.referrals._own_id = "0"  # Ann has forgotten it, and answers 481
    subscription = pair.bobs.referrals._subscription
    assert subscription is not None
    pair.bobs.referrals._subscription = replace(subscription, name="refer;id=77")
    before = len(notifies(pair))
    pair.tell((180, "Ringing"), (180, "Ringing"))
    assert len(notifies(pair)) == before + 1
    assert pair.bob.seen(Ended) == []
    pair.close()
