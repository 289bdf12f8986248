"""Digest authentication: the examples of the RFCs, and what a caller without the password may try."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from xconf.sip.digest import Challenger, Outcome, Verdict, digest, parse_fields, respond, strongest
from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.message import Request

URI = "sip:3000@example.com"
USERS = {"ann": "secret", "zoë": 'p"w\\é'}


def random() -> Callable[[int], bytes]:
    numbers = count(1)
    return lambda length: next(numbers).to_bytes(length, "big")


def challenger(**options: object) -> Challenger:
    return Challenger("xconf", b"key", random=random(), **options)  # type: ignore[arg-type]


def invite(*credentials: str, method: str = "INVITE", uri: str = URI) -> Request:
    return Request(method, uri, [("Authorization", value) for value in credentials])


def answer(challenge: str, user: str = "ann", password: str | None = None, **options: object) -> str:
    return respond(challenge, "INVITE", URI, user, password or USERS[user], **options)  # type: ignore[arg-type]


def outcome(asker: Challenger, request: Request, now: float = 1.0) -> Outcome:
    return asker.verify(request, USERS.get, now).outcome


RFC7616 = {
    "username": "Mufasa",
    "realm": "http-auth@example.org",
    "nonce": "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
    "uri": "/dir/index.html",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
}
RFC2617 = {
    "username": "Mufasa",
    "realm": "testrealm@host.com",
    "nonce": "dcd98b7102dd2f0e8b11d0f600bfb0c093",
    "uri": "/dir/index.html",
    "qop": "auth",
    "nc": "00000001",
    "cnonce": "0a4f113b",
}


@pytest.mark.parametrize(
    ("algorithm", "fields", "password", "expected"),
    [
        ("MD5", RFC7616, "Circle of Life", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", RFC7616, "Circle of Life", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ("MD5", RFC2617, "Circle Of Life", "6629fae49393a05397450978507c4ef1"),
    ],
)
def test_the_examples_of_the_rfcs(algorithm: str, fields: dict[str, str], password: str, expected: str) -> None:
    assert digest(algorithm, "GET", fields, password) == expected


def test_a_client_answers_the_example_of_the_rfc() -> None:
    asked = (
        'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=SHA-256,'
        ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
    )
    given = respond(asked, "GET", "/dir/index.html", "Mufasa", "Circle of Life", cnonce=RFC7616["cnonce"])
    assert parse_fields(given) == RFC7616 | {
        "response": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
        "opaque": "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS",
        "algorithm": "SHA-256",
    }
    assert "qop=auth, nc=00000001" in given


def test_challenges_offer_the_better_algorithm_first() -> None:
    values = challenger().challenge(1.0)
    assert [parse_fields(value)["algorithm"] for value in values] == ["SHA-256", "MD5"]
    assert all(parse_fields(value)["qop"] == "auth" and "stale" not in parse_fields(value) for value in values)
    assert parse_fields(challenger().challenge(1.0, stale=True)[0])["stale"] == "true"


@pytest.mark.parametrize("algorithm", ["SHA-256", "SHA-256-sess", "MD5", "MD5-sess"])
@pytest.mark.parametrize("user", ["ann", "zoë"])
def test_the_right_password(algorithm: str, user: str) -> None:
    asker = challenger(algorithms=[algorithm])
    request = invite(answer(asker.challenge(1.0)[0], user))
    assert asker.verify(request, USERS.get, 1.5) == Verdict(Outcome.ACCEPTED, user)


def test_the_wrong_password_an_unknown_user_and_no_credentials() -> None:
    asker = challenger()
    asked = asker.challenge(1.0)[0]
    assert outcome(asker, invite(answer(asked, password="guess"))) is Outcome.DENIED
    assert outcome(asker, invite(answer(asked, "bob", "secret"))) is Outcome.DENIED
    assert outcome(asker, invite()) is Outcome.MISSING


def test_an_unknown_user_is_computed_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    asker = challenger()
    request = invite(answer(asker.challenge(1.0)[0], "bob", "x"))
    computed: list[str] = []

    def counted(algorithm: str, *rest: object) -> str:
        computed.append(algorithm)
        return digest(algorithm, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("xconf.sip.digest.digest", counted)
    assert outcome(asker, request) is Outcome.DENIED
    assert computed == ["SHA-256"]


def test_credentials_for_another_realm_or_in_another_scheme_do_not_count() -> None:
    asker = challenger()
    other = answer(Challenger("elsewhere", b"key").challenge(1.0)[0])
    assert outcome(asker, invite(other, "Basic YTpi", "Digest =", "")) is Outcome.MISSING
    assert outcome(asker, invite(other, answer(asker.challenge(1.0)[0]))) is Outcome.ACCEPTED


def test_the_same_credentials_twice_are_stale() -> None:
    asker = challenger()
    request = invite(answer(asker.challenge(1.0)[0]))
    assert outcome(asker, request) is Outcome.ACCEPTED
    again = asker.verify(request, USERS.get, 2.0)
    assert again.stale and not again.accepted


def test_a_nonce_may_be_used_again_with_a_higher_count() -> None:
    asker = challenger()
    asked = asker.challenge(1.0)[0]
    results = [outcome(asker, invite(answer(asked, count=number))) for number in (1, 2, 10, 9)]
    assert results == [Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.ACCEPTED, Outcome.STALE]


def test_an_old_nonce_is_stale_and_a_foreign_one_too() -> None:
    asker = challenger(lifetime=60)
    request = invite(answer(asker.challenge(1.0)[0]))
    assert outcome(asker, request, 61.1) is Outcome.STALE
    assert outcome(asker, request, 0.5) is Outcome.STALE
    assert outcome(asker, request, 60.9) is Outcome.ACCEPTED
    foreign = invite(answer(Challenger("xconf", b"other key").challenge(1.0)[0]))
    assert outcome(asker, foreign) is Outcome.STALE
    made_up = invite(answer('Digest realm="xconf", nonce="é!", qop="auth", algorithm=MD5'))
    assert outcome(asker, made_up) is Outcome.STALE


def test_credentials_are_for_one_method_and_one_number() -> None:
    asker = challenger()
    given = answer(asker.challenge(1.0)[0])
    assert outcome(asker, invite(given, method="BYE")) is Outcome.DENIED
    assert outcome(asker, invite(given, uri="sip:1900@example.com")) is Outcome.DENIED
    assert outcome(asker, invite(given, uri="tel:3000")) is Outcome.DENIED
    changed = given.replace("3000@", "1900@")
    assert outcome(asker, invite(changed, uri="sip:1900@example.com")) is Outcome.DENIED


def test_a_proxy_may_have_changed_the_host() -> None:
    asker = challenger()
    assert outcome(asker, invite(answer(asker.challenge(1.0)[0]), uri="sip:3000@192.0.2.7:5070")) is Outcome.ACCEPTED


def test_telephones_from_before_qop_can_use_a_nonce_once() -> None:
    asker = challenger(algorithms=["MD5"])
    request = invite(answer(asker.challenge(1.0)[0].replace(', qop="auth"', "")))
    assert "qop" not in parse_fields(request.headers.values("Authorization")[0])
    assert outcome(asker, request) is Outcome.ACCEPTED
    assert outcome(asker, request) is Outcome.STALE


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("qop=auth", "qop=auth-int"),
        ("nc=00000001", "nc=x"),
        ("nc=00000001, ", ""),
        ("algorithm=SHA-256", "algorithm=SHA-512"),
    ]
    + [
        ("cnonce=", "other="),
        ("response=", "other="),
        ("nonce=", "x="),
        ("uri=", "y="),
        ("algorithm=SHA-256", "algorithm=MD5"),
    ],
)
def test_incomplete_or_changed_credentials_are_denied(old: str, new: str) -> None:
    asker = challenger()
    given = answer(asker.challenge(1.0)[0])
    assert old in given
    assert outcome(asker, invite(given.replace(f" {old}", f" {new}"))) is Outcome.DENIED


def test_what_is_remembered_is_bounded_and_what_is_forgotten_stays_used() -> None:
    asker = challenger(most_nonces=3)
    requests = [invite(answer(asker.challenge(float(second))[0])) for second in range(1, 7)]
    assert [outcome(asker, request, 10.0) for request in requests] == [Outcome.ACCEPTED] * 6
    assert [outcome(asker, request, 10.0) for request in requests] == [Outcome.STALE] * 6


def test_nothing_secret_shows() -> None:
    asker = challenger()
    verdict = asker.verify(invite(answer(asker.challenge(1.0)[0])), USERS.get, 1.0)
    assert "secret" not in repr(asker) + repr(verdict) + repr(vars(asker).get("_counts"))


def test_a_client_takes_the_first_challenge_that_it_can_answer() -> None:
    usable = 'Digest realm="r", nonce="n", algorithm=md5, qop="auth-int,auth"'
    others = [
        "Basic realm=r",
        'Digest realm="r", nonce="n", algorithm=SHA-512-256',
        'Digest realm="r", nonce="n", qop="auth-int"',
        "Digest x",
    ]
    assert strongest([*others, usable]) == usable
    assert strongest(others) is None
    with pytest.raises(RemoteProtocolError):
        respond(others[1], "INVITE", URI, "ann", "secret")


def test_unknown_algorithms_are_our_mistake() -> None:
    with pytest.raises(LocalProtocolError):
        Challenger("r", b"s", algorithms=["SHA-1"])
