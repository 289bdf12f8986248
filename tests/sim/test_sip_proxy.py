"""Calls that a node forwards to another, in virtual time: all that a caller can do comes through, and nothing is left."""

from __future__ import annotations

import gc
import random
from collections import Counter

import pytest
from proxy_world import KEY, REFUSED, Town
from sip_world import ANSWER, NOTHING, OFFER, OTHER_OFFER, Network, drops

from xconf.sip.flow import Flow
from xconf.sip.message import Request, Response
from xconf.sip.passage import Passage
from xconf.sip.proxy import Proxy
from xconf.sip.tickets import Ticket, Tickets
from xconf.sip.transaction import ClientTransaction, ServerTransaction, cancel
from xconf.sip.useragent import AnswerArrived, Answered, Confirmed, Ended, InfoReceived, Invited, Offered, Progress


def test_a_call_that_is_forwarded_is_answered_and_hung_up() -> None:
    town = Town()
    ours, theirs = town.connect()
    (invited,) = town.bob.seen(Invited)
    assert (invited.request.body, str(invited.request.uri)) == (OFFER, "sip:bob@192.0.2.3:5060")
    assert town.ann.seen(AnswerArrived)[0].sdp == ANSWER
    assert (ours.call_id, ours.local.tag, ours.remote.tag) == (theirs.call_id, theirs.remote.tag, theirs.local.tag)
    assert town.door.ua.sizes()["sessions"] == town.door.ua.sizes()["dialogs"] == 0
    ours.hangup(town.world.now)
    town.world.run(1)
    assert (town.ann.endings, town.bob.endings) == ([("local", "local")], [("bye", "remote")])
    door, ann, bob = "door", "ann", "bob"
    ways = [(sender, to, message.start_line().split()[0]) for _, sender, to, message in town.world.wire]
    assert ways == [
        *((ann, door, "INVITE"), (door, bob, "INVITE"), (bob, door, "SIP/2.0"), (door, ann, "SIP/2.0")),
        *((ann, door, "ACK"), (door, bob, "ACK")),
        *((ann, door, "BYE"), (door, bob, "BYE"), (bob, door, "SIP/2.0"), (door, ann, "SIP/2.0")),
    ]
    town.settle()


def test_who_has_taken_the_call_hangs_up() -> None:
    town = Town()
    _, theirs = town.connect()
    theirs.hangup(town.world.now, [("Reason", 'Q.850;cause=16;text="over"')])
    town.world.run(1)
    assert (town.ann.endings, town.bob.endings) == ([("bye", "remote")], [("local", "local")])
    assert [bye.headers.get("Reason") for bye in town.world.sent("BYE")] == ['Q.850;cause=16;text="over"'] * 2
    assert {to for _, sender, to, _ in town.world.wire if sender == "bob"} == {"door"}
    town.settle()


def test_nothing_is_kept_of_a_call_that_is_up() -> None:
    town = Town()
    ours, _ = town.connect()
    town.world.run(60)
    assert town.door.ua.sizes() == NOTHING
    town.proxy = Proxy(town.door.ua, [b"a new key", KEY])  # as after a restart, and with another secret
    ours.info("application/dtmf-relay", b"Signal=1\r\n", town.world.now)
    town.world.run(1)
    assert [event.request.body for event in town.bob.seen(InfoReceived)] == [b"Signal=1\r\n"]
    ours.hangup(town.world.now)
    town.settle()
    assert town.bob.endings == [("bye", "remote")]


@pytest.mark.parametrize("by", ["ann", "bob"])
def test_either_side_changes_the_session(by: str) -> None:
    town = Town()
    sessions = dict(zip(("ann", "bob"), town.connect(), strict=True))
    asking, asked = (town.ann, town.bob) if by == "ann" else (town.bob, town.ann)
    held = OTHER_OFFER + b"a=sendonly\r\n"
    for change in (sessions[by].reinvite, sessions[by].update):
        asked.events.clear()
        asking.events.clear()
        change(held, town.world.now)
        town.world.run(2)
        assert [event.offer_sdp for event in asked.seen(Offered)] == [held]
        assert [event.sdp for event in asking.seen(AnswerArrived)] == [ANSWER]
    sessions[by].hangup(town.world.now)
    town.settle()


