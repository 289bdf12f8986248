"""Whatever comes to a proxy: the torture messages of RFC 4475 as calls and within calls, and any ways of Record-Route."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proxy_world import KEY, Town
from sip_world import Network, drops

from tests.wire.torture_table import TABLE, Fate, Torture
from xconf.sip.errors import RemoteProtocolError
from xconf.sip.flow import DEFAULT_PORT, Flow
from xconf.sip.message import Request, parse
from xconf.sip.tickets import Ticket, Tickets
from xconf.sip.useragent import Answered, Invited

STRANGER = ("203.0.113.9", 5060)
HOSTS = st.integers(1, 250).map(lambda number: f"198.51.100.{number}")


def receivers(town: Town) -> set[str]:
    return {to for _, sender, to, _ in town.world.wire if sender == "door"}


CALLS = [case for case in TABLE if case.fate is Fate.INVITED and parse(case.data).to.tag is None]


@pytest.mark.parametrize("case", CALLS, ids=[f"{case.section}-{case.name}" for case in CALLS])
def test_a_tortuous_call_is_forwarded_and_its_answer_finds_back(case: Torture) -> None:
    town = Town()
    town.bob.on[Invited] = lambda event: event.session.refuse(486, now=town.bob.now)
    town.door.receive(case.data, STRANGER)
    town.world.run(1)
    came, onward = parse(case.data), town.world.sent("INVITE", by="door")
    assert isinstance(came, Request) and len(onward) == 1
    kept = ("From", "To", "Call-ID", "CSeq", "Contact", "Subject", "NewFangledHeader", "Content-Type")
    for name in kept:
        assert onward[0].headers.values(name) == came.headers.values(name)
    assert onward[0].body == came.body
    assert onward[0].headers.get_all("Via")[2:] == came.headers.get_all("Via")[1:]
    back = town.world.sent("SIP/2.0 486", by="door")[0]
    assert back.headers.get_all("Via")[1:] == came.headers.get_all("Via")[1:]
    town.settle()


@pytest.mark.parametrize("case", TABLE, ids=[f"{case.section}-{case.name}" for case in TABLE])
def test_a_tortuous_message_within_a_call_goes_to_its_node_or_nowhere(case: Torture) -> None:
    town = Town()
    town.door.receive(within_a_call(town, case.data), STRANGER)
    town.world.run(1)
    assert {to for to in receivers(town) if to not in ("bob", str(STRANGER))} <= senders(case.data)
    town.settle()


def senders(data: bytes) -> set[str]:
    """Where the topmost Via says that an answer belongs: another port, by the rules."""
    try:
        via = parse(data).via
    except RemoteProtocolError:
        return {str((STRANGER[0], port)) for port in range(65536)}
    return {str((STRANGER[0], via.port or DEFAULT_PORT.get(via.transport.lower(), 5060)))}


def within_a_call(town: Town, data: bytes) -> bytes:
    """The message with a genuine Route of ours and the tag of a dialog, as far as it can be understood."""
    try:
        message = parse(data)
        user = Tickets([KEY]).seal(Ticket(town.door.flow(town.bob.place)), message.call_id)
        if isinstance(message, Request) and message.to.tag is None:
            message.headers.set("To", str(message.to.with_tag("1")))
    except RemoteProtocolError:
        return data
    message.headers.prepend("Route", f"<sip:{user}@192.0.2.2:5060;lr>")
    return message.to_bytes()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TABLE), st.data())
def test_a_message_within_a_call_that_was_damaged_harms_nothing(case: Torture, data: st.DataObject) -> None:
    town = Town()
    octets = bytearray(within_a_call(town, case.data))
    for _ in range(data.draw(st.integers(1, 5))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    town.door.receive(bytes(octets), STRANGER)
    town.world.run(1)
    assert {to for to in receivers(town) if "203.0.113.9" not in to} <= {"bob"}
    town.settle()


@settings(max_examples=60, deadline=None)
@given(st.lists(HOSTS, max_size=4, unique=True), st.booleans())
def test_proxies_before_us_stay_on_the_way(before: list[str], joined: bool) -> None:
    """Requests from the node go to the one that was next to us, with all others in Route; the caller's come to the node."""
    town = Town(Network(loses=drops("INVITE", 1)))
    town.call()
    (invite,) = town.world.sent("INVITE", by="ann")
    routes = [f"<sip:{host};lr>" for host in before]
    if routes:
        invite.headers.set_all("Record-Route", [", ".join(routes)] if joined else routes)
    town.door.receive(invite.to_bytes(), town.ann.place)
    town.world.run(0.4)
    (answered,) = town.ann.seen(Answered)
    assert [str(route) for route in answered.response.record_routes[1:]] == routes
    (ack,) = town.world.sent("ACK", by="ann")
    assert [str(route) for route in ack.routes[:-1]] == routes[::-1]
    ack.headers.set("Route", str(ack.routes[-1]))  # the others have taken theirs off
    town.door.receive(ack.to_bytes(), town.ann.place)
    town.world.run(0.2)
    town.bob.seen(Invited)[0].session.hangup(town.world.now)
    town.world.run(0.2)
    (bye,) = {message.via.branch: message for message in town.world.sent("BYE", by="door")}.values()
    assert [str(route) for route in bye.routes] == routes
    place = str((before[0], 5060)) if before else "ann"
    assert [to for _, by, to, m in town.world.wire if by == "door" and m.start_line().startswith("BYE")][0] == place


@settings(max_examples=100, deadline=None)
@given(st.text(), st.text(min_size=1), st.integers(0, 65535), st.none() | st.integers(0, 2**40), st.booleans())
def test_a_ticket_says_what_was_sealed_for_its_call_alone(
    call_id: str, other: str, port: int, number: int | None, to_caller: bool
) -> None:
    tickets = Tickets([KEY])
    ticket = Ticket(Flow("tls", ("2001:db8::1", 5061), ("192.0.2.9", port), number), to_caller, not to_caller)
    sealed = tickets.seal(ticket, call_id)
    assert tickets.open(sealed, call_id) == ticket
    assert tickets.open(sealed, call_id + other) is None
    named = replace(ticket.flow, names=("b.example.com", "example.com"))
    again = tickets.open(tickets.seal(replace(ticket, flow=named), call_id), call_id)
    assert again is not None and again.flow == (ticket.flow if to_caller else named), "a node has to be who it was"
    assert Tickets([b"another"]).open(sealed, call_id) is None


@given(st.text())
def test_no_user_of_a_uri_is_too_odd_to_be_looked_at(user: str) -> None:
    tickets = Tickets([KEY])
    assert tickets.open(user, "1") is tickets.open(f"xr.{user}", "1") is None
