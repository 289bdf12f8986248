"""Calls between two user agents in virtual time: every way to begin, change and end one, and that nothing is left."""

from __future__ import annotations

import random

import pytest
from sip_world import ANSWER, NOTHING, OFFER, OTHER_OFFER, Network, Node, World, drops

from xconf.sip.errors import LocalProtocolError
from xconf.sip.message import Request, Response
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.useragent import (
    AnswerArrived,
    Answered,
    Cause,
    ChangeRefused,
    Confirmed,
    InfoReceived,
    Invited,
    Offered,
    Progress,
)


def pair(network: Network | None = None, **settings: float) -> tuple[World, Node, Node]:
    world = World(network)
    chosen = Settings(**settings)  # type: ignore[arg-type]
    return world, world.node("ann", chosen), world.node("bob", chosen)


def connect(world: World, ann: Node, bob: Node) -> tuple[Session, Session]:
    """A call that is up: Ann's session and Bob's."""
    ours = ann.call(bob)
    world.run(1)
    assert ann.seen(Answered) and bob.seen(Confirmed)
    return ours, bob.seen(Invited)[-1].session


def ringing(bob: Node) -> None:
    bob.on[Invited] = lambda event: event.session.ring(now=bob.now)


def test_a_call_and_its_end() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    assert [type(event) for event in ann.events] == [AnswerArrived, Answered]
    assert ann.seen(AnswerArrived)[0].sdp == ANSWER
    assert bob.seen(Invited)[0].request.body == OFFER
    assert (ours.call_id, ours.local.tag, ours.remote.tag) == (theirs.call_id, theirs.remote.tag, theirs.local.tag)
    ours.hangup(world.now)
    world.run(1)
    assert (ann.endings, bob.endings) == ([("local", "local")], [("bye", "remote")])
    assert [message.start_line() for _, _, _, message in world.wire] == [
        "INVITE sip:bob@192.0.2.2:5060 SIP/2.0",
        "SIP/2.0 200 OK",
        "ACK sip:bob@192.0.2.2:5060 SIP/2.0",
        "BYE sip:bob@192.0.2.2:5060 SIP/2.0",
        "SIP/2.0 200 OK",
    ]
    world.settle()


def test_the_called_side_hangs_up() -> None:
    world, ann, bob = pair()
    _, theirs = connect(world, ann, bob)
    theirs.hangup(world.now, [("Reason", 'Q.850;cause=16;text="over"')])
    theirs.hangup(world.now)
    world.run(1)
    assert (ann.endings, bob.endings) == ([("bye", "remote")], [("local", "local")])
    (bye,) = world.sent("BYE")
    assert bye.headers.get("Reason") == 'Q.850;cause=16;text="over"'
    world.settle()


def test_both_hang_up_at_once() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    ours.hangup(world.now)
    theirs.hangup(world.now)
    world.settle()
    assert (ann.endings, bob.endings) == ([("local", "local")], [("local", "local")])


def test_ringing_early_media_and_a_refusal() -> None:
    world, ann, bob = pair()

    def ring(event: Invited) -> None:
        event.session.ring(183, sdp=ANSWER, now=world.now)
        event.session.ring(now=world.now)

    bob.on[Invited] = ring
    ann.call(bob)
    world.run(5)
    bob.seen(Invited)[0].session.refuse(486, "Busy With Bees", [("Retry-After", "60")], now=world.now)
    world.run(1)
    assert [(event.status, event.sdp) for event in ann.seen(Progress)] == [(183, ANSWER), (180, None)]
    assert ann.endings == [("rejected", "remote")]
    (response,) = (message for message in world.sent("SIP/2.0 486") if isinstance(message, Response))
    assert (response.reason, response.headers.get("Retry-After")) == ("Busy With Bees", "60")
    assert bob.endings == [("rejected", "local")]
    world.settle()


def test_a_call_that_rings_long_is_kept_alive_for_proxies() -> None:
    world, ann, bob = pair()
    ringing(bob)
    ann.call(bob)
    world.run(150)
    assert world.times("SIP/2.0 180") == [0.01, 60.01, 120.01]
    bob.seen(Invited)[0].session.accept(ANSWER, world.now)
    world.run(1)
    assert ann.seen(Answered)
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


def test_nobody_answers_so_the_caller_gives_up() -> None:
    world, ann, bob = pair(ring_timeout=30.0)
    ringing(bob)
    ann.call(bob)
    world.settle()
    assert (ann.endings, bob.endings) == ([("timeout", "local")], [("cancelled", "remote")])