def test_the_caller_gives_up_while_it_rings() -> None:
    town = Town()
    town.bob.on[Invited] = lambda event: event.session.ring(now=town.bob.now)
    ours = town.call()
    town.world.run(5)
    assert [event.status for event in town.ann.seen(Progress)] == [180]
    ours.hangup(town.world.now)
    town.world.run(2)
    assert (town.ann.endings, town.bob.endings) == ([("cancelled", "local")], [("cancelled", "remote")])
    town.settle()


def test_the_caller_gives_up_before_the_other_node_has_said_a_word() -> None:
    town = Town(Network(loses=lambda message, to: to == "bob"))
    ours = town.call()
    town.world.run(1)
    ours.hangup(town.world.now)
    town.world.run(6)
    assert (town.ann.endings, town.failures) == ([("cancelled", "local")], [])
    assert [message.status for message in town.world.sent("SIP/2.0 487", by="door") if isinstance(message, Response)]
    town.settle()


def test_a_reliable_provisional_answer_is_acknowledged_through_us() -> None:
    town = Town()
    town.bob.on[Invited] = lambda event: event.session.ring(183, sdp=ANSWER, now=town.bob.now, reliable=True)
    ours = town.call()
    town.world.run(3)
    assert [event.status for event in town.ann.seen(Progress)] == [183]
    assert [event.sdp for event in town.ann.seen(AnswerArrived)] == [ANSWER]
    assert len(town.world.sent("PRACK", by="door")) == 1
    town.bob.seen(Invited)[0].session.accept(ANSWER, town.world.now)
    town.world.run(3)
    assert town.ann.seen(Answered) and town.bob.seen(Confirmed)
    ours.hangup(town.world.now)
    town.settle()


def test_a_refusal_goes_back_as_it_is() -> None:
    town = Town()
    town.bob.on[Invited] = lambda event: event.session.refuse(404, "No such number", now=town.bob.now)
    town.call()
    town.world.run(2)
    response = town.ann.seen(Ended)[0].response
    assert response is not None and (response.status, response.reason) == (404, "No such number")
    assert len(town.world.sent("ACK", by="door")) == 1  # hop by hop
    assert town.failures == []
    town.settle()


# The next one


def test_a_node_without_room_is_passed_over() -> None:
    town = Town()
    town.targets = [town.bob, town.cat]
    town.bob.on[Invited] = lambda event: event.session.refuse(503, now=town.bob.now)
    ours, theirs = town.connect()
    assert theirs is town.cat.seen(Invited)[0].session
    assert [status for _, status in town.failures] == [503]
    ours.hangup(town.world.now)
    town.settle()
    assert town.cat.endings == [("bye", "remote")]


def test_a_node_that_says_nothing_is_passed_over_after_four_seconds() -> None:
    town = Town(Network(loses=lambda message, to: to == "bob"))
    town.targets = [town.bob, town.cat]
    ours = town.call()
    town.world.run(6)
    assert town.failures == [(4.01, 408)]
    assert town.cat.seen(Confirmed)
    assert town.world.sent("SIP/2.0 100", by="door")
    ours.hangup(town.world.now)
    town.settle()


def test_a_node_that_was_only_slow_takes_nothing_when_the_call_has_gone_elsewhere() -> None:
    network = Network()
    town = Town(network)
    town.targets = [town.bob, town.cat]
    town.bob.on[Invited] = lambda event: event.session.ring(now=town.bob.now)
    network.loses = lambda message, to: to == "bob" and town.world.now < 6
    ours, theirs = town.call(), None
    town.world.run(20)
    theirs = town.cat.seen(Invited)[0].session
    assert town.ann.seen(Answered) and theirs.up
    assert town.bob.endings == [("cancelled", "remote")]
    assert town.door.ua.counters["forwarded_too_slow"] == 1
    ours.hangup(town.world.now)
    town.settle()


