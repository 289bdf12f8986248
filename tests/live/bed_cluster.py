"""Nodes of a cluster, on loopback addresses or each in a network namespace of its own, and `xconf phone`s that call them."""

from __future__ import annotations

import contextlib
import csv
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bed_audio import read_wav
from bed_nat import Home
from bed_phones import end_process, favour, own_address
from bed_server import BIN, Server, inside, merged
from bed_weather import Weather, WeatherProcess

SECRET = "a secret of the live tests"
PORT = 65021
NETWORK = "10.99.7"  # of the namespaces
# A listener hears the mix also when he is the only one on his node, and no prompt is in the recordings.
SILENT = {
    "member_welcome": "",
    "member_join": "",
    "member_leave": "",
    "member_alone": "",
    "member_bye": "",
    "alone_sound": False,
    "vad": {"enable": True, "level": 100},
}


def overrides(
    name: str, address: str, peers: Sequence[str], cluster: Mapping[str, Any], more: Mapping[str, Any]
) -> dict[str, Any]:
    """The configuration of one node, over the shipped one. more: than `cluster`."""
    its = {
        "enable": True,
        "secret": SECRET,
        "listen": f"{address}:{PORT}",
        "peers": [f"{peer}:{PORT}" for peer in peers],
    }
    sip = {"allow": ["127.0.0.0/8", f"{NETWORK}.0/24"]}
    usual = {"node": {"name": name}, "sip": sip, "cluster": its, "profiles": {"default": SILENT}}
    return merged(usual, {"cluster": cluster, **more})


class Namespaces:
    """Hosts that are none: a network namespace for each name, on a network with weather. Skips the test where that is not allowed."""

    def __init__(self, names: str) -> None:
        self.of = {name: f"xconf-{os.getpid()}-{name}" for name in names}
        self.addresses = {name: f"{NETWORK}.{number}" for number, name in enumerate(names, 1)}
        self._devices = {name: f"xw{os.getpid() % 100_000}-{name}" for name in names}
        if os.geteuid():
            pytest.skip("network namespaces need root")
        try:
            self._weather = WeatherProcess([*self._devices.values()])
        except OSError as error:
            pytest.skip(str(error))
        favour(self._weather.process)
        try:
            self._make()
        except BaseException:
            self.close()
            raise

    def _make(self) -> None:
        for name, space in self.of.items():
            _must("netns", "add", space)
            _must("link", "set", self._devices[name], "netns", space, "name", "eth0")
            _must("-n", space, "addr", "add", f"{self.addresses[name]}/24", "dev", "eth0")
            for device in ("eth0", "lo"):
                _must("-n", space, "link", "set", device, "up")

    def weather(self, weather: Weather, cut: str = "", mirror: str = "") -> None:
        """From now on. cut, mirror: names of hosts."""
        number = {name: host for host, name in enumerate(self.of)}
        cut_off = [number[name] for name in cut]
        self._weather.set(replace(weather, cut=cut_off, mirror=number[mirror] if mirror else -1))

    def cut(self, name: str) -> None:
        """Pull its cable."""
        _must("-n", self.of[name], "link", "set", "eth0", "down")

    def mend(self, name: str) -> None:
        """Put it in again."""
        _must("-n", self.of[name], "link", "set", "eth0", "up")

    def close(self) -> None:
        self._weather.close()
        for space in self.of.values():
            _ip("netns", "del", space)


def _ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


def _must(*words: str) -> None:
    done = _ip(*words)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"