def test_nobody_is_there() -> None:
    world, ann, bob = pair(Network(loss=1.0))
    ann.call(bob)
    world.run(31.9)
    assert not ann.endings
    world.run(0.2)
    assert ann.endings == [("timeout", "local")]
    assert len(world.sent("INVITE")) == 7
    world.settle()


# CANCEL


def test_cancel_before_anything_was_heard_waits_for_it() -> None:
    """Section 9.1: no CANCEL before a provisional response."""
    world, ann, bob = pair(Network(loses=drops("SIP/2.0 100", 2)))
    bob.on[Invited] = lambda event: None
    ann.call(bob).hangup(world.now)
    world.run(1)
    assert not world.sent("CANCEL")
    world.run(3)
    assert [message.start_line() for _, _, _, message in world.wire[-5:]] == [
        "SIP/2.0 100 Trying",
        "CANCEL sip:bob@192.0.2.2:5060 SIP/2.0",
        "SIP/2.0 200 OK",
        "SIP/2.0 487 Request Terminated",
        "ACK sip:bob@192.0.2.2:5060 SIP/2.0",
    ]
    assert (ann.endings, bob.endings) == ([("cancelled", "local")], [("cancelled", "remote")])
    world.settle()


@pytest.mark.parametrize("lost", ["", "CANCEL", "SIP/2.0 487", "SIP/2.0 200"])
def test_cancel_while_it_rings(lost: str) -> None:
    world, ann, bob = pair(Network(loses=drops(lost, 2) if lost else lambda message, to: False))
    ringing(bob)
    ours = ann.call(bob)
    world.run(2)
    ours.hangup(world.now)
    ours.hangup(world.now)
    world.run(5)
    assert (ann.endings, bob.endings) == ([("cancelled", "local")], [("cancelled", "remote")])
    tags = {
        message.to.tag for message in world.sent("SIP/2.0", by="bob") if message.start_line() != "SIP/2.0 100 Trying"
    }
    assert len(tags) == 1
    world.settle()


def test_cancel_that_crosses_the_answer_becomes_a_bye() -> None:
    world, ann, bob = pair()
    ringing(bob)
    ours = ann.call(bob)
    world.run(2)
    bob.seen(Invited)[0].session.accept(ANSWER, world.now)
    ours.hangup(world.now)
    world.run(2)
    assert (ann.endings, bob.endings) == ([("cancelled", "local")], [("bye", "remote")])
    assert len(world.sent("CANCEL")) == len(world.sent("BYE")) == 1
    assert not world.sent("SIP/2.0 487")
    assert not ann.seen(Answered)
    world.settle()


def test_a_cancel_that_nobody_heeds_ends_the_call_here() -> None:
    world, ann, bob = pair(Network(loses=drops("CANCEL")))
    ringing(bob)
    ours = ann.call(bob)
    world.run(2)
    ours.hangup(world.now)
    world.run(33)
    assert ann.endings == [("cancelled", "local")]
    bob.seen(Invited)[0].session.refuse(486, now=world.now)
    world.settle()


def test_a_cancel_for_nothing_is_told_so() -> None:
    world, ann, bob = pair()
    connect(world, ann, bob)
    (invite,) = world.sent("INVITE")
    cancel = invite.to_bytes().replace(b"INVITE", b"CANCEL").replace(b"z9hG4bK", b"z9hG4bKx")
    bob.receive(cancel, ann.place)
    assert len(world.sent("SIP/2.0 481")) == 1
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


# What gets lost


def test_a_lost_200_is_sent_again() -> None:
    world, ann, bob = pair(Network(loses=drops("SIP/2.0 200", 3)))
    ann.call(bob)
    world.run(6)
    assert world.times("SIP/2.0 200") == [0.01, 0.51, 1.51, 3.51]
    assert len(bob.seen(Confirmed)) == len(ann.seen(Answered)) == 1
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


def test_a_lost_ack_is_sent_again_when_the_200_comes_again() -> None:
    world, ann, bob = pair(Network(loses=drops("ACK", 2)))
    ann.call(bob)
    world.run(6)
    acks = world.sent("ACK")
    assert len(acks) == 3
    assert len({ack.to_bytes() for ack in acks}) == 1
    assert len(bob.seen(Confirmed)) == len(ann.seen(Answered)) == 1
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


