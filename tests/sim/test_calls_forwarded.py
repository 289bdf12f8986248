"""Callers who do not follow a 302: the node that they call forwards them, and the one that takes them knows who they are."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from calls_world import SIP, Office, Phone
from twisted.internet import defer
from twisted.internet.defer import Deferred

from xconf.app.cluster_settings import Forwarded
from xconf.calls.forwarding import Forwarding
from xconf.calls.inbound import Calls
from xconf.calls.leaving import Away
from xconf.calls.names import NamesError
from xconf.calls.next_hops import FoundHops
from xconf.calls.placed import HEADER, Placements
from xconf.calls.placement import Elsewhere
from xconf.cluster.seal import key_for
from xconf.sip.location import Target, is_address
from xconf.sip.message import Request, Response
from xconf.sip.passage import Passage
from xconf.sip.proxy import Proxy
from xconf.sip.transaction import ServerTransaction
from xconf.sip.uri import URI

SECRET = b"a secret of the tests"
KEYS = [key_for(b"tests", SECRET)]
OTHER = "127.0.0.200"


class Chosen:
    """A placement that names these nodes, one after the other, as long as they have not failed; then this one."""

    def __init__(self, *nodes: tuple[str, str]) -> None:
        self.nodes = nodes

    def choose(self, *caller: Any, closed: bool, without: Any = ()) -> Elsewhere | None:
        left = [(name, host) for name, host in self.nodes if name not in without]
        return Elsewhere(left[0][0], URI("sip", host=left[0][1], port=SIP), "a test says so") if left else None

    def open(self) -> Sequence[str]:
        return [name for name, _ in self.nodes]


class Zone:
    """Name servers. hosts: what they know; asked: names that they were asked for; slow: they answer when `answer` is called."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self.slow = False
        self._waiting: list[tuple[str, Deferred[list[Target]]]] = []

    def locate(self, host: str, port: int | None, *_: Any, **__: Any) -> Deferred[list[Target]]:
        found: Deferred[list[Target]] = Deferred()
        if is_address(host):
            return defer.succeed([("udp", (host, port or SIP))])
        self.asked.append(host)
        self._waiting.append((host, found))
        if not self.slow:
            self.answer()
        return found

    def answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for host, found in waiting:
            if host in self.hosts:
                found.callback([("udp", (address, SIP)) for address in self.hosts[host]])
            else:
                found.errback(NamesError(f"there is no server for {host} in the DNS"))


class Pair:
    """Node a, which everybody calls, and node b; in this world a forwards all calls to b."""

    def __init__(self) -> None:
        self.a = Office()
        self.b = Office(beside=self.a, address=OTHER)
        self.day = 1_700_000_000.0
        self.zone: Any = Zone()
        for name, office in (("a", self.a), ("b", self.b)):
            placements = Placements(name, KEYS, lambda: self.day + self.a.now)
            proxy = Proxy(office.sip.user_agent, KEYS)
            hops = FoundHops(office.sip, self.zone)
            office.calls.forwarding = Forwarding(proxy, placements, hops, self.listed, office.sip.seconds)
        self.listed_hosts: set[str] | None = None
        self.a.calls.placement = Chosen(("b", OTHER))
        self.b.rules.allow = lambda host: False

    def listed(self, host: str, trunk: str) -> bool:
        return self.listed_hosts is None or host in self.listed_hosts

    def run(self, seconds: float) -> None:
        """Time goes by on both nodes."""
        for _ in range(round(seconds * 50)):
            for phone in self.a.phones:
                phone.speak_on()
            self.a.reactor.run(0.02)
            self.b.tick()
            self.a.tick()

    def up(self, address: str = "127.0.0.2", number: str = "3000", **options: Any) -> Phone:
        phone = self.a.phone(address)
        phone.dial(number, **options)
        self.run(0.2)
        assert phone.is_up, phone.refusal
        return phone

    def close(self) -> None:
        for phone in self.a.phones:
            phone.hang_up()
        self.run(0.2)
        self.a.sleep(40)
        self.b.close()
        self.a.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    world = Pair()
    yield world
    world.close()


