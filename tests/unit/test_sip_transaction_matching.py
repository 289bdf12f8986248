"""Which transaction a message belongs to, and where responses go."""

from __future__ import annotations

from collections import Counter

import pytest

from xconf.sip.events import Outbox
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, parse
from xconf.sip.settings import Settings
from xconf.sip.timers import Timers
from xconf.sip.transactions import Transactions, reply_path, stamp

UDP = Flow("udp", ("127.0.0.1", 5060), ("192.0.2.9", 40_000))


def make_layer() -> Transactions:
    return Transactions(Settings(), Timers(), Outbox(), Counter())


def make_request(
    method: str,
    via: str = "SIP/2.0/UDP a.example.com;branch=z9hG4bK1",
    *,
    uri: str = "sip:bob@example.net",
    tags: tuple[str, str | None] = ("a", None),
    call: str = "1",
    seq: int = 1,
) -> Request:
    tag = f";tag={tags[1]}" if tags[1] else ""
    message = parse(
        f"{method} {uri} SIP/2.0\r\nVia: {via}\r\nFrom: <sip:ann@example.com>;tag={tags[0]}\r\n"
        f"To: <sip:bob@example.net>{tag}\r\nCall-ID: {call}\r\nCSeq: {seq} {method}\r\n\r\n".encode()
    )
    assert isinstance(message, Request)
    return message


def test_the_branch_finds_retransmission_ack_and_cancel() -> None:
    layer = make_layer()
    invite = layer.receive(make_request("INVITE"), UDP)
    assert layer.find(make_request("INVITE")) is invite
    assert layer.find(make_request("ACK", tags=("a", "b"))) is invite
    assert layer.cancelled_by(make_request("CANCEL")) is invite
    assert layer.find(make_request("CANCEL")) is None
    assert layer.find(make_request("INFO")) is None
    assert layer.find(make_request("INVITE", "SIP/2.0/UDP a.example.com;branch=z9hG4bK2")) is None
    assert layer.find(make_request("INVITE", "SIP/2.0/UDP b.example.com;branch=z9hG4bK1")) is None
    assert layer.find(make_request("INVITE", "SIP/2.0/UDP a.example.com:5070;branch=z9hG4bK1")) is None


@pytest.mark.parametrize("others", [0, 2])
def test_a_response_has_the_vias_of_its_request(others: int) -> None:
    """With one more it is that of another client, which came to us by mistake (RFC 3261 sections 8.1.3.3 and 18.1.2)."""
    layer, heard = make_layer(), []
    request = make_request("OPTIONS")
    for number in range(others):
        request.headers.add("Via", f"SIP/2.0/UDP b.example.com;branch=z9hG4bK{number}")
    layer.send(request, UDP, None, lambda outcome, now: heard.append(outcome), 0.0)
    response = request.response(200)
    response.headers.add("Via", "SIP/2.0/UDP c.example.com;branch=z9hG4bK9")
    assert not layer.response(response, 0.0)
    assert layer.response(request.response(200), 0.0)
    assert len(heard) == 1


OLD_VIAS = [
    "SIP/2.0/UDP a.example.com",
    "SIP/2.0/UDP a.example.com;branch=1",
    "SIP/2.0/UDP a.example.com;branch=z9hG4bK",
]


@pytest.mark.parametrize("via", OLD_VIAS)
def test_without_a_true_branch_the_rules_of_rfc_2543_find_them(via: str) -> None:
    layer = make_layer()
    invite = layer.receive(make_request("INVITE", via), UDP)
    assert layer.find(make_request("INVITE", via)) is invite
    assert layer.find(make_request("ACK", via, tags=("a", "b"))) is invite
    assert layer.cancelled_by(make_request("CANCEL", via)) is invite
    for other in (
        make_request("INVITE", via, seq=2),
        make_request("INVITE", via, call="2"),
        make_request("INVITE", via, tags=("x", None)),
        make_request("INVITE", via, uri="sip:eve@example.net"),
        make_request("INVITE", f"{via};x=y"),
    ):
        assert layer.find(other) is None


def test_a_request_that_comes_by_two_ways_is_known_until_it_is_over() -> None:
    layer = make_layer()
    first = layer.receive(make_request("INVITE"), UDP)
    merged = make_request("INVITE", "SIP/2.0/UDP p.example.com;branch=z9hG4bK7")
    assert layer.merged(merged)
    assert not layer.merged(make_request("INVITE", "SIP/2.0/UDP p.example.com;branch=z9hG4bK7", seq=2))
    first.terminate(0.0)
    assert not layer.merged(merged)
    assert (len(layer), len(layer._initial)) == (0, 0)


def test_a_connection_that_breaks_fails_what_waits_on_it() -> None:
    layer, told = make_layer(), []
    flow = Flow("tcp", ("127.0.0.1", 5060), ("192.0.2.9", 40_000), 5)
    layer.send(make_request("INFO"), flow, None, lambda outcome, now: told.append(outcome), 0.0)
    layer.flow_failed(Flow("tcp", ("127.0.0.1", 5060), ("192.0.2.9", 40_000), 6), 1.0)
    assert not told
    layer.flow_failed(flow, 1.0)
    assert len(told) == 1
    assert (len(layer), len(layer.timers), len(layer._by_flow)) == (0, 0, 0)


WAYS = [
    # Via as it came; Via noted; where the response goes
    ("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", "", ("192.0.2.9", 5060)),
    ("SIP/2.0/UDP 192.0.2.9:5080;branch=z9hG4bK1", "", ("192.0.2.9", 5080)),
    ("SIP/2.0/UDP 10.1.1.1:5080;branch=z9hG4bK1", ";received=192.0.2.9", ("192.0.2.9", 5080)),
    ("SIP/2.0/UDP a.example.com;branch=z9hG4bK1", ";received=192.0.2.9", ("192.0.2.9", 5060)),
    ("SIP/2.0/UDP 10.1.1.1:5080;rport;branch=z9hG4bK1", ";received=192.0.2.9", ("192.0.2.9", 40_000)),
    ("SIP/2.0/UDP 192.0.2.9:5080;rport;branch=z9hG4bK1", ";received=192.0.2.9", ("192.0.2.9", 40_000)),
    # Nobody may send our answers elsewhere
    ("SIP/2.0/UDP 192.0.2.9;maddr=198.51.100.1;branch=z9hG4bK1", "", ("192.0.2.9", 5060)),
    ("SIP/2.0/UDP 192.0.2.9;received=198.51.100.1;branch=z9hG4bK1", "", ("192.0.2.9", 5060)),
]


@pytest.mark.parametrize(("via", "noted", "place"), WAYS)
def test_responses_go_where_the_request_came_from(via: str, noted: str, place: Place) -> None:
    request = make_request("INVITE", via)
    stamp(request, UDP)
    if noted:
        assert noted in str(request.via)
    if "rport" in via:
        assert request.via.rport == 40_000
    assert reply_path(request, UDP) == (Flow("udp", UDP.local, place), None)


def test_responses_stay_on_the_connection() -> None:
    flow = Flow("tcp", ("127.0.0.1", 5060), ("192.0.2.9", 40_000), 5)
    request = make_request("INVITE", "SIP/2.0/TCP 10.1.1.1:5080;branch=z9hG4bK1")
    stamp(request, flow)
    assert reply_path(request, flow) == (flow, ("192.0.2.9", 5080))