def test_a_call_without_any_ack_ends() -> None:
    """Section 13.3.1.4: the 2xx for 64 T1, then BYE."""
    world, ann, bob = pair(Network(loses=drops("ACK")))
    ann.call(bob)
    world.run(31.9)
    assert not bob.endings
    world.run(1)
    assert bob.endings == [("no_ack", "local")]
    assert ann.endings == [("bye", "remote")]
    assert world.times("SIP/2.0 200")[:11] == [0.01, 0.51, 1.51, 3.51, 7.51, 11.51, 15.51, 19.51, 23.51, 27.51, 31.51]
    world.settle()


def test_hanging_up_before_the_ack_waits_for_it() -> None:
    """Section 15: the called side sends no BYE before the ACK."""
    world, ann, bob = pair(Network(loses=drops("ACK", 2)))

    def accept_and_hang_up(event: Invited) -> None:
        event.session.accept(ANSWER, world.now)
        event.session.hangup(world.now, [("Reason", "SIP;cause=200")])

    bob.on[Invited] = accept_and_hang_up
    ann.call(bob)
    world.run(1)
    assert not world.sent("BYE")
    world.run(4)
    (bye,) = world.sent("BYE")
    assert bye.headers.get("Reason") == "SIP;cause=200"
    assert not bob.seen(Confirmed)
    assert (ann.endings, bob.endings) == ([("bye", "remote")], [("local", "local")])
    world.settle()


def test_hanging_up_before_the_ack_happens_in_the_end_without_it() -> None:
    world, ann, bob = pair(Network(loses=drops("ACK")))
    ann.call(bob)
    world.run(1)
    bob.seen(Invited)[0].session.hangup(world.now)
    world.settle()
    assert bob.endings == [("local", "local")]
    assert len(world.sent("BYE")) == 1


def test_a_peer_that_is_gone_is_noticed_by_options() -> None:
    world, ann, bob = pair()
    _, theirs = connect(world, ann, bob)
    theirs.options(world.now)
    world.run(1)
    assert not bob.endings
    world.network.loss = 1.0
    theirs.options(world.now)
    theirs.options(world.now)
    world.run(31)
    assert not bob.endings
    world.run(2)
    assert bob.endings == [("timeout", "local")]
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


def test_a_peer_that_has_forgotten_the_call_is_noticed_by_options() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    ours.end(Cause.LOCAL, "local", world.now)  # as after a restart: without a word
    theirs.options(world.now)
    world.run(1)
    assert bob.endings == [("timeout", "remote")]
    assert not world.sent("BYE")
    world.settle()


# In the dialog


def test_info_comes_through_and_of_unknown_types_not() -> None:
    world, ann, bob = pair()
    ours, _ = connect(world, ann, bob)
    ours.info("application/dtmf-relay", b"Signal=5\r\n", world.now)
    ours.info("application/x-other", b"?", world.now)
    world.run(1)
    (event,) = bob.seen(InfoReceived)
    assert event.request.body == b"Signal=5\r\n"
    (refusal,) = world.sent("SIP/2.0 415")
    assert refusal.headers.get("Accept") == "application/dtmf-relay, application/dtmf"
    ours.hangup(world.now)
    world.settle()


def test_reinvite_both_ways() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    ours.reinvite(OTHER_OFFER, world.now)
    world.run(1)
    assert [event.offer_sdp for event in bob.seen(Offered)] == [OTHER_OFFER]
    assert len(ann.seen(AnswerArrived)) == 2
    theirs.reinvite(OTHER_OFFER, world.now)
    world.run(1)
    assert [event.offer_sdp for event in ann.seen(Offered)] == [OTHER_OFFER]
    assert len(bob.seen(AnswerArrived)) == 1
    assert len(bob.seen(Confirmed)) == 1
    assert len(world.sent("ACK")) == 3
    ours.hangup(world.now)
    world.settle()


def test_update_both_ways() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    ours.update(OTHER_OFFER, world.now)
    world.run(1)
    theirs.update(OTHER_OFFER, world.now)
    world.run(1)
    assert len(bob.seen(Offered)) == len(ann.seen(Offered)) == 1
    assert len(bob.seen(AnswerArrived)) == 1
    theirs.update(None, world.now)
    world.run(1)
    assert len(ann.seen(Offered)) == 1
    assert len(world.sent("ACK")) == 1
    ours.hangup(world.now)
    world.settle()


def test_a_change_that_is_refused_leaves_the_session_as_it_was() -> None:
    world, ann, bob = pair()
    ours, _ = connect(world, ann, bob)
    bob.on[Offered] = lambda event: event.session.refuse(488, now=world.now)
    for begin in (ours.reinvite, ours.update):
        begin(OTHER_OFFER, world.now)
        world.run(1)
    assert [(event.status, event.reason) for event in ann.seen(ChangeRefused)] == [(488, "Not Acceptable Here")] * 2
    assert not ann.endings
    assert not bob.endings
    ours.hangup(world.now)
    world.settle()


