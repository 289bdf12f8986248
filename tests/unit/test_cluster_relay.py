"""The relay: what comes from one tunnel goes to all others once, and nothing goes anywhere that should not."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from xconf.app.problems import ConfigError
from xconf.app.relay import RelayServer, load
from xconf.cluster.frame import Kind
from xconf.cluster.peers import Address
from xconf.cluster.relay import core
from xconf.cluster.relay.core import Relay, RelayError, Seen
from xconf.cluster.tunnel import Appeared, Effect, Received, Send, Tunnel

HERE, THERE = b"a secret of this side", b"a secret of that side"


class Network:
    """Nodes that have one peer, a relay; relays that have each other."""

    def __init__(self) -> None:
        self.now = 100.0
        self.nodes: dict[Address, tuple[Tunnel, Address]] = {}
        self.relays: dict[Address, Relay] = {}
        self.effects: dict[str, list[Effect]] = {}
        self.carried = 0
        self._on_the_way: deque[tuple[bytes, Address, Address]] = deque()

    def relay(self, number: int, secret: bytes | None = HERE) -> Relay:
        self.relays["127.0.1.1", number] = relay = Relay(secret)
        return relay

    def node(self, name: str, at: int, secret: bytes = HERE, own: bytes | None = None, encrypt: bool = True) -> Tunnel:
        """A node whose peer is relay `at`. own: the secret of its tunnel, where that is another than the relay's."""
        address = "127.0.2.1", len(self.nodes) + 1
        tunnel = Tunnel(name, [secret], len(self.nodes) + 1000, encrypt=encrypt, sources=[("127.0.1.1", at)])
        self.nodes[address] = tunnel, ("127.0.1.1", at)
        self.relays["127.0.1.1", at].add(name, address, own)
        self.effects[name] = []
        return tunnel

    def join(self, one: int, other: int) -> None:
        self.relays["127.0.1.1", one].add(f"r{other}", ("127.0.1.1", other))
        self.relays["127.0.1.1", other].add(f"r{one}", ("127.0.1.1", one))

    def say(self, tunnel: Tunnel, body: bytes) -> None:
        self._send(tunnel, tunnel.send(Kind.STATUS, body, self.now))
        self.settle()

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for tunnel, _at in self.nodes.values():
                self._send(tunnel, tunnel.wake(self.now))
            self.settle()

    def _send(self, tunnel: Tunnel, effects: list[Send] | list[Effect]) -> None:
        (address, relay) = next((a, r) for a, (t, r) in self.nodes.items() if t is tunnel)
        for effect in effects:
            if isinstance(effect, Send):
                self._on_the_way.append((effect.datagram, address, relay))
            else:
                self.effects[tunnel.name].append(effect)

    def settle(self) -> None:
        """Until all has arrived. A loop would never end."""
        while self._on_the_way:
            datagram, source, to = self._on_the_way.popleft()
            self.carried += 1
            assert self.carried < 20_000, "it goes round and round"
            if to in self.relays:
                clones = self.relays[to].receive(datagram, source, self.now)
                self._on_the_way.extend((clone, to, end.address) for clone, end in clones)
            else:
                tunnel = self.nodes[to][0]
                self._send(tunnel, tunnel.receive(datagram, source, self.now))

    def heard(self, name: str) -> list[tuple[str, bytes]]:
        return [(effect.node, effect.body) for effect in self.effects[name] if isinstance(effect, Received)]

    def met(self, name: str) -> list[str]:
        return sorted(effect.node for effect in self.effects[name] if isinstance(effect, Appeared))


@pytest.mark.parametrize("secret", [HERE, None], ids=["checked", "passed on unread"])
def test_each_node_hears_all_others_once(secret: bytes | None) -> None:
    network = Network()
    relay = network.relay(1, secret)
    nodes = [network.node(name, 1) for name in "abcd"]
    network.run(4)
    for name in "abcd":
        assert network.met(name) == sorted(set("abcd") - {name})
    network.say(nodes[0], b"hello")
    assert [network.heard(name) for name in "abcd"] == [[], *[[("a", b"hello")]] * 3]
    assert not relay.drops.total


def test_a_tree_feeds_all_and_a_ring_does_not_go_round() -> None:
    for ring in (False, True):
        network = Network()
        for number in (1, 2, 3):
            network.relay(number)
        nodes = [network.node(f"n{i}", 1 + i % 3) for i in range(12)]
        network.join(1, 2)
        network.join(2, 3)
        if ring:
            network.join(3, 1)
        network.run(4)
        network.say(nodes[0], b"x")
        for i in range(1, 12):
            assert network.heard(f"n{i}") == [("n0", b"x")], (ring, i)
        assert network.heard("n0") == []


@pytest.mark.parametrize("encrypt", [True, False])
def test_nodes_with_another_secret_are_reached_through_the_relay(encrypt: bool) -> None:
    network = Network()
    network.relay(1, HERE)
    ann, bob = network.node("a", 1, encrypt=encrypt), network.node("b", 1, THERE, THERE, encrypt)
    network.node("c", 1, encrypt=encrypt)
    network.run(4)
    assert (network.met("a"), network.met("b")) == (["b", "c"], ["a", "c"])
    network.say(ann, b"from here")
    network.say(bob, b"from there")
    assert network.heard("b") == [("a", b"from here")] and network.heard("a") == [("b", b"from there")]


