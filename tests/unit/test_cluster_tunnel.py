"""The tunnel between nodes: who is believed, and what is not."""

from __future__ import annotations

import pytest
from cluster_world import OTHER, SECRET, Wire

from xconf.cluster.frame import MAX_BODY, Kind
from xconf.cluster.peers import WIDTH, Window
from xconf.cluster.tunnel import Appeared, Received, Send, Tunnel, epoch_at


def tunnel(name: str, epoch: int = 1, secrets: tuple[bytes, ...] = (SECRET,), encrypt: bool = True) -> Tunnel:
    return Tunnel(name, secrets, epoch, encrypt=encrypt)


def pair(**options: object) -> Wire:
    wire = Wire(tunnel("a", **options), tunnel("b", **options))  # type: ignore[arg-type]
    wire.run(0.2)
    return wire


def say(wire: Wire, name: str, body: bytes = b"4 members") -> None:
    wire.send(name, wire.tunnels[name].send(Kind.STATUS, body, wire.now))
    wire.run(0.01)


def test_nodes_know_each_other_within_a_fifth_of_a_second() -> None:
    wire = pair()
    assert wire.appeared("a") == ["b"] and wire.appeared("b") == ["a"]


def test_a_node_that_joins_many_is_believed_by_all_of_them_soon() -> None:
    """A greeting names 64; the others do not wait until it is their turn."""
    newcomer, source = tunnel("newcomer"), ("192.0.2.1", 65021)
    others = [Tunnel(f"n{number}", [SECRET], 1, sources=[source]) for number in range(255)]
    believed: set[str] = set()
    answers: list[bytes] = []
    for turn in range(8):
        now = 100.0 + turn * 0.05
        for greeting in newcomer.wake(now) if turn == 0 or newcomer.wants_wake is not None else ():
            for other in others:
                effects = other.receive(greeting.datagram, source, now)
                believed |= {other.name for effect in effects if isinstance(effect, Appeared)}
                answers += [effect.datagram for effect in effects if isinstance(effect, Send)]
        for number, answer in enumerate(answers):
            newcomer.receive(answer, ("192.0.2.2", number), now + number // 50 * 0.001)
        answers.clear()
    assert len(believed) == 255


def test_a_message_comes_with_the_name_of_its_node() -> None:
    wire = pair()
    say(wire, "a")
    assert list(wire.received("b")) == [Received("a", Kind.STATUS, b"4 members")]


def test_without_encryption_messages_are_readable_and_still_authenticated() -> None:
    wire = pair(encrypt=False)
    say(wire, "a")
    datagram = wire.recorded[-1][1]
    assert b"4 members" in datagram
    assert list(wire.received("b"))
    altered = datagram.replace(b"4 members", b"5 members")
    assert wire.tunnels["b"].receive(altered, ("x", 1), wire.now) == []


def test_with_encryption_they_are_not() -> None:
    wire = pair()
    say(wire, "a")
    assert b"4 members" not in wire.recorded[-1][1]


def test_one_that_encrypts_and_one_that_does_not_understand_each_other() -> None:
    wire = Wire(tunnel("a"), tunnel("b", encrypt=False))
    wire.run(0.2)
    say(wire, "a")
    say(wire, "b")
    assert list(wire.received("a")) and list(wire.received("b"))


def test_the_longest_body_fits_and_a_longer_one_is_refused() -> None:
    wire = pair()
    say(wire, "a", bytes(MAX_BODY))
    assert [len(received.body) for received in wire.received("b")] == [MAX_BODY]
    assert len(wire.recorded[-1][1]) + 40 + 8 <= 1500
    with pytest.raises(ValueError, match="1341"):
        wire.tunnels["a"].send(Kind.STATUS, bytes(MAX_BODY + 1), wire.now)


def test_any_changed_bit_makes_it_a_forgery() -> None:
    wire = pair()
    say(wire, "a")
    (sent,) = wire.tunnels["a"].send(Kind.STATUS, b"x", wire.now)
    b = wire.tunnels["b"]
    for at in range(len(sent.datagram) * 8):
        altered = bytearray(sent.datagram)
        altered[at // 8] ^= 1 << at % 8
        assert not any(isinstance(e, Received) for e in b.receive(bytes(altered), ("a", 65021), wire.now)), at
    assert b.receive(sent.datagram, ("x", 1), wire.now) == [Received("a", Kind.STATUS, b"x")]


def test_the_same_datagram_is_taken_once() -> None:
    wire = pair()
    say(wire, "a")
    for _ in range(3):
        assert wire.tunnels["b"].receive(wire.recorded[-1][1], ("x", 1), wire.now) == []
    assert wire.tunnels["b"].drops.total["replayed"] == 3


def test_reordered_datagrams_are_all_taken() -> None:
    wire = pair()
    a, b = wire.tunnels["a"], wire.tunnels["b"]
    sent = [a.send(Kind.STATUS, bytes((n,)), wire.now)[0].datagram for n in range(200)]
    wire.random.shuffle(sent)
    assert sum(len(b.receive(datagram, ("a", 65021), wire.now)) for datagram in sent) == 200


def test_what_was_recorded_before_a_listener_restarted_is_not_believed() -> None:
    wire = pair()
    say(wire, "a")
    wire.stop("a")
    wire.stop("b")
    fresh = tunnel("b", epoch=2)
    for sender, datagram in wire.recorded:
        if sender == "a":
            assert not any(isinstance(e, Received) for e in fresh.receive(datagram, ("x", 1), wire.now))
    assert fresh.peers == {} and fresh.drops.total["unproved"] == 1


def test_what_was_recorded_before_a_sender_restarted_is_not_believed() -> None:
    wire = pair()
    say(wire, "a")
    old = [datagram for sender, datagram in wire.recorded if sender == "a"]
    wire.stop("a")
    wire.run(5.0)
    wire.add(tunnel("a", epoch=2))
    wire.run(1.5)
    assert wire.appeared("b") == ["a", "a"]
    assert [e for d in old for e in wire.tunnels["b"].receive(d, ("x", 1), wire.now)] == []


def test_a_ghost_of_a_node_that_is_gone_is_not_heard_however_long_ago_that_was() -> None:
    wire = pair()
    say(wire, "a")
    wire.stop("a")
    wire.run(3600.0)
    assert [e for s, d in wire.recorded if s == "a" for e in wire.tunnels["b"].receive(d, ("x", 1), wire.now)] == []


def test_a_name_is_not_taken_from_a_node_that_is_there() -> None:
    wire = pair()
    thief = tunnel("a", epoch=9)
    wire.tunnels["thief"] = thief
    wire.effects["thief"] = []
    wire.run(5.0)
    assert wire.tunnels["b"].peers["a"].epoch == 1
    assert wire.tunnels["b"].drops.total["namesake"] > 0
    say(wire, "a")
    assert len(list(wire.received("b"))) == 1


def test_a_node_that_comes_back_is_there_again_within_two_seconds() -> None:
    wire = pair()
    wire.stop("a")
    wire.run(0.5)
    wire.add(tunnel("a", epoch=2))
    wire.run(2.0)
    say(wire, "a")
    assert len(list(wire.received("b"))) == 1


def test_a_wrong_secret_is_foreign() -> None:
    wire = Wire(tunnel("a"), tunnel("b", secrets=(OTHER,)))
    wire.run(2.0)
    assert wire.appeared("a") == wire.appeared("b") == []
    assert wire.tunnels["b"].drops.total["foreign"] > 0


def test_secrets_change_node_by_node_without_a_message_lost() -> None:
    wire = Wire(*(tunnel(name) for name in "abcd"))
    wire.run(0.5)
    said = 0

    def chat() -> None:
        nonlocal said
        for _ in range(3):
            for name in "abcd":
                said += 1
                say(wire, name)
            wire.run(0.5)

    for secrets in ((OTHER, SECRET), (OTHER,)):
        for name in "abcd":
            chat()
            wire.tunnels[name].adopt(secrets, wire.now)
    chat()
    for name in "abcd":
        assert len(list(wire.received(name))) == said * 3 // 4
    (sent,) = wire.tunnels["a"].send(Kind.STATUS, b"", wire.now)
    assert tunnel("x", secrets=(SECRET,)).receive(sent.datagram, ("a", 1), wire.now) == []


def test_other_versions_and_other_programs_are_told_apart() -> None:
    wire = pair()
    (sent,) = wire.tunnels["a"].send(Kind.STATUS, b"", wire.now)
    b = wire.tunnels["b"]
    before = b.drops.total.copy()
    b.receive(b"GET / HTTP/1.1", ("x", 1), wire.now)
    b.receive(sent.datagram[:4] + b"\x02" + sent.datagram[5:], ("x", 1), wire.now)
    b.receive(sent.datagram[:40], ("x", 1), wire.now)
    assert b.drops.total - before == {"foreign": 1, "version": 1, "truncated": 1}


def test_what_was_dropped_is_said_with_its_source_and_bounded() -> None:
    b = tunnel("b")
    for n in range(1000):
        b.receive(b"junk", (f"10.0.{n // 256}.{n % 256}", 1), n / 100)
    line = b.drops.line()
    assert "1 foreign from 10.0.0.0" in line and "968 foreign from elsewhere" in line
    assert b.drops.line() == ""


def test_strangers_who_know_the_secret_fill_no_table() -> None:
    b = tunnel("b")
    for n in range(1000):
        for sent in tunnel(f"n{n}").wake(0.0):
            b.receive(sent.datagram, ("x", 1), n / 100)
    assert b.peers == {} and len(b._new) <= 256


def test_hundreds_of_nodes_know_each_other() -> None:
    wire = Wire(*(tunnel(f"n{n}") for n in range(40)))
    wire.run(3.0)
    assert all(len(t.peers) == 39 for t in wire.tunnels.values())


def test_a_flood_from_elsewhere_costs_little_and_nodes_are_heard_all_the_same() -> None:
    wire = pair()
    b = wire.tunnels["b"]
    for _ in range(1000):
        b.receive(b"XCNF" + bytes(100), ("x", 1), wire.now)
    assert b.drops.total["flood"] == 900
    say(wire, "a")
    assert len(list(wire.received("b"))) == 1


def test_greetings_are_not_answered_at_any_rate() -> None:
    b = tunnel("b")
    sent: list[Send] = []
    for n in range(1000):
        (hello,) = tunnel(f"n{n}").wake(0.0)
        sent += [e for e in b.receive(hello.datagram, ("x", 1), n / 1000) if isinstance(e, Send)]
    assert len(sent) <= 21


def test_the_window_takes_each_number_once_whatever_their_order() -> None:
    window = Window(0)
    taken = []
    for number in [5, 3, 5, 4, 3, 5000, 5000 - WIDTH, 5001 - WIDTH, 4999, 4999]:
        if window.fresh(number):
            window.add(number)
            taken.append(number)
    assert taken == [5, 3, 4, 5000, 5001 - WIDTH, 4999]


def test_a_later_start_has_a_greater_epoch() -> None:
    assert epoch_at(1000.0, 0xFFFFFFFF) < epoch_at(1000.002, 0) < 1 << 64