def test_one_change_at_a_time() -> None:
    world, ann, bob = pair()
    ours, _ = connect(world, ann, bob)
    bob.on[Offered] = lambda event: None
    ours.reinvite(OTHER_OFFER, world.now)
    with pytest.raises(LocalProtocolError):
        ours.update(OTHER_OFFER, world.now)
    world.run(1)
    with pytest.raises(LocalProtocolError):
        bob.seen(Offered)[0].session.reinvite(OTHER_OFFER, world.now)
    ours.hangup(world.now)
    world.settle()
    assert [message.cseq.method for message in world.sent("SIP/2.0 487")] == ["INVITE"]


def test_reinvites_that_cross_are_both_done_in_the_end() -> None:
    """Section 14.1: 491 both ways; the caller tries again after 2.1 to 4 s, the called side after up to 2 s."""
    for seed in range(20):
        world, ann, bob = pair()
        ann.ua.rng, bob.ua.rng = random.Random(seed), random.Random(seed + 100)
        ours, theirs = connect(world, ann, bob)
        ours.reinvite(OTHER_OFFER, world.now)
        theirs.reinvite(OTHER_OFFER, world.now)
        met = world.now
        world.run(10)
        assert len(world.sent("SIP/2.0 491")) >= 2
        again = {name: when - met for when, name, _, message in world.wire if message.start_line().startswith("INVITE")}
        assert 2.1 <= again["ann"] <= 4.1
        assert 0.0 < again["bob"] <= 2.1
        assert [event.offer_sdp for event in ann.seen(Offered)] == [OTHER_OFFER]
        assert [event.offer_sdp for event in bob.seen(Offered)] == [OTHER_OFFER]
        ours.hangup(world.now)
        world.settle()


def test_updates_that_cross() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    ours.update(OTHER_OFFER, world.now)
    theirs.update(OTHER_OFFER, world.now)
    world.run(10)
    assert len(ann.seen(Offered)) == len(bob.seen(Offered)) == 1
    ours.hangup(world.now)
    world.settle()


def test_a_reinvite_whose_ack_is_lost_for_good_ends_the_call() -> None:
    world, ann, bob = pair()
    ours, _ = connect(world, ann, bob)
    world.network.loses = drops("ACK")
    ours.reinvite(OTHER_OFFER, world.now)
    world.run(40)
    assert bob.endings == [("no_ack", "local")]
    world.settle()


def test_bye_while_a_reinvite_waits() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    bob.on[Offered] = lambda event: None
    ours.reinvite(OTHER_OFFER, world.now)
    world.run(1)
    theirs.hangup(world.now)
    world.settle()
    assert (ann.endings, bob.endings) == ([("bye", "remote")], [("local", "local")])
    assert len(world.sent("SIP/2.0 487")) == 1


def test_a_reinvite_can_be_cancelled() -> None:
    world, ann, bob = pair()
    ours, theirs = connect(world, ann, bob)
    bob.on[Offered] = lambda event: None
    ours.reinvite(OTHER_OFFER, world.now)
    world.run(1)
    invite = world.sent("INVITE")[-1]
    assert isinstance(invite, Request)
    cancel = invite.to_bytes().replace(b"INVITE", b"CANCEL").replace(OTHER_OFFER, b"").split(b"Content-Length")[0]
    bob.receive(cancel + b"Content-Length: 0\r\n\r\n", ann.place)
    world.run(1)
    assert len(world.sent("SIP/2.0 487")) == 1
    assert not bob.endings
    with pytest.raises(LocalProtocolError):
        theirs.accept(ANSWER, world.now)
    ours.hangup(world.now)
    world.settle()


# Late offers


def test_an_invite_without_offer_gets_ours_and_answers_in_the_ack() -> None:
    world, ann, bob = pair()
    ann.call(bob, sdp=None)
    world.run(1)
    assert [type(event) for event in ann.events] == [Offered, Answered]
    assert ann.seen(Offered)[0].offer_sdp == OFFER
    assert [type(event) for event in bob.events] == [Invited, AnswerArrived, Confirmed]
    assert bob.seen(AnswerArrived)[0].sdp == ANSWER
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


def test_an_offer_in_a_200_may_be_refused() -> None:
    world, ann, bob = pair()
    ann.on[Offered] = lambda event: event.session.refuse(488, now=world.now)
    ann.call(bob, sdp=None)
    world.settle()
    assert (ann.endings, bob.endings) == ([("local", "local")], [("bye", "remote")])


