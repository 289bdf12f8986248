"""A conference on several nodes, real ones, with telephones on each."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_levels
from bed_cluster import Cluster, Namespaces, cluster

TONES = {"ann": 433.0, "bob": 1013.0}
HOSTS = {"a": 433.0, "b": 613.0, "c": 1013.0, "d": 1409.0}
SECONDS = 5.5


@pytest.fixture
def hosts() -> Iterator[Namespaces]:
    spaces = Namespaces("".join(HOSTS))
    yield spaces
    spaces.close()


@pytest.mark.parametrize(
    "settings",
    [{"payload": "opus"}, {"encrypt": False, "mode": "multicast", "multicast_group": "239.77.1.1"}],
    ids=["opus", "multicast"],
)
def test_who_speaks_on_one_node_is_heard_on_the_other(settings: dict[str, object], tmp_path: Path) -> None:
    with cluster(tmp_path, "ab", settings) as nodes:
        phones = {
            "ann": nodes.call("ann", "a", "3000", seconds=SECONDS, tone=TONES["ann"]),
            "bob": nodes.call("bob", "b", "3000", seconds=SECONDS, tone=TONES["bob"]),
            "ear": nodes.call("ear", "b", "4000", seconds=SECONDS),
            "eye": nodes.call("eye", "a", "4000", seconds=SECONDS),
        }
        for phone in phones.values():
            phone.wait()
        for name, phone in phones.items():
            assert_heard(name, phone.heard()[2 * 8000 : 4 * 8000], TONES, {*TONES} - {name})


def assert_heard(who: str, heard: np.ndarray, tones: Mapping[str, float], others: Collection[str]) -> None:
    """All others with the level at which they speak, within 1 dB, and nobody else, himself least of all."""
    for name, hertz in tones.items():
        level = float(np.median(tone_levels(heard, hertz)))
        if name in others:
            assert level == pytest.approx(-18, abs=1), f"{who} hears {name}"
        else:
            assert level < -55, f"{who} hears {name}"


def speak_and_listen(nodes: Cluster, seconds: float) -> None:
    """A speaker and a listener on each node."""
    for name, hertz in HOSTS.items():
        nodes.call(f"{name} speaks", name, "3000", seconds=seconds, tone=hertz)
        nodes.call(f"{name} listens", name, "4000", seconds=seconds)


@pytest.mark.parametrize("mode", ["unicast", "multicast"])
def test_speakers_and_listeners_on_four_hosts(mode: str, hosts: Namespaces, tmp_path: Path) -> None:
    with cluster(tmp_path, "".join(HOSTS), {"mode": mode}, hosts) as nodes:
        speak_and_listen(nodes, 6.5)
        for phone in nodes.phones.values():
            phone.wait()
        for name, phone in nodes.phones.items():
            host, does = name.split()
            others = {*HOSTS} - ({host} if does == "speaks" else set())
            assert_heard(name, phone.heard()[3 * 8000 : 5 * 8000], HOSTS, others)


def test_a_cut_of_two_seconds_and_a_node_that_is_killed(hosts: Namespaces, tmp_path: Path) -> None:
    with cluster(tmp_path, "".join(HOSTS), {}, hosts) as nodes:
        speak_and_listen(nodes, 15.0)
        began = time.monotonic()
        ear = nodes.phones["a listens"]

        def at(second: float) -> None:
            time.sleep(began + second - time.monotonic())

        at(5)
        hosts.cut("b")
        at(7)
        hosts.mend("b")
        at(11)
        nodes.nodes["c"].process.kill()
        ear.wait()
        heard = ear.heard()
        start = 15.0 - len(heard) / 8000  # what is recorded begins with the answer
        part = {
            name: heard[round((first - start) * 8000) : round((last - start) * 8000)]
            for name, first, last in (("before", 3, 4.8), ("cut", 5.5, 6.8), ("after", 8.5, 10.8), ("killed", 11.7, 14))
        }
        assert_heard("a", part["before"], HOSTS, "abcd")
        assert_heard("a", part["cut"], HOSTS, "acd")
        assert_heard("a", part["after"], HOSTS, "abcd")
        assert_heard("a", part["killed"], HOSTS, "abd")
