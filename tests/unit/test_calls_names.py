"""Names become addresses: what is asked of name servers, kept, and bounded."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns, error

from xconf.calls.names import Names, NamesError
from xconf.sip.location import Target

ZONE: dict[str, list[Any]] = {
    "lookupService _sip._udp.example.com": [dns.Record_SRV(10, 5, 5070, "b.example.com"), dns.Record_SRV(5, 5, 5060, "a.example.com")],
    "lookupAddress a.example.com": [dns.Record_A("192.0.2.1")],
    "lookupAddress b.example.com": [dns.Record_A("192.0.2.2")],
    "lookupIPV6Address b.example.com": [dns.Record_AAAA("2001:db8::2")],
}  # fmt: skip


class Resolver:
    """Answers from ZONE, after `delay` seconds. broken: nobody answers."""

    def __init__(self, clock: Clock, ttl: int = 60) -> None:
        self.clock = clock
        self.ttl = ttl
        self.zone = dict(ZONE)
        self.broken = False
        self.asked: Counter[str] = Counter()

    def __getattr__(self, lookup: str) -> Any:
        def look(name: str, timeout: Any) -> Deferred[Any]:
            self.asked[name] += 1
            if self.broken:
                return defer.fail(error.DNSQueryTimeoutError(1))
            found = self.zone.get(f"{lookup} {name}")
            if found is None:
                return defer.fail(error.DNSNameError())
            answers = [dns.RRHeader(name, record.TYPE, ttl=self.ttl, payload=record) for record in found]
            alias = dns.RRHeader(name, dns.CNAME, ttl=1, payload=dns.Record_CNAME("x"))
            return defer.succeed(([alias, *answers], [], []))

        return look


class Office:
    def __init__(self) -> None:
        self.clock = Clock()
        self.resolver = Resolver(self.clock)
        self.hosts: dict[str, list[str]] = {}
        self.names = Names(self.clock, self.resolver, lambda name: defer.succeed(self.hosts.get(name, [])))

    def locate(self, *arguments: Any, **options: Any) -> list[Target]:
        outcome: list[Any] = []
        self.names.locate(*arguments, **options).addBoth(outcome.append)
        assert outcome, "not answered"
        if isinstance(outcome[0], list):
            return outcome[0]
        raise outcome[0].value


@pytest.fixture
def office() -> Office:
    return Office()


def test_servers_of_a_domain(office: Office) -> None:
    assert office.locate("example.com") == [
        ("udp", ("192.0.2.1", 5060)),
        ("udp", ("192.0.2.2", 5070)),
        ("udp", ("2001:db8::2", 5070)),
    ]


def test_answers_are_kept_as_long_as_they_say(office: Office) -> None:
    office.locate("b.example.com", 5060)
    office.clock.advance(59)
    office.locate("b.example.com", 5060)
    assert office.resolver.asked["b.example.com"] == 2  # A and AAAA, once
    office.clock.advance(2)
    office.resolver.zone["lookupAddress b.example.com"] = [dns.Record_A("192.0.2.77")]
    assert office.locate("b.example.com", 5060)[0] == ("udp", ("192.0.2.77", 5060))


def test_that_there_is_none_is_kept_for_a_while(office: Office) -> None:
    for _ in range(3):
        with pytest.raises(NamesError, match="no server for nowhere.example"):
            office.locate("nowhere.example", 5060)
    assert office.resolver.asked["nowhere.example"] == 2
    office.clock.advance(31)
    office.resolver.zone["lookupAddress nowhere.example"] = [dns.Record_A("192.0.2.7")]
    assert office.locate("nowhere.example", 5060) == [("udp", ("192.0.2.7", 5060))]


def test_a_name_server_that_does_not_answer_is_a_failure_and_not_kept(office: Office) -> None:
    office.resolver.broken = True
    with pytest.raises(NamesError, match="no name server has an answer for example.com"):
        office.locate("example.com")
    office.resolver.broken = False
    assert office.locate("example.com")


def test_this_machines_own_list_comes_first(office: Office) -> None:
    office.hosts["b.example.com"] = ["127.0.0.9", "nonsense"]
    assert office.locate("b.example.com", 5060) == [("udp", ("127.0.0.9", 5060))]
    assert office.resolver.asked["b.example.com"] == 0


def test_addresses_ask_nobody(office: Office) -> None:
    office.resolver.broken = True
    assert office.locate("192.0.2.5", None, "tcp") == [("tcp", ("192.0.2.5", 5060))]


def test_what_is_kept_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xconf.calls.names.MOST_KEPT", 10)
    for number in range(30):
        with pytest.raises(NamesError):
            office.locate(f"{number}.example", 5060)
    assert len(office.names._kept) == 10