def test_an_offer_in_a_200_may_be_answered_late() -> None:
    world, ann, bob = pair()
    ann.on[Offered] = lambda event: world.later(3, lambda: event.session.accept(ANSWER, world.now))
    ann.call(bob, sdp=None)
    world.run(5)
    assert len(bob.seen(Confirmed)) == len(ann.seen(Answered)) == 1
    ann.seen(Answered)[0].session.hangup(world.now)
    world.settle()


# The network at its worst


def one_of_everything(world: World, ann: Node, bob: Node, rng: random.Random) -> None:
    """A call in which both do what comes to their mind."""

    def do(node: Node) -> None:
        for session in tuple(node.ua.sessions):
            action = rng.choice(["reinvite", "update", "info", "options", "hangup", "nothing"])
            try:
                if action in ("reinvite", "update"):
                    getattr(session, action)(OTHER_OFFER, world.now)
                elif action == "info":
                    session.info("application/dtmf", b"5", world.now)
                elif action == "options":
                    session.options(world.now)
                elif action == "hangup" and rng.random() < 0.4:
                    session.hangup(world.now)
            except LocalProtocolError:
                pass
        node.flush()

    def answer(event: Invited) -> None:
        choice = rng.random()
        if choice < 0.2:
            event.session.ring(now=world.now)
        elif choice < 0.3:
            event.session.refuse(486, now=world.now)
        else:
            event.session.accept(ANSWER if event.request.body else OFFER, world.now)

    bob.on[Invited] = answer
    ann.call(bob, sdp=OFFER if rng.random() < 0.7 else None)
    for _ in range(30):
        world.run(rng.expovariate(1.0))
        do(rng.choice([ann, bob]))
    for node in (ann, bob):
        for session in tuple(node.ua.sessions):
            session.hangup(world.now)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_network_does_every_call_ends_and_nothing_is_left(seed: int) -> None:
    rng = random.Random(seed)
    loss, doubling = rng.choice([(0.0, 0.5), (0.1, 0.1), (0.3, 0.2), (0.5, 0.0)])
    network = Network(random.Random(seed), loss, doubling, delay=(0.001, rng.choice([0.05, 0.8, 3.0])))
    world, ann, bob = pair(network)
    one_of_everything(world, ann, bob, rng)
    world.run(300)
    for node in (ann, bob):  # whoever lost the other's BYE for good
        for session in tuple(node.ua.sessions):
            session.hangup(world.now)
    world.run(300)
    world.settle()
    assert ann.ua.sizes() == bob.ua.sizes() == NOTHING
    assert len(ann.endings) == 1


@pytest.mark.parametrize("seed", range(20))
def test_calls_come_up_in_spite_of_loss_and_reordering(seed: int) -> None:
    world, ann, bob = pair(Network(random.Random(seed), 0.25, 0.2, delay=(0.001, 0.7)))
    ours = ann.call(bob)
    world.run(32)
    assert len(ann.seen(Answered)) == len(bob.seen(Invited)) == len(bob.seen(Confirmed)) == 1
    ours.reinvite(OTHER_OFFER, world.now)
    world.run(32)
    assert len(bob.seen(Offered)) == 1
    assert len(ann.seen(AnswerArrived)) == 2
    for digit in (b"1", b"2", b"3"):
        ours.info("application/dtmf", digit, world.now)
        world.run(32)
    assert [event.request.body for event in bob.seen(InfoReceived)] == [b"1", b"2", b"3"]
    ours.hangup(world.now)
    world.settle()
    assert (ann.endings, bob.endings) == ([("local", "local")], [("bye", "remote")])


def test_a_request_that_was_overtaken_is_refused() -> None:
    """Section 12.2.2: a number lower than the last one gets 500, and changes nothing."""
    world, ann, bob = pair()
    ours, _ = connect(world, ann, bob)
    delays = iter([0.2, 0.01])
    world.network.arrivals = lambda message, to: [next(delays, 0.01)]  # type: ignore[method-assign]
    ours.info("application/dtmf", b"1", world.now)
    ours.info("application/dtmf", b"2", world.now)
    world.run(1)
    assert [event.request.body for event in bob.seen(InfoReceived)] == [b"2"]
    assert len(world.sent("SIP/2.0 500")) == 1
    world.network.arrivals = lambda message, to: [0.01]  # type: ignore[method-assign]
    ours.hangup(world.now)
    world.settle()