class Cluster:
    """names: of nodes, one character each; hosts: where each of them is, on loopback if None; own: what else a node's
    configuration has; ppm: whose clock is how slow.
    """

    def __init__(
        self,
        folder: Path,
        names: str,
        cluster: Mapping[str, Any] | None = None,
        hosts: Namespaces | Home | None = None,
        more: Mapping[str, Any] | None = None,
        own: Mapping[str, Mapping[str, Any]] | None = None,
        ppm: Mapping[str, float] | None = None,
    ) -> None:
        addresses = {name: hosts.addresses[name] if hosts else own_address() for name in names}
        self.hosts = hosts
        self.folder = folder
        self.nodes: dict[str, Server] = {}
        self.phones: dict[str, Phone] = {}
        try:
            for name in names:
                peers = [address for other, address in addresses.items() if other != name]
                its = overrides(name, addresses[name], peers, cluster or {}, more or {})
                its = merged(its, (own or {}).get(name, {}))
                slow = (ppm or {}).get(name, 0.0)
                self.nodes[name] = Server(folder / name, its, addresses[name], self._space(name), slow)
        except BaseException:
            self.stop()
            raise

    def restart(self, name: str) -> None:
        """A node that has ended."""
        self.nodes[name].kill()
        self.nodes[name].start()

    def call(
        self, name: str, node: str, number: str, *, seconds: float, tone: float | None = None, play: Path | None = None
    ) -> Phone:
        """A phone on that node, for so long. play: a WAV, over and over."""
        target = self.nodes[node]
        address = target.address if self.hosts else own_address()
        within = inside(self._space(node))
        return self.dial(name, target.uri(number), address, within, seconds=seconds, tone=tone, play=play)

    def dial(
        self,
        name: str,
        uri: str,
        address: str,
        within: Sequence[str] = (),
        *,
        seconds: float,
        tone: float | None = None,
        play: Path | None = None,
        stays: bool = False,
    ) -> Phone:
        """A phone at that address, wherever its call leads. play: a WAV, over and over; stays: it goes nowhere else by REFER."""
        words = [*within, str(BIN / "xconf"), "phone", uri, "--bind", address, *(["--stay"] if stays else [])]
        if play is not None:
            words += ["--play", str(play), "--loop"]
        self.phones[name] = Phone(self.folder, name, words, seconds, tone)
        return self.phones[name]

    def _space(self, name: str) -> str | None:
        return self.hosts.of[name] if self.hosts else None

    def stop(self) -> None:
        for phone in self.phones.values():
            end_process(phone.process)
        for node in self.nodes.values():
            node.kill()


class Phone:
    """One call of `xconf phone`, recorded."""

    def __init__(self, folder: Path, name: str, command: list[str], seconds: float, tone: float | None) -> None:
        self.record, self.arrivals = folder / f"{name}.wav", folder / f"{name}.csv"
        words = ["--record", str(self.record), "--arrivals", str(self.arrivals), "--duration", f"{seconds}s"]
        if tone is not None:
            words += ["--tone", str(tone)]
        self.process = subprocess.Popen(
            [*command, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def answered_after(self) -> float:
        """Seconds from the INVITE to the answer, which is waited for."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if found := re.search(r"answered after (\d+) ms", line):
                return int(found[1]) / 1000
        raise AssertionError(f"{self.record.stem} was not answered")

    def wait(self, timeout: float = 30.0) -> None:
        """Until its call is over, as it should be."""
        said, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, said

    def began(self, above: float = 0.02) -> float:
        """When the packet came in which the first sound begins (CLOCK_MONOTONIC)."""
        first = int(np.flatnonzero(np.abs(self.heard()) > above)[0])
        return next(arrival for arrival, position in self.packets() if position <= first < position + 160)

    def started(self) -> float:
        """When the first sample of the recording came, if all had taken as long as most do (CLOCK_MONOTONIC)."""
        return float(np.median([arrival - position / 8000 for arrival, position in self.packets()]))

    def packets(self) -> list[tuple[float, int]]:
        """Of the first that was heard: when each came, and where it is in the recording, which begins with the answer."""
        with self.arrivals.open() as lines:
            rows = [(float(row["arrival"]), int(row["timestamp"]), row["ssrc"]) for row in csv.DictReader(lines)]
        (came, first, ssrc), (_, _, last) = rows[0], rows[-1]
        # Another source is put where the clock is; the recording ends with what came of the last one.
        known, origin, _ = next(row for row in rows if row[2] == last)
        span = max(timestamp - origin & 0xFFFFFFFF for _, timestamp, its in rows if its == last)
        answered = known - (len(self.heard()) - 160 - span) / 8000
        begin = round((came - answered) * 8000)
        return [(at, begin + (timestamp - first & 0xFFFFFFFF)) for at, timestamp, its in rows if its == ssrc]

    def heard(self) -> np.ndarray:
        """8 kHz, -1..1."""
        samples, rate = read_wav(self.record)
        assert rate == 8000
        return samples


@contextlib.contextmanager
def cluster(
    folder: Path,
    names: str,
    settings: Mapping[str, Any] | None = None,
    hosts: Namespaces | Home | None = None,
    more: Mapping[str, Any] | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    ppm: Mapping[str, float] | None = None,
) -> Iterator[Cluster]:
    """Nodes that are stopped at the end; their logs must be clean. more: of their configuration than `cluster`; own: of one's."""
    nodes = Cluster(folder, names, settings, hosts, more, own, ppm)
    try:
        yield nodes
        for node in nodes.nodes.values():
            node.check_log()
    finally:
        nodes.stop()