def test_a_node_that_cannot_be_connected_to_is_passed_over_at_once() -> None:
    town = Town()
    town.door.on[Invited] = lambda event: town.proxy.forward(
        event.session,
        event.request.uri,
        Flow("tcp", town.door.place, ("192.0.2.99", 5060)),
        lambda status, now: town.forward(event.session, [town.bob]) if status == 503 else None,
        town.world.now,
    )
    ours = town.call()
    town.world.run(0.1)
    assert not town.bob.seen(Invited)
    town.door.ua.flow_failed(Flow("tcp", town.door.place, ("192.0.2.99", 5060)), town.world.now)
    town.world.run(1)
    assert town.ann.seen(Answered) and town.bob.seen(Confirmed)
    (towards,) = {str(m.record_routes[0].uri.transport) for m in town.world.sent("INVITE sip:door", by="door")}
    assert towards == "tcp"  # whoever is called over TCP calls back over TCP
    ours.hangup(town.world.now)
    town.settle()


def test_a_cancel_that_comes_too_late_is_answered_with_the_tag_of_the_answer() -> None:
    town = Town()
    ours, _ = town.connect()
    (invite,) = town.world.sent("INVITE", by="ann")
    town.door.receive(cancel(invite).to_bytes(), town.ann.place)
    town.world.run(0.1)
    (answer,) = [m for m in town.world.sent("SIP/2.0 200", by="door") if m.cseq.method == "CANCEL"]
    assert answer.to.tag == ours.remote.tag
    ours.hangup(town.world.now)
    town.settle()


def test_with_no_node_left_the_call_is_ours_again() -> None:
    town = Town()
    town.bob.on[Invited] = lambda event: event.session.refuse(503, now=town.bob.now)
    town.call()
    town.world.run(2)
    assert town.world.sent(f"SIP/2.0 {REFUSED}", by="door")
    town.settle()


def test_a_call_that_comes_back_to_us_can_be_cancelled_as_any() -> None:
    town = Town()
    town.bob.on[Invited] = lambda event: event.session.refuse(503, now=town.bob.now)
    town.door.on[Invited] = lambda event: town.proxy.forward(
        event.session,
        event.request.uri,
        town.door.flow(town.bob.place),
        lambda status, now: event.session.ring(now=now),
        town.world.now,
    )
    ours = town.call()
    town.world.run(2)
    assert [event.status for event in town.ann.seen(Progress)] == [180]
    ours.hangup(town.world.now)
    town.world.run(2)
    assert town.door.endings == [("cancelled", "remote")]
    town.settle()


def test_it_rings_for_three_minutes_at_most() -> None:
    town = Town(ring_timeout=600)
    town.bob.on[Invited] = lambda event: None  # 100 and no more
    town.call()
    town.world.run(190)
    assert (town.ann.endings, town.bob.endings) == ([("rejected", "remote")], [("cancelled", "remote")])
    town.settle()


def test_who_does_not_answer_within_a_call_costs_nothing_for_ever() -> None:
    network = Network()
    town = Town(network)
    ours, theirs = town.connect()
    network.loses = lambda message, to: to == "bob"
    ours.info("application/dtmf-relay", b"Signal=1\r\n", town.world.now)
    ours.reinvite(OTHER_OFFER, town.world.now)
    town.world.run(100)
    assert town.ann.endings == [("timeout", "local")]
    assert town.door.ua.sizes() == NOTHING
    theirs.hangup(town.world.now)
    town.settle()


# A bad network


