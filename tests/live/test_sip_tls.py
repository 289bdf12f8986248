"""SIP over TLS on real sockets: who is believed, who is refused and why, and certificates renewed meanwhile."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bed_stand import SDP, Stand
from tls_world import Authority

from xconf.sip.tls.files import Files
from xconf.sip.tls.ports import Security, load
from xconf.sip.useragent import Answered, Confirmed, Ended, Invited

ANN, BOB = "127.0.0.85", "127.0.0.86"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def make_stand() -> Iterator[Callable[..., Stand]]:
    stands: list[Stand] = []

    def make(address: str, files: Files, verify: Any = "never") -> Stand:
        stands.append(Stand(f"tls://{address}:0", security=Security(load(files), verify)))
        return stands[-1]

    yield make
    for stand in stands:
        stand.stop()


def together(ann: Stand, bob: Stand, done: Callable[[], object]) -> None:
    def look() -> object:
        bob.spin()
        return done()

    ann.wait(look)


def call(ann: Stand, bob: Stand, name: str) -> Any:
    """Ann calls Bob, who must be `name`."""
    bob.accept_all()
    flow = ann.service.flow_to("tls", bob.address("tls"), (name,))
    session = ann.service.user_agent.invite("sips:bob@x", sdp=SDP, from_="<sip:ann@x>", flow=flow, now=ann.now)
    together(ann, bob, lambda: ann.seen(Answered) or ann.seen(Ended))
    return session


def why(ann: Stand, bob: Stand) -> str:
    return ann.service.why_failed(ann.service.flow_to("tls", bob.address("tls")))


@pytest.mark.parametrize("name", ["pbx.example.com", BOB])
def test_a_call_over_tls(authority: Authority, make_stand: Callable[..., Stand], name: str) -> None:
    """By the name of the domain, and by an address that the certificate states."""
    ann = make_stand(ANN, authority.issue("ann", "ann.example.com"))
    bob = make_stand(BOB, authority.issue("bob", "pbx.example.com", BOB))
    session = call(ann, bob, name)
    together(ann, bob, lambda: bob.seen(Confirmed))
    invite = bob.seen(Invited)[0].request
    assert invite.via.transport == "TLS"
    assert invite.contact.uri.transport == "tls"
    session.hangup(ann.now)
    together(ann, bob, lambda: bob.seen(Ended) and not ann.service.user_agent.transactions.unanswered)
    assert bob.service.user_agent.counters["tls_refused"] == 0


def test_a_certificate_of_another_domain_is_refused(authority: Authority, make_stand: Callable[..., Stand]) -> None:
    ann = make_stand(ANN, authority.issue("ann"))
    bob = make_stand(BOB, authority.issue("bob", "other.example.com"))
    call(ann, bob, "pbx.example.com")
    assert ann.seen(Ended)[0].cause.value == "transport"
    assert why(ann, bob) == "its certificate is for other.example.com, not for pbx.example.com"
    assert bob.seen(Invited) == []


def test_an_expired_certificate_is_refused(authority: Authority, make_stand: Callable[..., Stand]) -> None:
    ann = make_stand(ANN, authority.issue("ann"))
    bob = make_stand(BOB, authority.issue("bob", "pbx.example.com", days=-2))
    call(ann, bob, "pbx.example.com")
    assert why(ann, bob) == "its certificate has expired"
    assert bob.seen(Invited) == []


def test_a_certificate_of_an_unknown_authority_is_refused(
    authority: Authority, tmp_path: Path, make_stand: Callable[..., Stand]
) -> None:
    ann = make_stand(ANN, authority.issue("ann"))
    bob = make_stand(BOB, Authority(tmp_path / "other", "stranger").issue("bob", "pbx.example.com"))
    call(ann, bob, "pbx.example.com")
    assert why(ann, bob) == (
        "the certificate of 'stranger', on which its own rests, goes back to a root that is not among the trusted"
    )


def test_the_names_of_a_callers_certificate_are_known(authority: Authority, make_stand: Callable[..., Stand]) -> None:
    ann = make_stand(ANN, authority.issue("ann", "carrier.example.com", "sip:example.net"))
    bob = make_stand(BOB, authority.issue("bob", "pbx.example.com"), "optional")
    call(ann, bob, "pbx.example.com")
    assert bob.seen(Invited)[0].session.flow.names == ("example.net", "carrier.example.com")


@pytest.mark.parametrize(("verify", "comes_in"), [("optional", True), ("required", False)])
def test_a_caller_without_a_certificate(
    authority: Authority, make_stand: Callable[..., Stand], verify: str, comes_in: bool
) -> None:
    ann = make_stand(ANN, authority.issue("ann"))
    ann.service.connections._security = Security(load(Files(ca=authority.path)))
    bob = make_stand(BOB, authority.issue("bob", "pbx.example.com"), verify)
    call(ann, bob, "pbx.example.com")
    assert [event.session.flow.names for event in bob.seen(Invited)] == [()] * comes_in
    assert bool(ann.seen(Answered)) is comes_in
    assert bob.service.user_agent.counters["tls_refused"] == (not comes_in)


def test_a_caller_whose_certificate_is_not_believed(
    authority: Authority, tmp_path: Path, make_stand: Callable[..., Stand]
) -> None:
    stranger = Authority(tmp_path / "other", "stranger").issue("ann", "carrier.example.com")
    ann = make_stand(ANN, Files(stranger.certificate, stranger.key, authority.path))
    bob = make_stand(BOB, authority.issue("bob", "pbx.example.com"), "optional")
    call(ann, bob, "pbx.example.com")
    assert bob.seen(Invited) == []
    together(ann, bob, lambda: bob.service.user_agent.counters["tls_refused"])


def test_a_renewed_certificate_is_shown_to_the_next_and_old_connections_go_on(
    authority: Authority, make_stand: Callable[..., Stand]
) -> None:
    files = authority.issue("bob", "pbx.example.com", days=1)
    bob = make_stand(BOB, files)
    context = ssl.create_default_context(cafile=str(authority.path))

    def connected() -> ssl.SSLSocket:
        raw = socket.create_connection(bob.address("tls"))
        raw.setblocking(False)
        secured = context.wrap_socket(raw, server_hostname="pbx.example.com", do_handshake_on_connect=False)

        def shaken() -> bool:
            try:
                secured.do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return False
            return True

        bob.wait(shaken)
        return secured

    def answered(client: ssl.SSLSocket) -> bool:
        client.send(b"\r\n\r\n")
        heard: list[bytes] = []

        def look() -> bool:
            try:
                heard.append(client.recv(100))
            except ssl.SSLWantReadError:
                return False
            return True

        bob.wait(look)
        return heard == [b"\r\n"]

    first = connected()
    authority.issue("bob", "pbx.example.com", days=80)
    security = bob.service.connections._security
    assert security is not None
    security.contexts = load(files)
    second = connected()
    assert [one.getpeercert()["notAfter"] != second.getpeercert()["notAfter"] for one in (first, second)] == [
        True,
        False,
    ]
    assert answered(first) and answered(second)
    first.close()
    second.close()


def test_a_stop_closes_connections_of_tls(authority: Authority, make_stand: Callable[..., Stand]) -> None:
    ann = make_stand(ANN, authority.issue("ann"))
    bob = make_stand(BOB, authority.issue("bob", "pbx.example.com"))
    call(ann, bob, "pbx.example.com").hangup(ann.now)
    together(ann, bob, lambda: bob.seen(Ended) and not ann.service.user_agent.transactions.unanswered)
    bob.service.stopService()
    together(ann, bob, lambda: not len(bob.service.connections) and not len(ann.service.connections))


def test_a_failure_that_is_over_is_not_told_any_more(authority: Authority, make_stand: Callable[..., Stand]) -> None:
    files = authority.issue("bob", "other.example.com")
    ann, bob = make_stand(ANN, authority.issue("ann")), make_stand(BOB, files)
    call(ann, bob, "pbx.example.com")
    assert why(ann, bob)
    authority.issue("bob", "pbx.example.com")
    security = bob.service.connections._security
    assert security is not None
    security.contexts = load(files)
    call(ann, bob, "pbx.example.com")
    together(ann, bob, lambda: ann.seen(Answered))
    assert why(ann, bob) == ""
