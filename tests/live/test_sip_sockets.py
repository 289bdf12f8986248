"""The SIP service on real sockets of this machine: datagrams, connections, faults, start and stop."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from bed_stand import HOST, SDP, Stand
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.error import CannotListenError
from twisted.logger import globalLogPublisher

from xconf.sip.errors import LocalProtocolError
from xconf.sip.message import Message, Request, Response, parse
from xconf.sip.session import Session
from xconf.sip.transport import SIPService, parse_listen
from xconf.sip.useragent import Answered, Confirmed, Ended, Event, Invited


class Client:
    """A telephone's socket, and its messages by hand."""

    def __init__(self, stand: Stand, transport: str, address: str = "127.0.0.82") -> None:
        self.stand = stand
        self.transport = transport
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        self.socket = socket.socket(socket.AF_INET, kind)
        self.socket.bind((address, 0))
        self.socket.connect(stand.address(transport))
        self.socket.setblocking(False)
        self.host, self.port = self.socket.getsockname()
        self.number = 0
        self.heard = b""

    def request(self, method: str, *, to_tag: str = "", seq: int = 1, body: bytes = b"", contact: str = "") -> bytes:
        self.number += 1
        kind = "Content-Type: application/sdp\r\n" if body else ""
        contact = contact or f"<sip:{self.host}:{self.port};transport={self.transport}>"
        return (
            f"{method} sip:3000@{HOST} SIP/2.0\r\nVia: SIP/2.0/{self.transport.upper()} {self.host}:{self.port};rport"
            f";branch=z9hG4bK{self.port}-{self.number}\r\nFrom: <sip:ann@{self.host}>;tag=a\r\n"
            f"To: <sip:3000@{HOST}>{to_tag and f';tag={to_tag}'}\r\nCall-ID: {self.port}\r\nCSeq: {seq} {method}\r\n"
            f"Contact: {contact}\r\n{kind}Content-Length: {len(body)}\r\n\r\n"
        ).encode() + body

    def send(self, data: bytes) -> None:
        self.socket.send(data)

    def hear(self) -> bytes:
        """Some bytes; empty when the connection is closed."""
        heard: list[bytes] = []

        def look() -> bool:
            with contextlib.suppress(BlockingIOError):
                heard.append(self.socket.recv(65536))
            return bool(heard)

        self.stand.wait(look)
        return heard[0]

    def message(self) -> Message:
        """The next message (which comes in one piece here)."""
        while b"\r\n\r\n" not in self.heard:
            self.heard += self.hear()
        head, _, rest = self.heard.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        self.heard = rest[length:]
        return parse(head + b"\r\n\r\n" + rest[:length])

    def status(self) -> int:
        message = self.message()
        assert isinstance(message, Response)
        return message.status

    def call(self, **options: str) -> Response:
        """Up to the ACK; the 200."""
        self.send(self.request("INVITE", body=SDP, **options))
        response = self.message()
        assert isinstance(response, Response)
        assert response.status == 200
        before = len(self.stand.seen(Confirmed))
        self.send(self.request("ACK", to_tag=response.to.tag or "", **options))
        self.stand.wait(lambda: len(self.stand.seen(Confirmed)) > before)
        return response


@pytest.fixture
def make_stand() -> Iterator[Callable[..., Stand]]:
    stands: list[Stand] = []

    def make(*listen: str, **options: Any) -> Stand:
        stands.append(Stand(*listen, **options))
        return stands[-1]

    yield make
    for stand in stands:
        stand.stop()


@pytest.fixture
def stand(make_stand: Callable[..., Stand]) -> Stand:
    return make_stand()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_call(stand: Stand, transport: str) -> None:
    stand.accept_all()
    client = Client(stand, transport)
    response = client.call()
    contact = response.contact
    assert contact is not None
    assert (contact.uri.host, contact.uri.port) == stand.address(transport)
    client.send(client.request("BYE", to_tag=response.to.tag or "", seq=2))
    assert client.status() == 200
    assert [event.cause.value for event in stand.seen(Ended)] == ["bye"]