@pytest.mark.parametrize("seed", range(20))
def test_calls_come_through_a_network_that_loses_doubles_and_reorders(seed: int) -> None:
    town = Town(Network(random.Random(seed), loss=0.15, doubling=0.15, delay=(0.005, 0.3)))
    ours = town.call()
    town.world.run(30)
    assert town.ann.seen(Answered) and town.bob.seen(Confirmed), town.failures
    assert len(town.bob.seen(Invited)) == 1
    ours.info("application/dtmf-relay", b"Signal=1\r\n", town.world.now)
    town.world.run(30)
    ours.reinvite(OTHER_OFFER, town.world.now)
    town.world.run(40)
    assert len(town.bob.seen(InfoReceived)) == len(town.bob.seen(Offered)) == 1
    (ours if seed % 2 else town.bob.seen(Invited)[0].session).hangup(town.world.now)
    town.settle()
    assert len(town.bob.endings) == len(town.ann.endings) == 1


def test_an_answer_that_is_lost_behind_us_is_sent_again_by_who_gave_it() -> None:
    network = Network()
    town = Town(network)
    network.loses = drops("SIP/2.0 200", 3)
    ours = town.call()
    town.world.run(10)
    assert len(town.ann.seen(Answered)) == len(town.bob.seen(Confirmed)) == 1
    assert len(town.world.sent("SIP/2.0 200", by="door")) <= len(town.world.sent("SIP/2.0 200", by="bob"))
    ours.hangup(town.world.now)
    town.settle()


def test_retransmissions_do_not_multiply() -> None:
    network = Network(doubling=1.0)
    town = Town(network)
    ours, _ = town.connect()
    ours.info("application/dtmf-relay", b"Signal=1\r\n", town.world.now)
    town.world.run(20)
    ours.hangup(town.world.now)
    town.world.run(40)
    for method in ("INVITE", "INFO", "BYE"):
        assert len(town.world.sent(method, by="door")) == len(town.world.sent(method, by="ann")) == 1
    town.settle()


# Strangers


def stolen(town: Town, **changes: str) -> Request:
    """A BYE as Ann's, of somebody else."""
    session = town.ann.seen(Answered)[0].session
    assert session.dialog is not None
    bye = session.dialog.request("BYE")
    for name, value in changes.items():
        bye.headers.set(name.replace("_", "-"), value)
    bye.headers.prepend("Via", "SIP/2.0/UDP 203.0.113.9:5060;branch=z9hG4bKstolen")
    return bye


def sent_by_a_stranger(town: Town, request: Request) -> tuple[list[str], list[str]]:
    """What goes to others of it, and what the stranger is answered."""
    before = len(town.world.wire)
    town.door.receive(request.to_bytes(), ("203.0.113.9", 5060))
    town.world.run(1)
    sent = [(to, message.start_line()) for _, by, to, message in town.world.wire[before:] if by == "door"]
    return [line for to, line in sent if "203.0.113.9" not in to], [line for to, line in sent if "203.0.113.9" in to]


def forged(route: str) -> str:
    """Another seal."""
    place = route.index("xr.") + 8
    return route[:place] + ("A" if route[place] != "A" else "B") + route[place + 1 :]


def test_a_forged_route_leads_nowhere() -> None:
    town = Town()
    town.connect()
    (route,) = stolen(town).headers.values("Route")
    refused = ["SIP/2.0 481 Call/Transaction Does Not Exist"]
    for wrong in (forged(route), "<sip:192.0.2.2:5060;lr>", "<sip:xr.@192.0.2.2;lr>", "<sip:xr.%00%ff@192.0.2.2;lr>"):
        assert sent_by_a_stranger(town, stolen(town, Route=wrong)) == ([], refused)
    assert sent_by_a_stranger(town, stolen(town, Call_ID="another")) == ([], refused)
    other = Tickets([b"another key"]).seal(
        Ticket(Flow("udp", town.door.place, ("203.0.113.7", 5060))), stolen(town).call_id
    )
    assert sent_by_a_stranger(town, stolen(town, Route=f"<sip:{other}@192.0.2.2;lr>")) == ([], refused)
    acknowledgement = stolen(town, Route=forged(route), CSeq="1 ACK")
    acknowledgement.method = "ACK"
    assert sent_by_a_stranger(town, acknowledgement) == ([], [])


