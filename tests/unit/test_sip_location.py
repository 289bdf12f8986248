"""From a domain to its servers (RFC 3263): NAPTR, SRV, addresses, and in which order they are tried."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from xconf.sip.location import MOST_SERVERS, Pointer, Question, Records, Server, Target, locate

A, B, C = "192.0.2.1", "192.0.2.2", "2001:db8::3"
ZONE: dict[str, Records] = {
    "NAPTR example.com": [
        Pointer(20, 50, "SIP+D2U", "_sip._udp.example.com"),
        Pointer(10, 50, "SIPS+D2T", "_sips._tcp.example.com"),
        Pointer(20, 10, "SIP+D2T", "_sip._tcp.example.com"),
        Pointer(5, 10, "E2U+sip", "nowhere.example.com"),
    ],
    "SRV _sip._udp.example.com": [Server(20, 0, 5070, "b.example.com"), Server(10, 0, 5060, "a.example.com")],
    "SRV _sip._tcp.example.com": [Server(10, 0, 5062, "a.example.com")],
    "SRV _sips._tcp.example.com": [Server(10, 0, 5061, "b.example.com")],
    "SRV _sip._tcp.plain.net": [Server(0, 0, 5080, "a.example.com")],
    "SRV _sip._udp.closed.net": [Server(0, 0, 0, ".")],
    "address a.example.com": [A],
    "address b.example.com": [B, C],
    "address bare.net": [A, C],
    "address closed.net": [A],
}


def found(host: str, *arguments: Any, zone: dict[str, Records] = ZONE, seed: int = 1, **options: Any) -> list[Target]:
    search = locate(host, *arguments, rng=random.Random(seed), **options)
    try:
        question: Question = next(search)
        while True:
            question = search.send(zone.get(f"{question.kind.value} {question.name}", []))
    except StopIteration as end:
        return list(end.value)


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        ((A,), [("udp", (A, 5060))]),
        ((C, None, "tls"), [("tls", (C, 5061))]),
        ((A, 5090, "tcp"), [("tcp", (A, 5090))]),
        (("b.example.com", 5090), [("udp", (B, 5090)), ("udp", (C, 5090))]),
        (("example.com", None, "udp"), [("udp", (A, 5060)), ("udp", (B, 5070)), ("udp", (C, 5070))]),
        (("example.com", None, "tcp"), [("tcp", (A, 5062))]),
        (("example.com",), [("tls", (B, 5061)), ("tls", (C, 5061))]),
        (("plain.net",), [("tcp", (A, 5080))]),
        (("bare.net",), [("udp", (A, 5060)), ("udp", (C, 5060))]),
        (("bare.net", None, "tls"), [("tls", (A, 5061)), ("tls", (C, 5061))]),
        (("closed.net",), []),
        (("nowhere.net",), []),
    ],
)
def test_where_a_domain_is(arguments: tuple[Any, ...], targets: list[Target]) -> None:
    assert found(*arguments) == targets


def test_only_transports_that_we_have_count() -> None:
    assert found("example.com", transports=["udp", "tcp"]) == [("tcp", (A, 5062))]


def test_a_secure_address_is_reached_by_tls_alone() -> None:
    assert found("plain.net", secure=True, zone={**ZONE, "address plain.net": [B]}) == [("tls", (B, 5061))]
    assert {way for way, _ in found("example.com", secure=True)} == {"tls"}


def test_servers_of_one_priority_share_by_weight() -> None:
    zone: dict[str, Records] = {
        "SRV _sip._udp.many.net": [Server(1, 30, 5060, A), Server(1, 10, 5060, B), Server(2, 99, 5060, "192.0.2.9")]
    }
    tried = [found("many.net", None, "udp", zone=zone, seed=seed) for seed in range(400)]
    assert all(targets[2] == ("udp", ("192.0.2.9", 5060)) for targets in tried)
    first = Counter(targets[0][1][0] for targets in tried)
    assert 250 < first[A] < 350
    assert first[A] + first[B] == 400


def test_an_answer_without_end_is_cut() -> None:
    zone: dict[str, Records] = {"SRV _sip._udp.huge.net": [Server(1, 1, port, A) for port in range(1, 5000)]}
    assert len(found("huge.net", None, "udp", zone=zone)) == MOST_SERVERS
