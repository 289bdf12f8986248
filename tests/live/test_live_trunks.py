"""Trunks against a real registrar and proxy: kamailio over UDP, TCP and TLS, and phones that call through it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bed_audio import tone_level
from bed_crew import Phones
from bed_dns import NameServer
from bed_kamailio import DOMAIN, PASSWORD, Kamailio
from bed_phones import own_address, wait_for
from bed_server import Server
from bed_sipp import SippRun
from bed_stand import SDP, Stand
from tls_world import Authority

from xconf.sip.tls.ports import Security, load
from xconf.sip.useragent import Answered, Ended

NUMBER = "+493012345"
QUIET = {
    "default": {"member_welcome": "", "member_join": "", "member_leave": "", "member_alone": "", "alone_sound": False}
}


@pytest.fixture
def make_kamailio(tmp_path: Path) -> Iterator[Callable[..., Kamailio]]:
    made: list[Kamailio] = []

    def make(**options: Any) -> Kamailio:
        made.append(Kamailio(tmp_path / f"kamailio{len(made)}", **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def trunk(kamailio: Kamailio, **options: Any) -> dict[str, Any]:
    return {
        "registrar": kamailio.address,
        "domain": DOMAIN,
        "username": "conf",
        "password": PASSWORD,
        "register": True,
        "media": ["127.0.0.1/32"],  # the phones', which the exchange leaves to themselves
        "retry": 1,
        "dialplan": [{"number": r"\+493012345", "conference": "3000", "flags": "+speaker"}],
    } | options


def state(server: Server) -> dict[str, Any]:
    (found,) = server.data("trunks")
    return dict(found)


def wait_registered(server: Server, timeout: float = 10) -> dict[str, Any]:
    try:
        wait_for(lambda: state(server)["registration"] == "registered", timeout, "registered")
    except AssertionError as error:
        raise AssertionError(f"{error}: {state(server)}\n{server.log()[-3000:]}") from None
    return state(server)


def sip(address: str, *transports: str, **more: Any) -> dict[str, Any]:
    ports = {"udp": 5060, "tcp": 5060, "tls": 5061}
    return {"listen": [f"{one}://{address}:{ports[one]}" for one in transports], **more}


def tls(files: Any, **more: Any) -> dict[str, Any]:
    return {"certificate": str(files.certificate), "key": str(files.key), "ca": str(files.ca), **more}


def carrier(server_settings: dict[str, Any], **its: Any) -> dict[str, Any]:
    return {"sip": {**server_settings, "trunks": {"carrier": its}}, "profiles": QUIET}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_number_of_a_registered_trunk_reaches_its_conference(
    transport: str,
    make_kamailio: Callable[..., Kamailio],
    make_server: Callable[..., Server],
    phones: Phones,
    tmp_path: Path,
) -> None:
    """The number is in To alone, as the registrar puts our user in its place; the exchange says who calls."""
    authority, address = Authority(tmp_path / "ca"), own_address()
    secure = transport == "tls"
    algorithm = "SHA-256" if transport == "tcp" else "MD5"
    files = authority.issue("kamailio", DOMAIN) if secure else None
    kamailio = make_kamailio(files=files, verify=secure, algorithm=algorithm)
    more = {"tls": tls(authority.issue("xconf", address))} if secure else {}
    names = {"certificate_name": DOMAIN} if secure else {}
    settings = sip(address, *dict.fromkeys(("udp", transport)), **more)
    its = trunk(kamailio, transport=transport, options_interval=1, **names)
    server = make_server(carrier(settings, **its), address)
    found = wait_registered(server)
    assert found["server"].startswith(f"{transport} {kamailio.address}")
    assert found["expires"] > 500
    wait_for(lambda: state(server)["reachable"], 5, "the exchange is reachable")
    assert kamailio.heard("REGISTER", transport) >= 2

    ann = phones.baresip("ann", account=f';outbound="sip:{kamailio.address}"')
    bob = phones.baresip("bob", tone=1013)
    bob.dial(server.uri("3000"))
    ann.dial(f"sip:{NUMBER}@{DOMAIN}")
    callers = {member["caller"] for member in server.wait_members("3000", 2)}
    assert "Ann Asserted <+49301111>" in callers
    time.sleep(2)
    ann.hangup()
    bob.hangup()
    server.wait_members("3000", 0)
    ann.stop()
    assert tone_level(ann.recording().samples[-8000:], 1013) > -22
    server.stop()
    assert "registered" in server.log()


def test_an_exchange_that_dies_and_comes_back_has_us_again(
    make_kamailio: Callable[..., Kamailio], make_server: Callable[..., Server]
) -> None:
    address, kamailio = own_address(), make_kamailio()
    its = trunk(kamailio, transport="tcp", options_interval=1)
    server = make_server(carrier(sip(address, "udp", "tcp"), **its), address)
    wait_registered(server)
    kamailio.stop()
    wait_for(lambda: state(server)["reachable"] is False, 10, "not reachable")
    found = wait_for(lambda: (now := state(server))["registration"] == "waiting" and now, 10, "not registered")
    assert kamailio.address in found["error"] or "lost" in found["error"]
    assert "registered" not in server.ctl("trunks")
    kamailio.start()
    wait_registered(server, 15)
    wait_for(lambda: state(server)["reachable"], 10, "reachable again")
    server.stop()
    told = [line for line in server.log().splitlines() if "trunk carrier: " in line]
    assert any("waiting" in line for line in told)
    assert len(told) < 20


def test_a_wrong_password_is_shown_and_tried_once(
    make_kamailio: Callable[..., Kamailio], make_server: Callable[..., Server]
) -> None:
    """Nobody locks our account for it; with the right one in the configuration it is tried at once."""
    address, kamailio = own_address(), make_kamailio()
    its = trunk(kamailio, password="incorrect")
    server = make_server(carrier(sip(address, "udp"), **its), address)
    found = wait_for(lambda: (now := state(server))["registration"] == "refused" and now, 10, "refused")
    assert "refuses user or password (401)" in found["error"]
    assert found["retry"] > 100
    time.sleep(3)
    assert kamailio.heard("REGISTER") == 2
    server.config.write_text(server.config.read_text().replace("incorrect", PASSWORD))
    server.ctl("reload")
    wait_registered(server)
    assert "incorrect" not in server.log() and PASSWORD not in server.log()
    server.stop()


@pytest.mark.parametrize(
    ("names", "days", "text"),
    [
        ((DOMAIN,), -1, "its certificate has expired"),
        (("other.example",), 90, f"its certificate is for other.example, not for {DOMAIN}"),
    ],
)
def test_an_exchange_without_a_good_certificate_is_refused(
    names: tuple[str, ...],
    days: float,
    text: str,
    make_kamailio: Callable[..., Kamailio],
    make_server: Callable[..., Server],
    tmp_path: Path,
) -> None:
    authority, address = Authority(tmp_path / "ca"), own_address()
    kamailio = make_kamailio(files=authority.issue("kamailio", *names, days=days))
    its = trunk(kamailio, transport="tls", certificate_name=DOMAIN)
    server = make_server(carrier(sip(address, "udp", tls={"ca": str(authority.path)}), **its), address)
    found = wait_for(lambda: (now := state(server))["error"] and now, 10, "an error")
    assert text in found["error"]
    assert text in server.ctl("trunks")
    assert kamailio.heard("REGISTER") == 0
    authority.issue("kamailio", DOMAIN)
    kamailio.stop()
    kamailio.start()
    wait_registered(server)
    server.stop()


def test_a_phone_over_tls_dials_in(make_server: Callable[..., Server], phones: Phones, tmp_path: Path) -> None:
    """And hears the others; the certificate is renewed meanwhile, which the call does not notice."""
    authority, address = Authority(tmp_path / "ca"), own_address()
    files = authority.issue("xconf", address, days=1)
    server = make_server({"sip": sip(address, "udp", "tls", tls=tls(files)), "profiles": QUIET}, address)
    ann = phones.baresip("ann", transport="tls", config=f"sip_cafile {authority.path}\nsip_verify_server yes\n")
    bob = phones.baresip("bob", tone=1013)
    bob.dial(server.uri("3000"))
    ann.dial(f"sip:3000@{address}:5061;transport=tls")
    server.wait_members("3000", 2)
    authority.issue("xconf", address, days=80)
    server.ctl("reload")
    wait_for(lambda: "reloaded" in server.log(), 5, "reloaded")
    time.sleep(1.5)
    ann.hangup()
    ann.stop()
    bob.hangup()
    assert tone_level(ann.recording().samples[-8000:], 1013) > -22
    assert "expires" in server.log()  # the first one, soon
    server.stop()


def test_servers_are_found_by_the_dns_and_the_second_takes_over(
    make_kamailio: Callable[..., Kamailio], make_server: Callable[..., Server], tmp_path: Path
) -> None:
    """NAPTR says TCP, SRV names two servers; when the first one goes, the second has us."""
    address, first, second = own_address(), make_kamailio(), make_kamailio()
    zone = [
        (DOMAIN, "NAPTR", (10, 10, b"s", b"SIP+D2T", b"", f"_sip._tcp.{DOMAIN}")),
        (f"_sip._tcp.{DOMAIN}", "SRV", (10, 0, 5060, f"a.{DOMAIN}")),
        (f"_sip._tcp.{DOMAIN}", "SRV", (20, 0, 5060, f"b.{DOMAIN}")),
        (f"a.{DOMAIN}", "A", (first.address,)),
        (f"b.{DOMAIN}", "A", (second.address,)),
    ]
    names = NameServer(tmp_path, zone)
    try:
        its = trunk(first, registrar=DOMAIN)
        server = make_server(carrier(sip(address, "udp", "tcp", nameservers=[names.target]), **its), address)
        found = wait_registered(server)
        assert found["server"] == f"tcp {first.address}:5060"
        assert found["addresses"] == sorted([first.address, second.address])
        first.stop()
        wait_for(lambda: state(server)["server"] == f"tcp {second.address}:5060", 10, "at the second")
        wait_registered(server)
        server.stop()
    finally:
        names.stop()


@pytest.mark.parametrize(
    ("name", "status"), [("carrier.example", None), ("other.example", 403)], ids=["the trunk's", "another's"]
)
def test_a_call_is_the_trunks_by_its_certificate(
    name: str, status: int | None, make_server: Callable[..., Server], tmp_path: Path
) -> None:
    authority, address = Authority(tmp_path / "ca"), own_address()
    its = {"certificate_name": "carrier.example", "dialplan": [{"number": "77", "conference": "by-certificate"}]}
    secure = sip(address, "udp", "tls", tls=tls(authority.issue("xconf", address), verify_client="optional"), allow=[])
    server = make_server(carrier(secure, **its), address)
    caller = Stand(f"tls://{own_address()}:0", security=Security(load(authority.issue("caller", name))))
    try:
        flow = caller.service.flow_to("tls", (address, 5061), (address,))
        caller.service.user_agent.invite("sip:77@x", sdp=SDP, from_="<sip:a@x>", flow=flow, now=caller.now)
        caller.wait(lambda: caller.seen(Answered) or caller.seen(Ended))
        if status is None:
            caller.wait(lambda: server.members("by-certificate"))
            assert "(trunk carrier)" in server.log()
        else:
            assert caller.seen(Ended)[0].response.status == status
        for session in tuple(caller.service.user_agent.sessions):
            session.hangup(caller.now)
        caller.wait(lambda: not caller.service.user_agent.transactions.unanswered)
    finally:
        caller.stop()
    server.wait_idle()
    server.stop()


def free_port_of_ipv6() -> int:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.bind(("::1", 0))
        return int(probe.getsockname()[1])


def test_a_trunk_over_ipv6(
    make_kamailio: Callable[..., Kamailio], make_server: Callable[..., Server], phones: Phones
) -> None:
    """Signalling goes over IPv6; the phone behind the exchange has IPv4, and so has the sound."""
    address, six, own = own_address(), free_port_of_ipv6(), free_port_of_ipv6()
    kamailio = make_kamailio(six=six)
    its = trunk(kamailio, registrar=f"[::1]:{six}", transport="udp", options_interval=1)
    listen = {"listen": [f"udp://{address}:5060", f"udp://[::1]:{own}"]}
    server = make_server(carrier(listen, **its), address)
    found = wait_registered(server)
    assert found["server"] == f"udp [::1]:{six}"
    wait_for(lambda: state(server)["reachable"], 5, "the exchange is reachable")
    ann = phones.baresip("ann", account=f';outbound="sip:{kamailio.address}"')
    bob = phones.baresip("bob", tone=1013)
    bob.dial(server.uri("3000"))
    ann.dial(f"sip:{NUMBER}@{DOMAIN}")
    callers = {member["caller"] for member in server.wait_members("3000", 2)}
    assert "Ann Asserted <+49301111>" in callers
    assert "at ::1 (trunk carrier)" in server.log()
    time.sleep(1.5)
    ann.hangup()
    bob.hangup()
    server.wait_members("3000", 0)
    ann.stop()
    assert tone_level(ann.recording().samples[-8000:], 1013) > -22
    server.stop()


def test_a_phone_over_ipv6_is_heard_by_one_over_ipv4(make_server: Callable[..., Server], phones: Phones) -> None:
    """Signalling and sound of the one go over IPv6 alone."""
    address, port = own_address(), free_port_of_ipv6()
    listen = {"sip": {"listen": [f"udp://{address}:5060", f"udp://[::1]:{port}"], "allow": ["127.0.0.0/8", "::1"]}}
    server = make_server({**listen, "rtp": {"address6": "::1"}, "profiles": QUIET}, address)
    bob = phones.baresip("bob")
    bob.dial(server.uri("3000"))
    run = SippRun(phones.folder, "call", f"[::1]:{port}", "3000", address="::1", duration=3, frequency=1013)
    try:
        server.wait_members("3000", 2)
        time.sleep(2)
        bob.hangup()
        outcome = run.finish()
        assert outcome.status == 0 and outcome.successful, outcome.explain()
        assert "c=IN IP6 ::1" in outcome.messages
    finally:
        run.stop()
    bob.stop()
    assert tone_level(bob.recording().samples[-8000:], 1013) > -22
    server.stop()