def test_a_caller_reaches_the_node_that_has_taken_his_call_and_nobody_else() -> None:
    """Whatever Request-URI and Route he writes behind the URI that he was given."""
    town = Town()
    town.connect()
    bye = stolen(town)
    bye.uri = "sip:victim@203.0.113.99"
    bye.headers.add("Route", "<sip:203.0.113.98;lr>")
    before = len(town.world.wire)
    town.door.receive(bye.to_bytes(), town.ann.place)
    town.world.run(1)
    receivers = {to for _, sender, to, _ in town.world.wire[before:] if sender == "door"}
    assert "bob" in receivers and not any("203.0.113" in to for to in receivers - {"('203.0.113.9', 5060)"})


def test_the_caller_is_not_given_the_way_back() -> None:
    """What leads to him, as his node says, would lead wherever he said."""
    town = Town()
    town.connect()
    (towards,) = town.world.sent("INVITE", by="door")
    (back,) = town.world.sent("SIP/2.0 200", by="door")
    node, caller = towards.headers.get_all("Record-Route"), back.headers.get_all("Record-Route")
    assert len(node) == len(caller) == 1 and node != caller


def test_a_header_field_of_ours_that_a_caller_writes_does_not_come_through() -> None:
    town = Town()
    town.headers = [("X-Xconf-Placed", "genuine")]
    town.connect(headers=[("X-Xconf-Placed", "forged"), ("x-xconf-placed", "forged too"), ("X-Else", "kept")])
    request = town.bob.seen(Invited)[0].request
    assert request.headers.values("X-Xconf-Placed") == ["genuine"]
    assert request.headers.values("X-Else") == ["kept"]


@pytest.mark.parametrize("left", [0, 1])
def test_max_forwards(left: int) -> None:
    town = Town(Network(loses=drops("INVITE", 1)))
    town.call()
    (invite,) = town.world.sent("INVITE", by="ann")
    invite.headers.set("Max-Forwards", str(left))
    town.door.receive(invite.to_bytes(), town.ann.place)
    town.world.run(0.4)
    assert [len(town.world.sent("SIP/2.0 483")), len(town.bob.seen(Invited))] == [1 - left, left]


def test_a_request_that_has_gone_too_far_or_demands_too_much_goes_no_further() -> None:
    town = Town()
    town.connect()
    for changes, line in (
        ({"Max_Forwards": "0"}, "SIP/2.0 483 Too Many Hops"),
        ({"Proxy_Require": "gin"}, "SIP/2.0 420 Bad Extension"),
    ):
        assert sent_by_a_stranger(town, stolen(town, **changes)) == ([], [line])


def test_a_strict_router_before_us() -> None:
    """It has put our URI in the place of the target, and the target behind the Routes (section 16.4)."""
    town = Town()
    town.connect()
    bye = stolen(town)
    (route,) = bye.routes
    bye.uri, target = route.uri, bye.uri
    bye.headers.set("Route", f"<{target}>")
    town.door.receive(bye.to_bytes(), town.ann.place)
    town.world.run(1)
    assert [event.request.start_line() for event in town.bob.events if getattr(event, "request", None)][-1] == (
        f"BYE {target} SIP/2.0"
    )
    assert town.bob.endings == [("bye", "remote")]


# Many


def kept() -> Counter[type]:
    gc.collect()
    kinds = (Passage, ServerTransaction, ClientTransaction)
    return Counter(kind for kind in kinds for found in gc.get_objects() if isinstance(found, kind))


def call_and_hang_up(town: Town, *, by_caller: bool) -> None:
    ours = town.call()
    town.world.run(0.2)
    (ours if by_caller else town.bob.seen(Invited)[-1].session).hangup(town.world.now)
    town.world.run(0.2)


def test_a_thousand_forwarded_calls_leave_nothing() -> None:
    """And of what we have done for them nothing waits for a garbage collection."""
    town, before = Town(), kept()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for number in range(1000):
            call_and_hang_up(town, by_caller=number % 2 == 0)
        town.world.run(100)
        for node in town.world.nodes.values():
            node.events.clear()
        town.world.wire.clear()
        gc.collect()
        circles = [found for found in gc.garbage if isinstance(found, Passage | ServerTransaction)]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert town.door.ua.sizes() == NOTHING
    assert circles == []
    assert kept() == before


