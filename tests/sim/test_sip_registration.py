"""Our registration at a registrar, in virtual time: kept up, tried again, never hammering."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from sip_world import Network, World, drops

from xconf.sip.digest import Challenger
from xconf.sip.flow import Flow, Place
from xconf.sip.message import Request, Response, parse
from xconf.sip.registration import Account, Registration, State
from xconf.sip.useragent import UserAgent

Answer = Callable[[Request], tuple[int, list[tuple[str, str]]] | None]


class Registrar:
    """A server that answers as it is told; None: it does not answer."""

    def __init__(self, world: World, name: str) -> None:
        self.name = name
        self.world = world
        self.place: Place = (f"192.0.2.{len(world.nodes) + 1}", 5060)
        self.ua = UserAgent()  # it has no timers of its own
        self.heard: list[tuple[float, Request]] = []
        self.answer: Answer = self.grants()
        world.nodes[self.place] = self  # type: ignore[assignment]

    def grants(self, seconds: int | None = None) -> Answer:
        def answer(request: Request) -> tuple[int, list[tuple[str, str]]]:
            asked = seconds if seconds is not None else int(request.headers.get("Expires") or 0)
            return 200, [("Contact", f"{request.headers.get('Contact')};expires={asked}")] if asked else []

        return answer

    def receive(self, data: bytes, source: Place) -> None:
        request = parse(data)
        assert isinstance(request, Request)
        self.heard.append((self.world.now, request))
        answer = self.answer(request)
        if answer is not None:
            response = request.response(answer[0], headers=answer[1], to_tag="r")
            self.world.wire.append((self.world.now, self.name, "client", response))
            client = self.world.nodes[source]
            self.world.later(0.01, lambda: client.receive(response.to_bytes(), self.place))

    def wake(self) -> None: ...
    def flush(self) -> None: ...

    @property
    def times(self) -> list[float]:
        return [when for when, _ in self.heard]


class Client:
    """One of us."""

    def __init__(self, world: World, servers: list[Registrar], transport: str = "udp", **account: Any) -> None:
        self.world = world
        self.node = world.node("client")
        self.flows = [Flow(transport, self.node.place, server.place) for server in servers]
        self.seen: list[State] = []
        self.located = 0
        self.nowhere = ""
        self.registration = Registration(
            self.node.ua,
            Account("1001", "example.com", **({"credentials": ("1001", "secret")} | account)),
            locate=self.locate,
            changed=lambda: self.seen.append(self.registration.state),
        )
        self.registration.start(world.now)
        self.node.flush()

    def locate(self) -> None:
        def answer() -> None:
            if self.nowhere:
                self.registration.not_located(self.nowhere, self.world.now)
            else:
                self.registration.located(self.flows, self.world.now)
            self.node.flush()

        self.located += 1
        self.world.later(0.0, answer)


def challenged(world: World, password: str = "secret", algorithms: tuple[str, ...] = ("MD5",)) -> Answer:
    challenger = Challenger("example.com", b"key", algorithms=algorithms)

    def answer(request: Request) -> tuple[int, list[tuple[str, str]]]:
        if challenger.verify(request, lambda user: password if user == "1001" else None, world.now).accepted:
            return 200, [("Contact", f"{request.headers.get('Contact')};expires=600")]
        return 401, [("WWW-Authenticate", value) for value in challenger.challenge(world.now)]

    return answer


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def registrar(world: World) -> Registrar:
    return Registrar(world, "registrar")


def test_a_registration_and_its_refreshes(world: World, registrar: Registrar) -> None:
    client = Client(world, [registrar], expires=600)
    world.run(3000)
    first = registrar.heard[0][1]
    assert str(first.uri) == "sip:example.com"
    assert str(first.to.uri) == str(first.from_.uri) == "sip:1001@example.com"
    assert first.contact is not None
    assert first.contact.uri.host == client.node.place[0]
    pauses = [after - before for before, after in zip(registrar.times, registrar.times[1:], strict=False)]
    assert all(0.74 * 600 < pause < 0.91 * 600 for pause in pauses), pauses
    assert len({request.call_id for _, request in registrar.heard}) == 1
    numbers = [request.cseq.number for _, request in registrar.heard]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert client.seen == [State.REGISTERING, State.REGISTERED]
    assert client.registration.until == pytest.approx(registrar.times[-1] + 600, abs=1)


@pytest.mark.parametrize("algorithms", [("MD5",), ("SHA-256", "MD5"), ("SHA-256",)])
def test_a_password_is_given_when_asked_for(world: World, registrar: Registrar, algorithms: tuple[str, ...]) -> None:
    registrar.answer = challenged(world, algorithms=algorithms)
    client = Client(world, [registrar])
    world.run(5)
    assert client.registration.state is State.REGISTERED
    assert len(registrar.heard) == 2


def test_a_wrong_password_is_told_and_not_tried_over_and_over(world: World, registrar: Registrar) -> None:
    registrar.answer = challenged(world, password="another")
    client = Client(world, [registrar])
    world.run(100)
    assert client.registration.state is State.REFUSED
    assert client.registration.error == "udp 192.0.2.1:5060 refuses user or password (401)"
    assert len(registrar.heard) == 2
    world.run(86_400 - 100)
    assert len(registrar.heard) < 2 * (5 + 48 + 2)  # five minutes, ten, … at most an hour, at least half of it
    registrar.answer = challenged(world)
    world.run(3600)
    assert client.registration.state is State.REGISTERED


def test_no_password_where_one_is_wanted(world: World, registrar: Registrar) -> None:
    registrar.answer = challenged(world)
    client = Client(world, [registrar], credentials=None)
    world.run(5)
    assert client.registration.error == "udp 192.0.2.1:5060 wants a password, and there is none"


@pytest.mark.parametrize("status", [403, 404, 600])
def test_a_refusal_waits_long(world: World, registrar: Registrar, status: int) -> None:
    registrar.answer = lambda request: (status, [])
    client = Client(world, [registrar], retry=1)
    world.run(149)
    assert client.registration.state is State.REFUSED
    assert str(status) in client.registration.error
    assert len(registrar.heard) == 1


def test_too_short_a_time_is_made_longer(world: World, registrar: Registrar) -> None:
    grants = registrar.grants()
    registrar.answer = lambda request: (
        grants(request) if int(request.headers.get("Expires") or 0) >= 1800 else (423, [("Min-Expires", "1800")])
    )
    client = Client(world, [registrar], expires=60)
    world.run(3600)
    assert client.registration.state is State.REGISTERED
    assert [request.headers.get("Expires") for _, request in registrar.heard][:3] == ["60", "1800", "1800"]


def test_a_registrar_that_never_is_content_is_not_asked_for_ever(world: World, registrar: Registrar) -> None:
    registrar.answer = lambda request: (423, [("Min-Expires", str(int(request.headers.get("Expires") or 0) + 1))])
    client = Client(world, [registrar])
    world.run(60)
    assert len(registrar.heard) == 2
    assert client.registration.state is State.REFUSED


def test_a_shorter_time_than_asked_for_is_kept_to(world: World, registrar: Registrar) -> None:
    registrar.answer = registrar.grants(60)
    Client(world, [registrar], expires=3600)
    world.run(600)
    assert 600 / 60 <= len(registrar.heard) <= 600 / 44


def test_a_registrar_that_grants_a_second_is_not_asked_each_second(world: World, registrar: Registrar) -> None:
    registrar.answer = registrar.grants(1)
    Client(world, [registrar])
    world.run(100)
    assert len(registrar.heard) <= 21


def test_pauses_grow_while_nobody_answers_and_differ_between_clients(world: World, registrar: Registrar) -> None:
    registrar.answer = lambda request: None
    client = Client(world, [registrar], retry=30)
    world.run(86_400)
    rounds = [when for when, request in registrar.heard if request.via.branch not in _earlier(registrar, when)]
    pauses = [after - before - 32 for before, after in zip(rounds, rounds[1:], strict=False)]
    assert len(pauses) > 40
    for number, pause in enumerate(pauses):
        most = min(1800, 30 * 2**number)
        assert most / 2 - 1 <= pause <= most + 1, (number, pause)
    assert client.registration.state is State.WAITING
    assert client.registration.error == "udp 192.0.2.1:5060: no answer"
    registrar.answer = registrar.grants()
    world.run(1900)
    assert client.registration.state is State.REGISTERED
    assert client.registration.error == ""


def _earlier(registrar: Registrar, when: float) -> set[str | None]:
    return {request.via.branch for at, request in registrar.heard if at < when}


def test_the_next_server_takes_over_and_is_stayed_with(world: World) -> None:
    first, second = Registrar(world, "first"), Registrar(world, "second")
    first.answer = lambda request: (503, [("Retry-After", "7")])
    client = Client(world, [first, second], expires=60)
    world.run(300)
    assert client.registration.state is State.REGISTERED
    assert client.registration.flow == client.flows[1]
    assert len(first.heard) == 1  # the one that has us is asked first from then on
    first.answer = first.grants()
    second.answer = lambda request: None
    world.run(100)
    assert client.registration.state is State.REGISTERED
    assert client.registration.flow == client.flows[0]


def test_a_server_that_wants_to_be_left_alone_is(world: World, registrar: Registrar) -> None:
    registrar.answer = lambda request: (503, [("Retry-After", "120 (maintenance)")])
    Client(world, [registrar], retry=1)
    world.run(119)
    assert len(registrar.heard) == 1
    registrar.answer = registrar.grants()
    world.run(10)
    assert len(registrar.heard) == 2


def test_servers_are_looked_for_anew_each_time(world: World, registrar: Registrar) -> None:
    client = Client(world, [registrar], retry=1)
    client.nowhere = "there is no server for example.com in the DNS"
    world.run(10)
    assert client.registration.state is State.WAITING
    assert client.registration.error == client.nowhere
    client.nowhere = ""
    world.run(20)
    assert client.registration.state is State.REGISTERED
    assert client.located > 2


def test_a_lost_connection_registers_anew_at_once(world: World, registrar: Registrar) -> None:
    client = Client(world, [registrar], "tcp", expires=3600)
    world.run(10)
    assert client.seen[-1] is State.REGISTERED
    client.node.ua.flow_failed(client.flows[0], world.now)
    client.node.flush()
    assert client.seen[-1] is State.WAITING
    assert client.registration.error == "the connection was lost"
    world.run(2)
    assert client.seen[-1] is State.REGISTERED
    assert len(registrar.heard) == 2


def test_a_connection_that_cannot_be_made_is_tried_again(world: World, registrar: Registrar) -> None:
    registrar.answer = lambda request: None
    client = Client(world, [registrar], "tls", retry=2)
    world.run(1)
    client.node.ua.flow_failed(client.flows[0], world.now)
    assert client.registration.error == "tls 192.0.2.1:5060: no connection"
    registrar.answer = registrar.grants()
    world.run(2.1)
    assert client.registration.state is State.REGISTERED


def test_the_end_of_a_registration(world: World, registrar: Registrar) -> None:
    registrar.answer = challenged(world)
    client = Client(world, [registrar])
    world.run(5)
    client.registration.stop(world.now)
    client.node.flush()
    world.run(100)
    assert registrar.heard[-1][1].headers.get("Expires") == "0"
    assert len(registrar.heard) == 4
    assert client.registration.state is State.STOPPED
    assert client.node.ua.sizes()["timers"] == 0


def test_a_registrar_that_keeps_nothing_is_a_failure(world: World, registrar: Registrar) -> None:
    registrar.answer = lambda request: (200, [("Expires", "0")])
    client = Client(world, [registrar])
    world.run(5)
    assert client.registration.state is State.WAITING
    assert "does not keep our address" in client.registration.error


@pytest.mark.parametrize("seed", range(5))
def test_a_bad_network_does_not_end_it(seed: int) -> None:
    world = World(Network(random.Random(seed), loss=0.3, doubling=0.2, delay=(0.01, 0.8)))
    registrar = Registrar(world, "registrar")
    registrar.answer = challenged(world)
    client = Client(world, [registrar])
    world.run(3600)
    assert client.seen.count(State.REGISTERED) >= 1
    covered = [until for until in [client.registration.until] if until and until > world.now]
    assert covered, client.seen


def test_lost_requests_come_again(world: World, registrar: Registrar) -> None:
    world.network.loses = drops("REGISTER", 3)
    client = Client(world, [registrar])
    world.run(5)
    assert client.registration.state is State.REGISTERED
    assert isinstance(world.wire[-1][3], Response)
