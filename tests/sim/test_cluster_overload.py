"""A node that has no time for more calls is sent none, however many come; who is in a call there notices nothing."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from calls_world import SERVER, Office, Phone
from cluster_world import node_of_speakers
from phone_world import FakeReactor, FakeUDPPort

from xconf.app.cluster import make_tunnel
from xconf.app.config import load
from xconf.app.nodes import Busy, make_nodes
from xconf.app.placement import make_placement
from xconf.media.clock import FULL, JUDGED, KEPT, PERIOD, TickClock
from xconf.sip.uri import URI

OTHER = "127.0.0.200"
FIRST = node_of_speakers("3000")
SECOND = "b" if FIRST == "a" else "a"
HOSTS = {FIRST: SERVER, SECOND: OTHER}
KNOWN = JUDGED * PERIOD + 1.5  # s in which a node notices, and tells the other
CONFIGURATION = """
node: {{name: {name}}}
sip: {{listen: ['udp://{host}:5060'], allow: [127.0.0.0/8]}}
rtp: {{address: {host}, ports: 16384-16639}}
control: {{listen: unix:{name}.sock}}
profiles: {{default: {{}}}}
dialplan: []
cluster:
  enable: true
  secret: a secret of the tests
  listen: {host}:65021
  peers: ['{peer}:65021']
  router: {{enable: true}}
"""


class Node:
    """A server with all that makes it one of a cluster. slow: its ticks take nearly all of their time."""

    def __init__(self, name: str, folder: Path, beside: Office | None = None) -> None:
        (peer,) = (host for other, host in HOSTS.items() if other != name)
        file = folder / f"{name}.yaml"
        file.write_text(CONFIGURATION.format(name=name, host=HOSTS[name], peer=peer))
        configuration = load(file)
        self.name, self.slow = name, False
        self.office = Office(beside=beside, address=HOSTS[name])
        self.clock = TickClock(self.office.reactor, lambda missed: None)
        office = self.office
        self.tunnel = make_tunnel(office.reactor, configuration.settings)
        assert self.tunnel is not None
        office.conferences.link_by(self.tunnel.conferences.open)
        self.nodes = make_nodes(office.reactor, configuration, self.tunnel, office.conferences, self._busy)
        assert self.nodes is not None
        office.calls.placement = make_placement(self.nodes, office.conferences, office.calls)
        self.tunnel.startService()
        self.nodes.startService()

    def _busy(self) -> Busy:
        return Busy(len(self.office.calls), 0.0, False, self.clock.overloaded)

    def tick(self) -> None:
        """One, that takes as long as it does."""
        self.clock.busy[self.clock.ticks % KEPT] = (FULL + 0.1) * PERIOD if self.slow else 0.001
        self.clock.ticks += 1
        self.office.overloaded = self.clock.overloaded
        self.office.tick()

    def dial(self, count: int, number: str) -> list[Phone]:
        """So many call at the same time."""
        first = 2 + len(self.office.phones)
        phones = [self.office.phone(f"127.0.{1 + (self.name == SECOND)}.{first + index}") for index in range(count)]
        for phone in phones:
            phone.dial(number)
        return phones

    def stop(self) -> None:
        self.nodes.stopService()
        self.tunnel.stopService()


class Pair:
    """Both, in one network and in one time. a: where speakers go as long as none is anywhere."""

    def __init__(self, folder: Path) -> None:
        self.a = Node(FIRST, folder)
        self.b = Node(SECOND, folder, beside=self.a.office)

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds / PERIOD)):
            for node in (self.a, self.b):
                for phone in node.office.phones:
                    phone.speak_on()
            self.a.office.reactor.run(PERIOD)
            self.a.tick()
            self.b.tick()

    def close(self) -> None:
        for node in (self.a, self.b):
            for phone in node.office.phones:
                phone.hang_up()
        self.run(0.5)
        for node in (self.b, self.a):
            node.stop()
            node.office.lines.clear()  # each has those of both, and of calls that were sent on
        self.b.office.close()
        self.a.office.close()


def listen(reactor: FakeReactor, number: int, protocol: Any, interface: str, *, shared: bool = False) -> FakeUDPPort:
    """A port on the network that is made up."""
    return reactor.listenUDP(number, protocol, interface)


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setattr("xconf.cluster.service.listen", listen, raising=False)
    world = Pair(tmp_path)
    world.run(3.0)
    yield world
    world.close()


def sent_to(phone: Phone) -> str:
    """The host where a caller was sent."""
    assert phone.refusal is not None and phone.refusal.status == 302
    return URI.parse((phone.refusal.headers.get("Contact") or "").strip("<>")).host


def assert_unbroken(phone: Phone, seconds: float, hertz: float) -> None:
    """It hears that tone, and no packet of all this time is missing."""
    assert phone.hears(hertz)
    sequences = [struct.unpack_from("!H", packet, 2)[0] for packet in phone.packets]
    steps = {(later - sooner) & 0xFFFF for sooner, later in zip(sequences, sequences[1:], strict=False)}
    assert steps == {1}
    assert len(sequences) == pytest.approx(50 * seconds, abs=1)


def test_who_calls_an_overloaded_node_is_sent_to_another_and_calls_that_are_up_keep_their_sound(pair: Pair) -> None:
    a, b = pair.a, pair.b
    (ann,), (eve,), (bob,) = a.dial(1, "3000"), a.dial(1, "4000"), b.dial(1, "4000")
    pair.run(0.5)
    ann.tone = 440.0
    pair.run(1.0)
    a.slow = True
    pair.run(KNOWN)
    assert a.clock.overloaded
    for phone in (eve, bob):
        phone.forget()
    listeners, speakers, at_b = a.dial(30, "4000"), a.dial(5, "3000"), b.dial(30, "4000")
    pair.run(2.0)
    assert {sent_to(phone) for phone in listeners + speakers} == {OTHER}
    assert a.nodes is not None and b.nodes is not None and a.nodes.router is not None and b.nodes.router is not None
    assert a.nodes.router.counters["late"] == 35
    assert all(phone.is_up for phone in at_b), "none of them is sent there"
    assert (len(a.office.calls), len(b.office.calls)) == (2, 31)
    assert_unbroken(eve, 2.0, 440)
    assert_unbroken(bob, 2.0, 440)


def test_a_node_that_has_time_again_takes_calls_again(pair: Pair) -> None:
    a, b = pair.a, pair.b
    a.dial(2, "3000")
    pair.run(0.5)
    a.slow = True
    pair.run(KNOWN)
    (speaker,) = b.dial(1, "3000")
    pair.run(0.5)
    assert speaker.is_up, "though the others speak on the other node"
    a.slow = False
    speaker.hang_up()
    pair.run(KNOWN)
    (speaker,) = b.dial(1, "3000")
    pair.run(0.5)
    assert sent_to(speaker) == SERVER


def test_where_all_are_overloaded_callers_are_refused_and_calls_that_are_up_stay(pair: Pair) -> None:
    a, b = pair.a, pair.b
    a.dial(2, "4000")
    pair.run(0.5)
    a.slow = b.slow = True
    pair.run(KNOWN)
    refused = a.dial(3, "4000") + b.dial(3, "3000")
    pair.run(1.0)
    assert {phone.refusal.status for phone in refused if phone.refusal is not None} == {503}
    assert all(phone.refusal.headers.get("Retry-After") for phone in refused if phone.refusal is not None)
    assert (len(a.office.calls), len(b.office.calls)) == (2, 0)