# A connection between the nodes that is lost


def rings(town: Town) -> None:
    town.bob.on[Invited] = lambda event: event.session.ring(now=town.world.now)


@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_connection_that_is_lost_while_it_rings_has_the_next_node_take_the_call_at_once(transport: str) -> None:
    town = Town(transport=transport)
    town.targets = [town.bob, town.cat]
    rings(town)
    town.call()
    town.world.run(2)
    assert town.ann.seen(Progress)
    town.cut(town.bob)
    town.world.run(0.2)
    assert town.failures == [(2.0, 503)]
    assert len(town.cat.seen(Confirmed)) == 1 and len(town.ann.seen(Answered)) == 1
    assert town.bob.endings == [("cancelled", "remote")], "who lives on behind it is told"
    town.world.run(40)
    town.ann.seen(Answered)[0].session.hangup(town.world.now)
    town.settle()
    assert not town.door.ua._watched


def test_a_connection_that_is_lost_before_a_word_has_come_is_the_same() -> None:
    town = Town(Network(loses=drops("SIP/2.0")), transport="tcp")
    town.targets = [town.bob, town.cat]
    town.call()
    town.world.run(1)
    town.cut(town.bob)
    town.world.run(0.2)
    assert town.failures == [(1.0, 503)] and town.cat.seen(Invited)


def test_who_is_not_there_any_more_is_not_waited_for_while_it_rings() -> None:
    """Over UDP nothing tells that but somebody who knows."""
    town = Town()
    town.targets = [town.bob, town.cat]
    rings(town)
    town.call()
    town.world.run(2)
    town.proxy.gone(town.way(town.bob), town.world.now)
    town.world.run(0.2)
    assert town.failures == [(2.0, 503)] and len(town.ann.seen(Answered)) == 1
    assert town.bob.endings == [("cancelled", "remote")]
    town.ann.seen(Answered)[0].session.hangup(town.world.now)
    town.settle()


def test_with_no_other_node_the_caller_is_told_at_once() -> None:
    town = Town(transport="tcp")
    rings(town)
    town.call()
    town.world.run(2)
    town.cut(town.bob)
    town.world.run(0.2)
    assert town.ann.endings == [("rejected", "remote")]
    assert [message.status for message in town.world.sent("SIP/2.0 486") if isinstance(message, Response)]
    town.settle()


def test_who_has_cancelled_is_told_so_though_the_connection_is_lost() -> None:
    town = Town(Network(loses=drops("SIP/2.0 487")), transport="tcp")
    town.targets = [town.bob, town.cat]
    rings(town)
    session = town.call()
    town.world.run(1)
    session.hangup(town.world.now)
    town.world.run(0.2)
    town.world.network.loses = lambda message, to: False
    town.cut(town.bob)
    town.world.run(1)
    assert town.ann.endings == [("cancelled", "local")] and not town.failures
    town.settle()
    assert not town.cat.seen(Invited)


def test_a_connection_that_is_lost_while_a_call_is_up_ends_what_is_asked_at_that_moment_and_no_more() -> None:
    town = Town(transport="tcp")
    ours, theirs = town.connect()
    town.cut(town.bob)
    town.world.run(5)
    assert not town.ann.endings and not town.bob.endings and not town.door.ua._watched
    town.bob.on[Offered] = lambda event: None
    ours.reinvite(OTHER_OFFER, town.world.now)
    town.world.run(1)
    town.cut(town.bob)
    town.world.run(0.2)
    assert [message.status for message in town.world.sent("SIP/2.0 503") if isinstance(message, Response)] == [503]
    assert ours.up and not town.door.ua._watched
    ours.hangup(town.world.now)
    town.world.run(1)
    assert town.bob.endings == [("bye", "remote")]
    assert theirs.ended