def test_a_forwarded_caller_is_in_the_conference_of_the_other_node(pair: Pair) -> None:
    phones = [pair.up("127.0.0.2"), pair.up("127.0.0.3")]
    assert (len(pair.a.calls), len(pair.b.calls)) == (0, 2)
    assert pair.b.conferences.sizes()["members"] == 2
    phones[0].tone = 440.0
    pair.run(1.0)
    phones[1].forget()
    pair.run(1.0)
    assert phones[1].hears(440)
    assert pair.a.engine.sizes() == dict.fromkeys(pair.a.engine.sizes(), 0), "sound goes straight"
    assert pair.a.logged("forwarded to b")
    phones[0].tone = None


def test_it_is_known_by_the_address_that_it_comes_from(pair: Pair) -> None:
    """Not by that of the node which forwards it: for what is believed of its sound, for limits of one host, in the log."""
    phone = pair.up("127.0.0.7")
    (call,) = pair.b.calls
    assert call.host == "127.0.0.7"
    assert call.counted_at == "127.0.0.7"
    assert pair.b.logged("at 127.0.0.7, forwarded by a, to 3000")
    assert phone.change(phone.sdp("sendonly")) == 200
    assert call.host == "127.0.0.7"


def test_a_telephone_behind_a_translator_is_heard_though_its_signalling_takes_a_detour(pair: Pair) -> None:
    phones = [pair.up("127.0.0.2"), pair.a.phone("127.0.0.3", says="10.1.1.1")]
    phones[1].tone = 440.0
    phones[1].dial("3000")
    pair.run(1.5)
    phones[0].forget()
    pair.run(1.0)
    assert phones[0].hears(440)


def test_the_trunk_that_the_first_node_has_found_is_the_calls(pair: Pair) -> None:
    pair.a.rules.trunks = {"127.0.0.2"}
    pair.up("127.0.0.2", headers=[("P-Asserted-Identity", '"Bob" <sip:+4930123@carrier.example>')])
    assert pair.b.logged("at 127.0.0.2 (trunk trunk), forwarded by a")
    assert [call.caller for call in pair.b.calls] == ["Bob <+4930123>"]


def test_who_has_given_his_password_to_one_node_is_not_asked_by_the_other(pair: Pair) -> None:
    pair.a.rules.allow = lambda host: False
    pair.a.rules.users = {"1001": "secret"}
    phone = pair.up(credentials=("1001", "secret"))
    assert phone.is_up and len(pair.b.calls) == 1
    assert pair.b.calls.counters["challenged"] == 0


def test_digits_hold_and_the_end_from_either_side(pair: Pair) -> None:
    ann, bob = pair.up("127.0.0.2"), pair.up("127.0.0.3")
    ann.info(b"Signal=0\r\nDuration=160\r\n")
    pair.run(0.3)
    assert [call.member.settings.mute for call in pair.b.calls if call.member is not None] == [True, False]
    assert ann.change(ann.sdp("sendonly")) == 200
    assert ann.direction == "recvonly"
    assert bob.change(bob.sdp(), update=True) == 200
    ann.hang_up()
    pair.run(0.3)
    assert len(pair.b.calls) == 1
    pair.b.did("3000 term")
    pair.run(6)
    assert bob.ending is not None and bob.ending.by == "remote"


def test_only_who_is_listed_is_forwarded(pair: Pair) -> None:
    pair.listed_hosts = {"127.0.0.3"}
    phone = pair.a.phone("127.0.0.2")
    phone.dial("3000")
    pair.run(0.2)
    assert phone.refusal is not None and phone.refusal.status == 302
    assert pair.up("127.0.0.3").is_up


def test_who_is_full_is_passed_over_and_the_call_stays_here(pair: Pair) -> None:
    pair.b.overloaded = True
    assert pair.up().is_up
    assert (len(pair.a.calls), len(pair.b.calls)) == (1, 0)
    assert pair.a.calls.counters["not_forwarded"] == 1
    assert pair.a.logged("not taken by b: it has no room")


def test_of_three_nodes_the_second_takes_what_the_first_does_not(pair: Pair) -> None:
    pair.a.calls.placement = Chosen(("c", "127.0.0.201"), ("b", OTHER))
    phone = pair.a.phone("127.0.0.2")
    phone.dial("3000")
    pair.run(5)
    assert phone.is_up and len(pair.b.calls) == 1
    assert pair.a.logged("not taken by c: it says nothing")


