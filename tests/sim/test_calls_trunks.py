"""Trunks in virtual time: which calls are theirs, by which way they are called, and what is told of them."""

from __future__ import annotations

import dataclasses
import ipaddress
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from phone_world import FakeReactor
from twisted.internet import defer
from twisted.internet.defer import Deferred

from xconf.calls.names import NamesError
from xconf.calls.trunk import Trunk, TrunkError, TrunkState
from xconf.calls.trunks import Destination, Trunks
from xconf.sip.flow import Flow
from xconf.sip.location import Target
from xconf.sip.message import Request, parse
from xconf.sip.transport import SIPService
from xconf.sip.uri import URI

US = ("127.0.0.1", 5060)


class FakeNames:
    """Knows what it is told."""

    def __init__(self) -> None:
        self.hosts: dict[str, list[str]] = {}

    def locate(
        self, host: str, port: int | None = None, transport: str | None = None, **_: Any
    ) -> Deferred[list[Target]]:
        addresses = self.hosts.get(host, [host] if host[0].isdigit() else [])
        if not addresses:
            return defer.fail(NamesError(f"there is no server for {host} in the DNS"))
        usual = transport or "udp"
        return defer.succeed([(usual, (address, port or (5061 if usual == "tls" else 5060))) for address in addresses])


class Exchange:
    """A telephone exchange on the fake network: answers all that it hears, or as told."""

    def __init__(self, office: Office, address: str) -> None:
        self.heard: list[Request] = []
        self.answer: Callable[[Request], int | None] = lambda request: 200
        self.port = office.reactor.listenUDP(5060, self, interface=address)  # type: ignore[arg-type]

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport

    def datagramReceived(self, data: bytes, source: Any) -> None:
        request = parse(data)
        assert isinstance(request, Request)
        self.heard.append(request)
        status = self.answer(request)
        if status is not None:
            contact = request.headers.get("Contact") or ""
            response = request.response(status, headers=[("Contact", contact), ("Expires", "600")], to_tag="x")
            self.transport.write(response.to_bytes(), source)


class Office:
    def __init__(self) -> None:
        self.reactor = FakeReactor()
        self.names = FakeNames()
        self.sip = SIPService(self.reactor, [f"udp://{US[0]}:{US[1]}"], lambda event: None, rng=random.Random(1))
        self.sip.startService()
        self.told: list[TrunkState] = []
        self.trunks = Trunks(self.sip, self.names, self.told.append)  # type: ignore[arg-type]

    def with_trunks(self, *trunks: Trunk) -> Trunks:
        self.trunks.adopt(trunks)
        self.trunks.start()
        self.reactor.run(0.1)
        return self.trunks

    def state(self, name: str = "carrier") -> TrunkState:
        return next(state for state in self.trunks.states() if state.name == name)

    def destination(self, *arguments: Any) -> Destination:
        outcome: list[Any] = []
        self.trunks.destination(*arguments).addBoth(outcome.append)
        assert outcome, "not answered"
        if isinstance(outcome[0], Destination):
            return outcome[0]
        raise outcome[0].value


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    made.trunks.stop()
    made.sip.stopService()


def invite(number: str = "3000", host: str = "127.0.0.1") -> Request:
    headers = [("From", "<sip:a@b>;tag=1"), ("To", f"<sip:{number}@{host}>")]
    return Request("INVITE", URI.parse(f"sip:{number}@{host}"), headers)


def source(address: str, *names: str) -> Flow:
    return Flow("tls" if names else "udp", US, (address, 5060), None, names)


CARRIER = Trunk(
    name="carrier",
    servers=(("sip.example.com", None),),
    domain="example.com",
    username="1001",
    credentials=("1001", "secret"),
    caller_id="+4930123",
)


# Calls that come in


def test_calls_are_known_by_the_addresses_that_a_name_leads_to_and_by_networks(office: Office) -> None:
    office.names.hosts["sip.example.com"] = ["192.0.2.1", "192.0.2.2"]
    office.with_trunks(
        CARRIER,
        Trunk(name="office", networks=(ipaddress.ip_network("198.51.100.0/24"),)),
        Trunk(name="six", networks=(ipaddress.ip_network("2001:db8::/32"),)),
    )
    who = {
        host: office.trunks.calling(invite(), source(host))
        for host in ("192.0.2.2", "198.51.100.9", "2001:db8::1", "192.0.2.3")
    }
    assert [trunk.name if trunk else None for trunk in who.values()] == ["carrier", "office", "six", None]


def test_a_name_that_moves_is_followed(office: Office) -> None:
    office.names.hosts["sip.example.com"] = ["192.0.2.1"]
    office.with_trunks(CARRIER)
    office.names.hosts["sip.example.com"] = ["192.0.2.8"]
    office.reactor.run(61)
    assert [office.trunks.at(host) for host in ("192.0.2.1", "192.0.2.8")] == [False, True]