def test_a_nonce_is_never_used_for_two_messages() -> None:
    """Who has one secret and numbers two messages alike gets only one of them sealed by the other."""
    relay = Relay(HERE)
    relay.add("a", ("127.0.0.2", 1))
    relay.add("b", ("127.0.0.3", 1), THERE)
    bodies = [Tunnel("a", [HERE], 7).send(Kind.STATUS, body, 0.0)[0].datagram for body in (b"one", b"two")]
    sent = [relay.receive(datagram, ("127.0.0.2", 1), 1.0) for datagram in bodies]
    assert [len(clones) for clones in sent] == [1, 0]
    assert relay.drops.total == {"replayed": 1}


def test_strangers_and_forgeries_go_nowhere() -> None:
    relay = Relay(HERE)
    for number in (2, 3):
        relay.add(f"n{number}", (f"127.0.0.{number}", 65021))
    (good,) = Tunnel("a", [HERE], 7).send(Kind.STATUS, b"x", 0.0)
    (foreign,) = Tunnel("a", [THERE], 7).send(Kind.STATUS, b"x", 0.0)
    known = "127.0.0.2", 65021
    assert relay.receive(good.datagram, ("127.0.0.9", 65021), 1.0) == []
    for bad in (
        good.datagram[:-1] + bytes((good.datagram[-1] ^ 1,)),
        good.datagram[:30],
        foreign.datagram,
        b"",
        b"junk" * 400,
    ):
        assert relay.receive(bad, known, 1.0) == []
    assert relay.drops.total == {"stranger": 1, "forged": 1, "truncated": 1, "foreign": 3}
    assert len(relay.receive(good.datagram, known, 1.0)) == 1  # what was dropped stands in nobody's way
    assert relay.receive(good.datagram, known, 1.0) == []
    assert relay.drops.total["again"] == 1


def test_tunnels_come_and_go_while_it_runs() -> None:
    network = Network()
    relay = network.relay(1)
    ann = network.node("a", 1)
    network.node("b", 1)
    network.run(3)
    relay.remove("b")
    network.say(ann, b"1")
    assert network.heard("b") == []
    relay.add("b", ("127.0.2.1", 2))
    network.say(ann, b"2")
    assert network.heard("b") == [("a", b"2")]


def test_what_cannot_be_a_tunnel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    relay = Relay()
    relay.add("a", ("127.0.0.2", 1))
    for name, number in (("a", 2), ("b", 1), ("", 3), ("a b", 3), ("x" * 33, 3)):
        with pytest.raises(RelayError):
            relay.add(name, ("127.0.0.2", number))
    with pytest.raises(RelayError, match="only where the relay has one"):
        relay.add("b", ("127.0.0.2", 3), HERE)
    with pytest.raises(RelayError, match="no tunnel b"):
        relay.remove("b")
    monkeypatch.setattr(core, "MOST_TUNNELS", 1)
    with pytest.raises(RelayError, match="let another relay be one of them"):
        relay.add("b", ("127.0.0.2", 3))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "MOST_SEEN", 100)
    seen = Seen()
    for number in range(1000):
        assert seen.add(b"%d" % number, 0.0)
        assert not seen.add(b"%d" % number, 0.0)
        assert len(seen) <= 200


def configured(folder: Path, text: str) -> Path:
    file = folder / "relay.yaml"
    file.write_text(text)
    return file


def test_it_is_steered_by_its_management_socket(tmp_path: Path) -> None:
    file = configured(tmp_path, "tunnels: {v1: {address: '127.0.0.2:65021'}}\n")
    settings, relay, socket = load(file)
    server = RelayServer(Clock(), settings, relay, socket)
    assert server.run("list").text == "v1  127.0.0.2:65021"
    assert server.run(["v2", "add", "127.0.0.3:65021"]).ok
    assert [row["name"] for row in server.run("list").data] == ["v1", "v2"]
    assert server.run("v1 del").ok and [row["name"] for row in server.run("stat").data["tunnels"]] == ["v2"]
    assert server.run("conf").data == {"listen": "127.0.0.1:65020", "secret": False}
    for wrong in (
        "",
        "v1",
        "v1 del",
        "v3 add nonsense",
        "v3 add 127.0.0.1:65020",
        "v3 add [::1]:1",
        "v2 add 127.0.0.4:1",
    ):
        assert not server.run(wrong).ok, wrong


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret: short\n", "secret"),
        ("tunnels: {v1: {address: example.com}}\n", "tunnels.v1.address"),
        ("tunnels: {v1: {address: '127.0.0.1:65020'}}\n", "is the relay itself"),
        ("tunnels: {a: {address: '127.0.0.2:1'}, b: {address: '127.0.0.2:1'}}\n", "has that address already"),
        ("tunels: {}\n", "tunels"),
    ],
)
def test_faults_of_its_configuration_are_said(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(configured(tmp_path, text))