def test_a_node_that_is_seen_to_be_gone_is_not_waited_for(pair: Pair) -> None:
    pair.a.calls.placement = Chosen(("c", "127.0.0.201"), ("b", OTHER))
    phone = pair.a.phone("127.0.0.2")
    phone.dial("3000")
    pair.run(1)
    assert not phone.is_up and pair.a.calls.forwarding is not None
    pair.a.calls.forwarding.gone("elsewhere")
    pair.a.calls.forwarding.gone("c")
    pair.run(0.3)
    assert phone.is_up and len(pair.b.calls) == 1
    pair.a.calls.forwarding.gone("b")
    pair.run(1)
    assert phone.is_up and not pair.a.sip.user_agent._watched, "calls that are up go their way"


# Nodes with a name


@pytest.fixture
def named(pair: Pair) -> Pair:
    """Node b tells a name, which only the name servers know."""
    pair.a.calls.placement = Chosen(("b", "b.example.com"))
    pair.zone.hosts["b.example.com"] = [OTHER]
    return pair


def test_a_node_is_found_by_its_name(named: Pair) -> None:
    assert named.up().is_up
    assert (len(named.a.calls), len(named.b.calls)) == (0, 1)


def test_a_name_that_is_none_is_said_and_the_call_stays_here(named: Pair) -> None:
    named.zone.hosts.clear()
    assert named.up().is_up
    assert (len(named.a.calls), len(named.b.calls)) == (1, 0)
    assert named.a.logged("not taken by b: there is no server for b.example.com in the DNS")


def test_of_several_addresses_the_next_is_tried(named: Pair) -> None:
    named.zone.hosts["b.example.com"] = ["127.0.0.201", OTHER]
    phone = named.a.phone("127.0.0.2")
    phone.dial("3000")
    named.run(5)
    assert phone.is_up and len(named.b.calls) == 1
    assert named.a.calls.counters["not_forwarded"] == 0


def test_while_a_name_is_looked_up_nobody_waits_but_its_callers_and_they_ask_once(named: Pair) -> None:
    named.zone.slow = True
    phones = [named.a.phone(f"127.0.0.{number}") for number in (2, 3, 4)]
    for phone in phones:
        phone.dial("3000")
    named.listed_hosts = {phone.address for phone in phones}
    named.run(0.5)
    named.a.calls.placement = None
    other = named.a.phone("127.0.0.9")
    other.dial("3000")
    named.run(0.3)
    assert other.is_up and not any(phone.is_up for phone in phones)
    assert named.zone.asked == ["b.example.com"]
    named.zone.answer()
    named.run(0.3)
    assert all(phone.is_up for phone in phones) and len(named.b.calls) == 3


def test_name_servers_that_say_nothing_are_waited_for_no_longer_than_4_seconds(named: Pair) -> None:
    named.zone.slow = True
    phone = named.a.phone("127.0.0.2")
    phone.dial("3000")
    named.run(3.5)
    assert not phone.is_up
    named.run(1.0)
    assert phone.is_up and len(named.a.calls) == 1
    assert named.a.logged("not taken by b: the name servers say nothing of b.example.com")
    named.zone.answer()
    named.run(0.3)
    assert len(named.b.calls) == 0


def test_who_gives_up_while_a_name_is_looked_up_is_not_forwarded(named: Pair) -> None:
    named.zone.slow = True
    phone = named.a.phone("127.0.0.2")
    phone.dial("3000")
    named.run(0.5)
    phone.hang_up()
    named.run(0.5)
    assert phone.ending is not None and phone.ending.cause.value == "cancelled"
    named.zone.answer()
    named.run(6)
    assert len(named.a.calls) == len(named.b.calls) == 0
    assert named.a.calls.counters["not_forwarded"] == 0


def test_a_forwarded_call_is_not_sent_on_again(pair: Pair) -> None:
    """Also by a node that is being drained to others by name."""
    pair.b.calls.away = Away([URI("sip", host="192.0.2.77")])
    assert pair.up().is_up
    assert (len(pair.a.calls), len(pair.b.calls)) == (1, 0)


def test_with_no_other_node_and_no_room_here_there_is_none(pair: Pair) -> None:
    pair.a.overloaded = pair.b.overloaded = True
    phone = pair.a.phone("127.0.0.2")
    phone.dial("3000")
    pair.run(1)
    assert phone.refusal is not None and phone.refusal.status == 503