def test_what_is_known_stays_when_the_name_servers_are_gone(office: Office) -> None:
    office.names.hosts["sip.example.com"] = ["192.0.2.1"]
    office.with_trunks(CARRIER)
    office.names.hosts.clear()
    office.reactor.run(300)
    assert office.trunks.at("192.0.2.1")
    assert "no server for sip.example.com" in office.state().error


def test_a_certificate_tells_the_trunk_wherever_the_call_comes_from(office: Office) -> None:
    office.with_trunks(Trunk(name="carrier", certificate="sip.example.com"))
    known = office.trunks.calling(invite(), source("203.0.113.5", "other.example", "sip.example.com"))
    assert known is not None
    assert known.name == "carrier"
    assert office.trunks.calling(invite(), source("203.0.113.5", "other.example")) is None
    assert office.trunks.calling(invite(), source("203.0.113.5")) is None


def test_a_user_tells_the_trunk(office: Office) -> None:
    office.with_trunks(Trunk(name="branch", users={"berlin": "secret"}), CARRIER)
    assert office.trunks.users == {"berlin": "secret"}
    assert office.trunks.of_user("berlin").name == "branch"  # type: ignore[union-attr]
    assert office.trunks.of_user("1001") is None


def test_of_two_accounts_at_one_carrier_the_one_that_is_dialled_counts(office: Office) -> None:
    one = Trunk(name="one", servers=(("192.0.2.1", None),), username="1001")
    two = Trunk(name="two", servers=(("192.0.2.1", None),), username="1002")
    office.with_trunks(one, two)
    assert [office.trunks.calling(invite(n), source("192.0.2.1")).name for n in ("1002", "1001", "77")] == [
        "two",
        "one",
        "one",
    ]  # type: ignore[union-attr]


# Calls that go out


def test_a_number_is_called_by_a_trunk(office: Office) -> None:
    office.names.hosts["sip.example.com"] = ["192.0.2.1", "192.0.2.2"]
    office.with_trunks(CARRIER)
    found = office.destination("0301234")
    assert str(found.uri) == "sip:0301234@example.com"
    assert [flow.remote for flow in found.flows] == [("192.0.2.1", 5060), ("192.0.2.2", 5060)]
    assert found.flows[0].local == US
    assert found.credentials == ("1001", "secret")
    assert str(found.from_) == "<sip:+4930123@example.com>"
    assert found.trunk == "carrier"


def test_over_tls_the_server_must_be_who_it_is_called(office: Office) -> None:
    office.names.hosts["sip.example.com"] = ["127.0.0.9"]
    plain = Trunk(name="plain", servers=(("sip.example.com", None),), transport="tls", domain="example.com")
    named = Trunk(name="named", servers=(("sip.example.com", None),), transport="tls", certificate="carrier.example")
    office.with_trunks(plain, named)
    assert office.destination("1", "plain").flows[0].names == ("sip.example.com",)
    assert office.destination("1", "named").flows[0].names == ("carrier.example",)


def test_a_uri_is_called_directly_or_by_a_trunk(office: Office) -> None:
    office.names.hosts |= {"example.net": ["192.0.2.7"], "sip.example.com": ["192.0.2.1"]}
    office.with_trunks(CARRIER)
    direct = office.destination("sip:ann@example.net:5070")
    assert (direct.flows[0].remote, direct.credentials, direct.trunk) == (("192.0.2.7", 5070), None, "")
    by_trunk = office.destination("sip:ann@example.net", "carrier")
    assert (str(by_trunk.uri), by_trunk.flows[0].remote) == ("sip:ann@example.net", ("192.0.2.1", 5060))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("123", "other"), "there is no trunk other; there are carrier"),
        (("12 3",), "'12 3' is neither a number nor a SIP URI"),
        (("mailto:a@b",), "'mailto:a@b' is not a SIP URI like sip:1001@192.0.2.10"),
        (("sip:",), "'sip:' is not a SIP URI"),
        (("sip:a@nowhere.example",), "no way to nowhere.example: there is no server for nowhere.example in the DNS"),
        (("123",), "trunk carrier: there is no server for sip.example.com in the DNS"),
    ],
)
def test_whom_nobody_can_call(office: Office, arguments: tuple[str, ...], text: str) -> None:
    office.with_trunks(CARRIER)
    with pytest.raises(TrunkError) as caught:
        office.destination(*arguments)
    assert text in str(caught.value)


def test_a_number_without_a_trunk(office: Office) -> None:
    with pytest.raises(TrunkError, match="a number needs a trunk"):
        office.destination("123")


