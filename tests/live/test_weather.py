"""The network that does harm: what it is told to do, and nothing else."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from bed_cluster import Namespaces
from bed_weather import FAIR, Weather, made_within

COUNT, PAUSE = 250, 0.002  # so many are read at the end, which a socket holds


@pytest.fixture(scope="module")
def hosts() -> Iterator[Namespaces]:
    spaces = Namespaces("ab")
    yield spaces
    spaces.close()


def sent(hosts: Namespaces, weather: Weather, cut: str = "") -> list[int]:
    """The numbers of datagrams from a to b, as they come."""

    def bound(name: str) -> socket.socket:
        made: socket.socket = made_within(hosts.of[name], lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made.bind((hosts.addresses[name], 9999))
        made.settimeout(0.3)
        return made

    numbers = []
    hosts.weather(weather, cut)
    with bound("a") as a, bound("b") as b:
        for number in range(COUNT):
            a.sendto(number.to_bytes(4, "big"), b.getsockname())
            time.sleep(PAUSE)
        while True:
            try:
                numbers.append(int.from_bytes(b.recv(100), "big"))
            except TimeoutError:
                return numbers


def test_fair_weather_takes_nothing(hosts: Namespaces) -> None:
    assert sent(hosts, FAIR) == [*range(COUNT)]


def test_loss_and_doubles_are_as_many_as_asked_for(hosts: Namespaces) -> None:
    numbers = sent(hosts, Weather(loss=0.1, doubled=0.2))
    assert len({*numbers}) == pytest.approx(0.9 * COUNT, abs=0.05 * COUNT)
    assert len(numbers) / len({*numbers}) == pytest.approx(1.2, abs=0.06)


def test_what_is_delayed_overtakes_or_not(hosts: Namespaces) -> None:
    ordered = sent(hosts, Weather(jitter=0.03, ordered=True))
    assert ordered == [*range(COUNT)]
    reordered = sent(hosts, Weather(late=0.1))
    assert sorted(reordered) == [*range(COUNT)] and reordered != sorted(reordered)


def test_who_is_cut_off_is_not_reached(hosts: Namespaces) -> None:
    assert sent(hosts, FAIR, cut="b") == []
