"""Nodes that send callers to each other: real INVITEs, and the node that takes the call in the end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from calls_world import Office, Phone

from xconf.api.drain_commands import drain_commands
from xconf.app.placement import NodePlacement
from xconf.calls.leaving import Drain
from xconf.cluster.nodes import NodeTable
from xconf.cluster.router import Router
from xconf.cluster.status import Load, Part, Reporter, Takes
from xconf.sip.events import Event, Referred
from xconf.sip.flow import Flow
from xconf.sip.message import Request, Response
from xconf.sip.uri import URI

LIMIT = 20


class Node:
    """A server that knows other nodes by what they tell. takes: what it tells of itself, with what it has."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.office = Office(limit=LIMIT)
        self.table = NodeTable()
        self.reporter = Reporter()
        self.router = Router(name, self.table)
        self.offered = Load(most_calls=LIMIT, uri=f"sip:{name}.example.com;transport=tcp")
        calls, conferences = self.office.calls, self.office.conferences
        calls.placement = NodePlacement(self.router, conferences, calls, lambda: self.load)
        self.stops = 0
        self.drain = Drain(self.office.reactor, calls, self._empty)
        conferences.commands.add(drain_commands(self.drain))

    def _empty(self) -> None:
        self.stops += 1

    @property
    def load(self) -> Load:
        return replace(self.offered, calls=len(self.office.calls), draining=self.drain.active)

    def tell(self, other: Node) -> None:
        """What it has now."""
        parts = [
            Part(one.name, len(one.members), one.speakers) for one in self.office.conferences if one.members
        ]  # fmt: skip
        now = other.office.now
        if other.table.get(self.name) is None:
            other.table.appeared(self.name, 1, now)
        for body in self.reporter.complete(self.load, parts):
            other.table.received(self.name, body, now)

    def sent_on(self, number: str = "3000", **options: str) -> URI:
        """Somebody calls, and is sent on; to where."""
        phone = self.office.phone(f"127.0.0.{100 + len(self.office.phones)}")
        phone.dial(number, **options)
        self.office.run(0.1)
        assert phone.refusal is not None and phone.refusal.status == 302
        return URI.parse((phone.refusal.headers.get("Contact") or "").strip("<>"))

    def refusal(self, number: str = "3000", **options: str) -> Response:
        phone = self.office.phone(f"127.0.0.{100 + len(self.office.phones)}")
        phone.dial(number, **options)
        self.office.run(0.1)
        assert phone.refusal is not None
        return phone.refusal

    def takes(self, uri: URI) -> Phone:
        """Somebody was told to call there, and does."""
        assert uri.host == f"{self.name}.example.com" and uri.user
        phone = self.office.phone(f"127.0.0.{100 + len(self.office.phones)}")
        phone.dial(uri.user, parameters="".join(f";{name}={value}" for name, value in uri.params.items()))
        self.office.run(0.1)
        return phone


@pytest.fixture
def nodes() -> Iterator[tuple[Node, Node]]:
    a, b = Node("a"), Node("b")
    a.tell(b), b.tell(a)
    yield a, b
    for node in (a, b):
        node.drain.end()
        for phone in node.office.phones:
            phone.hang_up()
        node.office.run(0.2)
        node.office.lines.clear()  # each has those of both, in which calls may have the same name
    for node in (a, b):
        node.office.close()