def test_a_trunk_that_is_down_is_passed_over(office: Office) -> None:
    dead, alive = Exchange(office, "127.0.0.7"), Exchange(office, "127.0.0.8")
    dead.answer = lambda request: None
    first = Trunk(name="first", servers=(("127.0.0.7", None),), domain="d", options_interval=30)
    second = Trunk(name="second", servers=(("127.0.0.8", None),), domain="d", options_interval=30)
    office.with_trunks(first, second)
    office.reactor.run(60)
    assert office.destination("123").trunk == "second"
    assert alive.heard


# How a trunk fares


def test_the_state_of_a_registration(office: Office) -> None:
    exchange = Exchange(office, "127.0.0.9")
    office.names.hosts["sip.example.com"] = ["127.0.0.9"]
    office.with_trunks(
        Trunk(
            name="carrier", servers=(("sip.example.com", None),), domain="example.com", username="1001", register=True
        )
    )
    office.reactor.run(1)
    state = office.state()
    assert (state.registration, state.server, state.error) == ("registered", "udp 127.0.0.9:5060", "")
    assert state.expires == pytest.approx(599, abs=1)
    assert [told.registration for told in office.told] == ["registering", "registered"]
    exchange.answer = lambda request: 403
    office.reactor.run(600)
    state = office.state()
    assert (state.registration, state.error) == ("refused", "udp 127.0.0.9:5060: 403 Forbidden")
    assert state.retry is not None


def test_whether_a_trunk_is_there(office: Office) -> None:
    exchange = Exchange(office, "127.0.0.9")
    exchange.answer = lambda request: 404
    office.with_trunks(Trunk(name="carrier", servers=(("127.0.0.9", None),), domain="d", options_interval=30))
    office.reactor.run(2)
    assert office.state().reachable is True
    assert office.state().round_trip == pytest.approx(0.02, abs=0.01)
    exchange.answer = lambda request: None
    office.reactor.run(70)
    assert office.state().reachable is False
    assert office.state().error == "udp 127.0.0.9:5060: no answer to OPTIONS"
    exchange.answer = lambda request: 200
    office.reactor.run(70)
    assert [told.reachable for told in office.told] == [True, False, True]
    assert office.state().error == ""


def test_the_next_server_is_asked_when_one_is_gone(office: Office) -> None:
    gone, there = Exchange(office, "127.0.0.7"), Exchange(office, "127.0.0.8")
    gone.answer = lambda request: None
    office.with_trunks(
        Trunk(name="carrier", servers=(("127.0.0.7", None), ("127.0.0.8", None)), domain="d", options_interval=30)
    )
    office.reactor.run(100)
    assert there.heard
    assert office.state().reachable is True
    assert office.destination("1").flows[0].remote[0] == "127.0.0.8"


# Read again


def test_a_trunk_that_did_not_change_stays_registered_and_one_that_is_gone_is_unregistered(office: Office) -> None:
    one, two = Exchange(office, "127.0.0.7"), Exchange(office, "127.0.0.8")
    first = Trunk(name="first", servers=(("127.0.0.7", None),), domain="one", username="1", register=True)
    second = Trunk(name="second", servers=(("127.0.0.8", None),), domain="two", username="2", register=True)
    office.with_trunks(first, second)
    office.reactor.run(1)
    office.trunks.adopt([first])
    office.reactor.run(1)
    assert [request.headers.get("Expires") for request in one.heard] == ["3600"]
    assert [request.headers.get("Expires") for request in two.heard] == ["3600", "0"]
    assert not office.trunks.at("127.0.0.8")


def test_a_trunk_that_is_changed_does_not_end_its_own_new_registration(office: Office) -> None:
    exchange = Exchange(office, "127.0.0.7")
    trunk = Trunk(name="t", servers=(("127.0.0.7", None),), domain="d", username="1", register=True)
    office.with_trunks(trunk)
    office.reactor.run(1)
    office.trunks.adopt([dataclasses.replace(trunk, caller_id="77")])
    office.reactor.run(1)
    assert [request.headers.get("Expires") for request in exchange.heard] == ["3600", "3600"]
    office.trunks.adopt([dataclasses.replace(trunk, username="2")])
    office.reactor.run(1)
    assert [request.headers.get("Expires") for request in exchange.heard[2:]] == ["0", "3600"]


def test_the_stop_ends_all_registrations(office: Office) -> None:
    exchange = Exchange(office, "127.0.0.7")
    office.with_trunks(
        Trunk(name="t", servers=(("127.0.0.7", None),), domain="d", username="1", register=True, options_interval=10)
    )
    office.reactor.run(1)
    office.trunks.stop()
    office.reactor.run(50)
    assert [r.headers.get("Expires") for r in exchange.heard if r.method == "REGISTER"] == ["3600", "0"]
    assert office.sip.user_agent.sizes()["timers"] == 0
