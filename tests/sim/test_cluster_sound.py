"""What is said on one node is heard on the others, on networks that lose, delay and reorder, and with clocks that differ."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from cluster_world import SoundNode, Wire, decibels, level_at, tone

from xconf.cluster.coding import Compressed, Plain

TONES = {"a": 437.0, "b": 631.0, "c": 911.0, "d": 1217.0}


def crowd(wire: Wire, names: str = "abcd", rate: int = 8000, **options: object) -> dict[str, SoundNode]:
    return {
        name: SoundNode(
            wire, name, rate=rate, phase=0.0047 * at, first_tick=1000 * at, say=tone(rate, TONES[name]), **options
        )  # type: ignore[arg-type]
        for at, name in enumerate(names)
    }


def assert_all_hear_all(nodes: dict[str, SoundNode], seconds: float = 2.0, within: float = 1.0) -> None:
    for name, node in nodes.items():
        for other in nodes:
            pieces = np.split(node.heard(seconds), round(seconds * 4))  # streams that follow the way have no one phase
            levels = [level_at(piece, node.rate, TONES[other]) for piece in pieces]
            heard = decibels(float(np.median(levels)), 4000)
            if other == name:
                assert heard < -50, f"{name} hears himself, {heard:.1f} dB"
            else:
                assert abs(heard) < within, f"{name} hears {other} with {heard:.1f} dB"


def clicks(sound: np.ndarray, hertz: float, rate: int) -> int:
    """Where a tone is not what it would be from the samples before."""
    wave = sound.astype(np.float64)
    off = wave[2:] - 2 * np.cos(2 * np.pi * hertz / rate) * wave[1:-1] + wave[:-2]
    return int((abs(off) > 0.05 * 4000).sum())


@pytest.mark.parametrize("rate", [8000, 16000, 32000, 48000])
def test_four_speakers_on_four_nodes_hear_all_others_and_not_themselves(rate: int) -> None:
    wire = Wire()
    nodes = crowd(wire, rate=rate)
    wire.run(4.0)
    assert_all_hear_all(nodes)


def test_without_loss_the_sound_is_the_very_same() -> None:
    wire = Wire()
    a = SoundNode(wire, "a", say=tone(8000, 437.0))
    b = SoundNode(wire, "b", phase=0.013)
    wire.run(12.0)
    assert clicks(b.heard(10.0), 437.0, 8000) == 0
    assert b.stream.concealed == b.stream.late == 0
    assert a.frames


@pytest.mark.parametrize("ppm", [200, -200])
def test_clocks_200_ppm_apart_for_ten_minutes_are_not_heard(ppm: float) -> None:
    wire = Wire()
    SoundNode(wire, "a", say=tone(8000, 437.0), ppm=ppm)
    b = SoundNode(wire, "b", phase=0.013)
    wire.run(602.0)
    heard = b.heard(600.0)
    assert clicks(heard, 437.0, 8000) == 0
    assert b.stream.concealed == b.stream.jumps == 0
    assert b.stream.slips >= 600 * 8000 * 200e-6 * 0.9
    for second in range(600):
        piece = heard[second * 8000 : (second + 1) * 8000]
        assert abs(decibels(level_at(piece, 8000, 437.0), 4000)) < 0.5


def spurts(rate: int, hertz: float, on: int, off: int) -> Callable[[int], np.ndarray | None]:
    """A tone for `on` ticks, nothing for `off`, and so on."""
    whole = tone(rate, hertz)
    return lambda tick: whole(tick) if tick % (on + off) < on else None


@pytest.mark.parametrize("phase", [0.0, 0.003, 0.0099, 0.0151, 0.0199])
def test_a_frame_leaves_the_other_node_at_most_40_ms_later(phase: float) -> None:
    wire = Wire()
    SoundNode(wire, "a", say=spurts(8000, 437.0, 50, 50))
    b = SoundNode(wire, "b", phase=phase)
    wire.run(20.1)
    later = []
    for spurt in range(2, 9):
        first = 100 * spurt  # the tick of a, and of b, about the same time
        heard = np.flatnonzero(np.concatenate(b.frames[first : first + 50]))[0]
        later.append(phase + heard // 160 * 0.02)
        sample = phase + heard / 8000
        assert sample == pytest.approx(0.0245, abs=0.004)  # 20 ms for ticks that lie anywhere, and the margin
    assert float(np.median(later)) <= 0.040


def test_silence_costs_a_greeting_each_second() -> None:
    wire = Wire()
    a = SoundNode(wire, "a", say=lambda tick: tone(8000, 437.0)(tick) if tick < 100 else None)
    SoundNode(wire, "b")
    wire.run(3.0)
    before = a.tunnel.counts.sent
    wire.run(60.0)
    assert a.tunnel.counts.sent - before == 60


def test_after_silence_the_beginning_is_whole_and_the_end_is_silent() -> None:
    wire = Wire()
    say = spurts(8000, 437.0, 50, 50)
    SoundNode(wire, "a", say=say)
    b = SoundNode(wire, "b", phase=0.007)
    wire.run(20.1)
    heard = np.concatenate(b.frames[200:900])
    said = np.concatenate(
        [frame if frame is not None else np.zeros(160, np.int16) for frame in map(say, range(200, 900))]
    )
    lag = int(np.flatnonzero(heard)[0] - np.flatnonzero(said)[0])
    assert np.array_equal(heard[lag:], said[: len(said) - lag])
    assert b.stream.concealed == 0


def rough(wire: Wire, loss: float = 0.05, jitter: float = 0.03) -> Callable[[], float | None]:
    """A network that loses, delays each datagram by another time, and so reorders."""
    return lambda: None if wire.random.random() < loss else 0.001 + wire.random.random() * jitter


@pytest.mark.parametrize("rate", [8000, 16000])
def test_loss_jitter_reordering_and_duplicates_leave_all_others_audible(rate: int) -> None:
    wire = Wire()
    wire.delay = rough(wire)
    wire.doubled = 0.1
    nodes = crowd(wire, rate=rate)
    wire.run(12.0)
    assert_all_hear_all(nodes, 4.0)
    for node in nodes.values():
        frames = node.frames[-400:]
        assert sum(not frame.any() for frame in frames) == 0


def test_jitter_alone_loses_nearly_nothing() -> None:
    wire = Wire()
    wire.delay = rough(wire, loss=0.0)
    SoundNode(wire, "a", say=tone(8000, 437.0))
    b = SoundNode(wire, "b", phase=0.01)
    wire.run(60.0)
    assert b.stream.concealed <= 0.02 * 3000
    assert b.stream.jumps <= 10


def test_after_a_cut_of_two_seconds_all_is_as_before_and_nothing_old_is_heard() -> None:
    wire = Wire()
    nodes = crowd(wire)
    wire.run(4.0)
    wire.cut.add("a")
    wire.run(0.5)
    wire.run(1.5)
    assert not nodes["a"].heard(1.0).any()
    for name in "bcd":
        assert decibels(level_at(nodes[name].heard(1.0), 8000, TONES["a"]), 4000) < -50
    wire.cut.clear()
    wire.run(3.0)
    assert_all_hear_all(nodes)


def test_of_a_node_that_is_killed_nothing_is_heard_a_tenth_of_a_second_later() -> None:
    wire = Wire()
    nodes = crowd(wire)
    wire.run(4.0)
    wire.stop("a")
    wire.run(0.12)
    wire.run(1.0)
    assert decibels(level_at(nodes["b"].heard(1.0), 8000, TONES["a"]), 4000) < -50
    assert abs(decibels(level_at(nodes["b"].heard(1.0), 8000, TONES["c"]), 4000)) < 1


def test_a_node_that_is_restarted_is_heard_within_three_seconds() -> None:
    wire = Wire()
    nodes = crowd(wire, "ab")
    wire.run(4.0)
    wire.stop("a")
    wire.run(1.5)
    again = SoundNode(wire, "a", epoch=2, say=tone(8000, TONES["a"]))
    wire.run(3.0)
    assert_all_hear_all({"a": again, "b": nodes["b"]}, 1.0)


@pytest.mark.parametrize("who", ["a", "b"])
def test_a_node_that_stands_still_for_a_while_is_heard_as_before(who: str) -> None:
    wire = Wire()
    nodes = crowd(wire, "ab")
    nodes[who].missed = set(range(200, 225))
    wire.run(8.0)
    assert_all_hear_all(nodes)


@pytest.mark.parametrize(("rate", "other"), [(8000, 16000), (16000, 8000), (48000, 8000), (8000, 48000)])
def test_nodes_with_other_rates_hear_each_other(rate: int, other: int) -> None:
    wire = Wire()
    a = SoundNode(wire, "a", rate=rate, say=tone(rate, TONES["a"]))
    b = SoundNode(wire, "b", rate=other, say=tone(other, TONES["b"]), phase=0.01)
    wire.run(4.0)
    assert_all_hear_all({"a": a, "b": b})


def test_several_conferences_share_a_tunnel_and_do_not_hear_each_other() -> None:
    wire = Wire()
    nodes = [SoundNode(wire, name, say=lambda tick: None) for name in "ab"]
    more = [node.conferences.open("4711", 8000, 1) for node in nodes]
    heard = []

    def beat(tick: int) -> None:
        more[0].send(tick, tone(8000, 437.0)(tick))
        frame = more[1].receive(tick)
        heard.append(0 if frame is None else abs(frame).max())
        wire.at(wire.now + 0.02, lambda: beat(tick + 1))

    wire.at(wire.now, lambda: beat(0))
    wire.run(3.0)
    assert heard[-1] > 3000
    assert not nodes[1].heard(2.0).any()
    assert nodes[1].conferences.sizes() == {"conferences": 2, "streams": 1}
    more[1].close()
    assert nodes[1].conferences.sizes() == {"conferences": 1, "streams": 0}


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_opus_between_nodes(rate: int) -> None:
    wire = Wire()
    nodes = crowd(wire, "ab", rate=rate, codecs=Compressed())
    wire.run(4.0)
    assert_all_hear_all(nodes)
    assert nodes["a"].tunnel.counts.sent_octets < 4 * 50 * 500


def test_one_with_opus_and_one_without_hear_each_other() -> None:
    wire = Wire()
    a = SoundNode(wire, "a", codecs=Compressed(), say=tone(8000, TONES["a"]))
    b = SoundNode(wire, "b", codecs=Plain(), say=tone(8000, TONES["b"]))
    wire.run(4.0)
    assert_all_hear_all({"a": a, "b": b})


def test_a_listener_nodes_work_does_not_depend_on_the_number_of_speakers_elsewhere() -> None:
    def came(speakers: int) -> int:
        wire = Wire()
        mixed = [tone(8000, 300.0 + 37 * n, 500) for n in range(speakers)]
        SoundNode(wire, "a", say=lambda tick: np.sum([say(tick) for say in mixed], axis=0).astype(np.int16))
        b = SoundNode(wire, "b")
        wire.run(5.0)
        return b.tunnel.counts.received

    assert came(1) == came(20)