def test_a_speaker_is_sent_to_the_node_where_the_others_speak(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    b.office.calls.placement = None
    b.office.phones_in(2)
    b.tell(a)
    uri = a.sent_on()
    assert str(uri) == "sip:3000@b.example.com;transport=tcp;xconf=placed"
    assert b.takes(uri).is_up and len(b.office.calls) == 3
    assert a.office.logged(
        "to 3000 sent on to b at sip:b.example.com;transport=tcp: the speakers of the conference are there"
    )
    assert a.office.calls.counters["sent_on"] == 1 and a.router.counters == {"together": 1}


def test_who_only_listens_stays_where_there_is_room(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    b.office.calls.placement = None
    b.office.phones_in(2)
    b.tell(a)
    a.office.phones_in(1, "4000")
    assert a.router.counters == {"kept": 1}


def test_a_call_that_was_sent_is_never_sent_back(nodes: tuple[Node, Node]) -> None:
    """Whatever the second node thinks of that."""
    a, b = nodes
    a.offered = replace(a.offered, takes=Takes.LISTENERS)
    uri = a.sent_on()
    a.offered, b.offered = replace(a.offered, takes=Takes.ALL), replace(b.offered, takes=Takes.LISTENERS)
    a.tell(b)
    assert b.sent_on().host == "a.example.com"  # who calls there himself
    assert b.takes(uri).is_up


def test_a_call_that_was_sent_to_a_full_node_is_refused_there(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.office.calls.placement = b.office.calls.placement = None
    b.office.phones_in(LIMIT, "4000")
    refused = b.refusal("4000", parameters=";xconf=placed")
    assert refused.status == 503 and refused.headers.get("Retry-After") == "10"


def test_a_full_node_sends_calls_on_and_where_all_are_full_refuses_them(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.office.calls.placement, placement = None, a.office.calls.placement
    a.office.phones_in(LIMIT, "4000")
    a.office.calls.placement = placement
    assert a.sent_on("4001").user == "4001"
    b.offered = replace(b.offered, most_calls=0)
    b.tell(a)
    refused = a.refusal("4001")
    assert refused.status == 503 and refused.headers.get("Retry-After") == "10"
    assert a.router.counters == {"full": 1, "none": 1}
    assert a.office.logged("calls already, and no other node has room")


def test_who_may_not_call_here_is_told_of_no_other_node(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.office.did("drain")
    a.office.rules.allow = lambda host: False
    assert a.refusal("4000").status == 403
    a.office.rules.users = {"ann": "secret"}
    assert a.refusal("4000").status == 401
    a.office.rules.allow = lambda host: True
    assert a.refusal("nowhere").status == 404
    assert a.router.counters == {}


def test_a_drained_node_sends_its_callers_to_those_that_have_room(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    b.offered = replace(b.offered, most_calls=0)
    b.tell(a)
    phones = a.office.phones_in(3) + a.office.phones_in(2, "4000")
    targets: list[URI] = []

    def obedient(event: Event) -> None:
        if isinstance(event, Referred):
            assert isinstance(event.target, URI)
            targets.append(event.target)
            event.session.referrals.accept(a.office.now)
            event.session.referrals.notify(200, "so be it", a.office.now)

    for phone in phones:
        phone.sip.handle = obedient
    assert "5 calls to move to another node, when one has room: 0 moved" in a.office.did("drain")
    a.office.run(2)
    assert not targets and a.stops == 0  # b has no room yet
    assert a.refusal("4000").status == 503
    b.offered = replace(b.offered, most_calls=LIMIT)
    b.tell(a)
    assert "calls to move to b: 0 moved" in a.drain.summary
    assert a.sent_on("4000").host == "b.example.com"
    a.office.run(1)
    assert a.stops == 1
    assert sorted(uri.user or "" for uri in targets) == ["3000"] * 3 + ["4000"] * 2
    assert {uri.params["xconf"] for uri in targets} == {"placed"}
    assert a.router.counters == {"kept": 5, "none": 1, "draining": 6}


def test_a_drain_with_named_targets_asks_no_router(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.office.phones_in(1, "4000")
    a.office.did("drain to sip:127.0.0.8")
    assert str(a.sent_on("4000")) == "sip:4000@127.0.0.8"
    assert a.router.counters == {"kept": 1}


def options(office: Office) -> Response:
    """What a load balancer that asks is told."""
    request = office.invite_by_hand(call_id=f"ask-{office.now}")
    request = Request("OPTIONS", URI.parse("sip:127.0.0.1"), list(request.headers.items()))
    request.headers.set("CSeq", "1 OPTIONS")
    office.sip.received(request.to_bytes(), Flow("udp", ("127.0.0.1", 5060), ("127.0.0.2", 5060)))
    office.run(0.1)
    sent = [message for message in office.sent("SIP/2.0") if isinstance(message, Response)]
    return sent[-1]


def test_a_node_that_takes_no_calls_says_so_to_load_balancers_that_ask(nodes: tuple[Node, Node]) -> None:
    a, b = nodes
    a.office.sip.user_agent.closed = lambda: a.office.calls.closed() is not None
    assert options(a.office).status == 200
    a.office.phones_in(1, "4000")
    a.office.did("drain")
    refused = options(a.office)
    assert refused.status == 503 and refused.headers.get("Retry-After") == "10"
    a.office.did("undrain")
    assert options(a.office).status == 200
    a.office.overloaded = True
    assert options(a.office).status == 503
    a.office.overloaded = False