def test_a_caller_who_gives_up_meanwhile_is_given_up(pair: Pair) -> None:
    pair.a.calls.placement = Chosen(("c", "127.0.0.201"), ("b", OTHER))
    phone = pair.a.phone("127.0.0.2")
    phone.dial("3000")
    pair.run(1)
    phone.hang_up()
    pair.run(8)
    assert phone.ending is not None and phone.ending.cause.value == "cancelled"
    assert len(pair.a.calls) == len(pair.b.calls) == 0


# What is not believed


def forwarded_by_hand(pair: Pair, value: str | None) -> Response:
    """b's answer to a call that somebody at 127.0.0.9 says is forwarded."""
    request = pair.b.invite_by_hand(f"sip:3000@{OTHER};xconf=placed", call_id=f"hand{len(pair.b.wire)}")
    if value is not None:
        request.headers.set(HEADER, value)
    pair.b.answers_to(request)
    answers = [message for message in pair.b.sent("SIP/2.0") if message.call_id == request.call_id]
    return next(message for message in answers if isinstance(message, Response) and message.status > 100)


def genuine(pair: Pair) -> str:
    """What a has written about a call."""
    pair.up("127.0.0.2")
    invites = [message for message in pair.a.sent("INVITE") if isinstance(message, Request)]
    return invites[-1].headers.get(HEADER) or ""


def test_neither_forged_nor_stolen_is_it_believed(pair: Pair) -> None:
    value = genuine(pair)
    for other in (None, "from=127.0.0.2;trunk=;by=a;at=0;seal=00", value, value.replace("127.0.0.2", "127.0.0.9")):
        assert forwarded_by_hand(pair, other).status == 403
    assert len(pair.b.calls) == 1


def test_a_caller_cannot_write_it_himself(pair: Pair) -> None:
    value = genuine(pair)
    pair.up("127.0.0.3", headers=[(HEADER, value)])
    assert sorted(call.host for call in pair.b.calls) == ["127.0.0.2", "127.0.0.3"]


def test_a_node_whose_clock_is_an_hour_off_forwards_in_vain_and_says_so(pair: Pair) -> None:
    forwarding = pair.b.calls.forwarding
    assert forwarding is not None
    forwarding.placements._once.clock = lambda: pair.day + 3600
    phone = pair.a.phone("127.0.0.2")
    phone.dial("3000")
    pair.run(1)
    assert phone.refusal is not None and phone.refusal.status == 403
    assert pair.b.logged("not believed")


def test_a_trunk_that_only_the_first_node_knows(pair: Pair) -> None:
    pair.a.rules.trunks = {"127.0.0.2"}
    pair.b.rules.trunk_named = lambda name: None  # type: ignore[method-assign]
    assert pair.up("127.0.0.2").is_up
    assert (len(pair.a.calls), len(pair.b.calls)) == (1, 0)
    assert pair.b.logged("a has forwarded a call of trunk trunk, which is not known here")


@pytest.mark.parametrize(("text", "network"), [("192.0.2.0/24", True), ("192.0.2.1", True), ("carrier", False)])
def test_networks_and_trunks_are_listed(text: str, network: bool) -> None:
    one = Forwarded.parse(text)
    assert (one.network is not None) is network
    assert str(one) == (text if "/" in text or not network else f"{text}/32")


def test_a_thousand_forwarded_calls_leave_nothing_on_either_node(pair: Pair) -> None:
    def calls(count: int) -> None:
        phone = pair.a.phones[0] if pair.a.phones else pair.a.phone("127.0.0.2")
        for number in range(count):
            phone.dial("3000")
            pair.run(0.08)
            assert phone.is_up
            if number % 2:
                phone.hang_up()
            else:
                for call in tuple(pair.b.calls):
                    call.hangup("over")
            pair.run(0.08)
            for office in (pair.a, pair.b):
                office.wire.clear()
                office.lines.clear()
                office.events.clear()
            phone.forget()
        phone.events.clear()
        phone.session = None
        for office in (pair.a, pair.b):
            office.sleep(50)

    calls(20)
    before = held()
    calls(1000)
    # Less is possible: what other tests have left behind is freed meanwhile.
    assert all(count <= before[kind] for kind, count in held().items())
    assert len(pair.b.calls) == len(pair.a.calls) == 0


def held() -> dict[str, int]:
    gc.collect()
    kinds = (Passage, ServerTransaction, Calls)
    return {kind.__name__: sum(isinstance(found, kind) for found in gc.get_objects()) for kind in kinds}