def test_what_a_session_is_asked_from_outside_goes_out_at_once(stand: Stand) -> None:
    stand.accept_all()
    client = Client(stand, "udp")
    client.call()
    session: Session = stand.seen(Invited)[0].session
    session.hangup(stand.now)
    bye = client.message()
    assert isinstance(bye, Request)
    assert bye.method == "BYE"


def test_timers_run(stand: Stand) -> None:
    """A 200 without ACK comes again after T1."""
    stand.accept_all()
    client = Client(stand, "udp")
    client.send(client.request("INVITE", body=SDP))
    assert [client.status() for _ in range(2)] == [200, 200]


def test_a_listener_on_all_addresses_names_one_that_the_peer_can_reach(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand("udp://0.0.0.0:0")
    stand.accept_all()
    port = stand.address("udp")[1]
    client = Client(stand, "udp")
    client.socket.connect(("127.0.0.1", port))
    contact = client.call().contact
    assert contact is not None
    assert (contact.uri.host, contact.uri.port) == ("127.0.0.1", port)


def test_a_fault_in_one_call_ends_that_call_alone(stand: Stand) -> None:
    logged: list[Any] = []
    globalLogPublisher.addObserver(logged.append)

    def faulty(event: Event) -> None:
        if isinstance(event, Invited) and len(stand.seen(Invited)) == 1:
            raise ValueError("what a pity")
        if isinstance(event, Invited):
            event.session.accept(SDP, stand.now)
        if isinstance(event, Confirmed):
            raise ValueError("again")

    stand.react = faulty
    try:
        first, second = Client(stand, "udp"), Client(stand, "udp")
        first.send(first.request("INVITE", body=SDP))
        assert first.status() == 500
        second.call()
        bye = second.message()
        assert isinstance(bye, Request)
        assert bye.method == "BYE"
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert stand.service.user_agent.counters["faults"] == 2
    assert sum("log_failure" in entry for entry in logged) == 2
    assert [event.cause.value for event in stand.seen(Ended)] == ["rejected", "local"]


def test_datagrams_of_any_kind_do_no_harm(stand: Stand) -> None:
    client = Client(stand, "udp")
    for data in (b"", b"\r\n\r\n", b"\xff" * 60_000, b"INVITE", b"SIP/2.0 200 OK\r\n\r\n"):
        client.send(data)
    client.send(client.request("OPTIONS"))
    assert client.status() == 200
    assert stand.service.user_agent.counters["malformed"] == 3


def test_an_address_that_is_taken_is_named_and_nothing_stays_open(make_stand: Callable[..., Stand]) -> None:
    taken = socket.socket()
    taken.bind((HOST, 0))
    taken.listen()
    port = taken.getsockname()[1]
    reactor = EPollReactor()
    service = SIPService(reactor, [f"udp://{HOST}:{port}", f"tcp://{HOST}:{port}"], lambda event: None)
    with pytest.raises(CannotListenError) as caught:
        service.startService()
    assert f"{HOST}:{port}" in str(caught.value)
    assert "\n" not in str(caught.value)
    reactor.runUntilCurrent()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind((HOST, port))
    taken.close()


def test_listen_urls() -> None:
    assert parse_listen("udp://127.0.0.1:5062") == ("udp", ("127.0.0.1", 5062))
    assert parse_listen("tcp://[::1]") == ("tcp", ("::1", 5060))
    for url in ("http://127.0.0.1", "127.0.0.1:5060", "udp://", "udp://127.0.0.1:99999"):
        with pytest.raises(LocalProtocolError, match=url):
            parse_listen(url)


def test_the_trace_sees_all_messages(stand: Stand) -> None:
    traced: list[tuple[str, str, bytes]] = []
    stand.service.trace = lambda direction, flow, data: traced.append((direction, flow.transport, data[:7]))
    for transport in ("udp", "tcp"):
        client = Client(stand, transport)
        client.send(client.request("OPTIONS"))
        assert client.status() == 200
    assert traced == [
        (direction, transport, start)
        for transport in ("udp", "tcp")
        for direction, start in (("in", b"OPTIONS"), ("out", b"SIP/2.0"))
    ]


# Connections


def test_messages_in_pieces_and_several_at_once(stand: Stand) -> None:
    client = Client(stand, "tcp")
    data = client.request("OPTIONS")
    for at in range(0, len(data), 50):
        client.send(data[at : at + 50])
        stand.spin()
    assert client.status() == 200
    client.send(client.request("OPTIONS", seq=2) + client.request("OPTIONS", seq=3) + b"\r\n\r\n")
    assert [client.message().cseq.number for _ in range(2)] == [2, 3]
    assert (client.heard or client.hear()) == b"\r\n"


def test_what_cannot_be_framed_closes_the_connection(stand: Stand) -> None:
    client = Client(stand, "tcp")
    client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    while client.hear():
        pass
    stand.wait(lambda: not len(stand.service.connections))


def test_connections_are_bounded_in_number(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(f"tcp://{HOST}:0", max_connections=2)
    clients = [Client(stand, "tcp") for _ in range(3)]
    for client in clients[:2]:
        client.send(client.request("OPTIONS"))
        assert client.status() == 200
    with contextlib.suppress(ConnectionError):
        assert clients[2].hear() == b""
    assert stand.service.user_agent.counters["connection_refused"] == 1


def test_slow_and_silent_connections_are_closed(stand: Stand) -> None:
    silent, slow, good = (Client(stand, "tcp") for _ in range(3))
    slow.send(b"OPTIONS sip:x SIP/2.0\r\nVia:")
    good.send(good.request("OPTIONS"))
    assert good.status() == 200
    stand.wait(lambda: len(stand.service.connections) == 3)
    stand.service.connections.sweep(stand.now + 29)
    assert len(stand.service.connections) == 3
    stand.service.connections.sweep(stand.now + 31)
    stand.wait(lambda: len(stand.service.connections) == 1)
    good.send(good.request("OPTIONS", seq=2))
    assert good.status() == 200
    stand.service.connections.sweep(stand.now + 3700)
    stand.wait(lambda: not len(stand.service.connections))
    assert silent.socket.fileno() >= 0


def test_a_peer_that_reads_nothing_is_given_up(stand: Stand) -> None:
    client = Client(stand, "tcp")
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    request = client.request("OPTIONS")

    def flood() -> bool:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            for _ in range(20):
                client.send(request)
        return bool(stand.service.user_agent.counters["connection_stuck"])

    stand.wait(flood, 30)
    stand.wait(lambda: not len(stand.service.connections))


def test_when_the_connection_is_gone_we_connect_to_the_contact(stand: Stand) -> None:
    stand.accept_all()
    listener = socket.socket()
    listener.bind(("127.0.0.82", 0))
    listener.listen()
    listener.setblocking(False)
    client = Client(stand, "tcp")
    client.call(contact=f"<sip:ann@127.0.0.82:{listener.getsockname()[1]};transport=tcp>")
    client.socket.close()
    stand.wait(lambda: not len(stand.service.connections))
    stand.seen(Invited)[0].session.hangup(stand.now)
    accepted: list[socket.socket] = []

    def look() -> bool:
        with contextlib.suppress(BlockingIOError):
            accepted.append(listener.accept()[0])
        return bool(accepted)

    stand.wait(look)
    client.socket = accepted[0]
    client.socket.setblocking(False)
    bye = client.message()
    assert isinstance(bye, Request)
    assert bye.method == "BYE"
    client.send(bye.response(200).to_bytes())
    stand.wait(lambda: not stand.service.user_agent.transactions.unanswered)
    listener.close()


def test_when_nobody_takes_the_connection_the_session_ends(stand: Stand) -> None:
    stand.accept_all()
    client = Client(stand, "tcp")
    client.call(contact="<sip:ann@127.0.0.82:9;transport=tcp>")
    client.socket.close()
    stand.wait(lambda: not len(stand.service.connections))
    stand.seen(Invited)[0].session.options(stand.now)
    stand.wait(lambda: stand.seen(Ended))
    assert stand.seen(Ended)[0].cause.value == "transport"


# Two of ours


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_we_call_ourselves(make_stand: Callable[..., Stand], transport: str) -> None:
    ann, bob = make_stand(f"{transport}://127.0.0.83:0"), make_stand(f"{transport}://127.0.0.84:0")
    bob.accept_all()
    flow = ann.service.flow_to(transport, bob.address(transport))
    session = ann.service.user_agent.invite("sip:bob@x", sdp=SDP, from_="<sip:ann@x>", flow=flow, now=ann.now)

    def both(done: Callable[[], object]) -> None:
        def look() -> object:
            bob.spin()
            return done()

        ann.wait(look)

    both(lambda: ann.seen(Answered) and bob.seen(Confirmed))
    bob.seen(Invited)[0].session.reinvite(SDP, bob.now)
    both(lambda: any(type(event).__name__ == "Offered" for event in ann.events))
    session.refuse(488, now=ann.now)
    both(lambda: any(type(event).__name__ == "ChangeRefused" for event in bob.events))
    session.hangup(ann.now)
    both(lambda: bob.seen(Ended))
    both(lambda: not ann.service.user_agent.transactions.unanswered)


def test_there_must_be_a_way(stand: Stand) -> None:
    with pytest.raises(LocalProtocolError, match="sctp is not"):
        stand.service.flow_to("sctp", ("127.0.0.1", 5060))
    with pytest.raises(LocalProtocolError, match="nothing listens for udp"):
        stand.service.flow_to("udp", ("::1", 5060))


def test_a_listener_on_the_address_that_leads_there_is_taken_first(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand(f"udp://{HOST}:0", "udp://127.0.0.1:0", f"tcp://{HOST}:0")
    there = ("127.0.0.1", 5070)
    assert stand.service.flow_to("udp", there).local[0] == "127.0.0.1"
    assert stand.service.flow_to("tcp", there).local == (HOST, stand.address("tcp")[1])


def test_without_a_listener_the_connection_is_the_way_back(make_stand: Callable[..., Stand]) -> None:
    stand, bob = make_stand(f"udp://{HOST}:0"), make_stand("tcp://127.0.0.84:0")
    flow = stand.service.flow_to("tcp", bob.address("tcp"))
    bob.accept_all()
    stand.service.user_agent.invite("sip:bob@x", sdp=SDP, from_="<sip:ann@x>", flow=flow, now=stand.now)

    def look() -> object:
        bob.spin()
        return stand.seen(Answered) and bob.seen(Confirmed)

    stand.wait(look)
    bob.seen(Invited)[0].session.hangup(bob.now)
    stand.wait(lambda: (bob.spin(), stand.seen(Ended))[1])  # type: ignore[func-returns-value]


def test_the_stop_waits_a_moment_for_the_answers_to_our_last_requests(make_stand: Callable[..., Stand]) -> None:
    stand = make_stand()
    stand.accept_all()
    client = Client(stand, "udp")
    client.call()
    stand.seen(Invited)[0].session.hangup(stand.now)
    stopped: list[None] = []
    stand.service.stopService().addCallback(stopped.append)
    bye = client.message()
    assert isinstance(bye, Request)
    assert not stopped
    client.send(bye.response(200).to_bytes())
    began = time.monotonic()
    stand.wait(lambda: stopped)
    assert time.monotonic() - began < 0.9
