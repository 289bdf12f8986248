"""How the benchmarks judge what they have measured: stalls of the machine left out, peers, SIPp, CPU by ticks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from bench import growth, peers, sipp, stages
from bench.calm import calm
from bench.fanout import Found, Spent, rows
from bench.peer import Peer
from bench.peers import Tried
from bench.rtpengine import bdecode, bencode
from bench.stalls import Stall
from bench.table import Row
from bench.witness import punctuality

# Stalls


def test_seconds_with_a_stall_are_left_out_of_what_was_spent() -> None:
    seen = np.array([[0.0, 10.0], [1.0, 10.2], [2.0, 11.2], [3.0, 11.4]])
    assert calm(seen, []) == pytest.approx([3.0, 1.4])
    assert calm(seen, [Stall(1.4, 1.6, 0)]) == pytest.approx([2.0, 0.4])


def test_a_stall_counts_for_the_second_before_it_and_after_it_when_it_is_near() -> None:
    seen = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]])
    assert calm(seen, [Stall(1.02, 1.04, 0)]) == pytest.approx([0.0, 0.0])


def ticks(path: Path, *seen: tuple[float, float, float]) -> Path:
    path.write_bytes(np.array(seen).tobytes())
    return path


def test_late_ticks_are_the_servers_own_unless_the_machine_stood_still(tmp_path: Path) -> None:
    file = ticks(tmp_path / "ticks", (1.0, 0.001, 0), (1.04, 0.02, 1), (2.0, 0.09, 4), (2.02, 0.002, 0), (9.0, 0.5, 9))
    own = punctuality(file, 0.0, 5.0, [])
    assert (own.ticks, own.worst, own.missed, own.stalled) == (4, pytest.approx(90), 5, 0)
    blameless = punctuality(file, 0.0, 5.0, [Stall(1.88, 1.99, 1)])
    assert (blameless.ticks, blameless.worst, blameless.missed, blameless.stalled) == (2, pytest.approx(20), 1, 4)


# The floor


def fanout(ratio: float, packets: float = 50.0) -> list[Row]:
    """What is said of a server that takes so many times the CPU of the floor."""
    spent = Spent(0.3 * ratio, 0.4, packets, 1.0)
    return rows(Found([spent], [spent], [spent], [0.3], [1e-6]), 5000)


@pytest.mark.parametrize(("ratio", "reached", "far"), [(1.1, True, False), (2.9, False, False), (3.3, False, True)])
def test_the_ratio_to_the_floor_fails_ci_when_it_is_far_out_of_line(ratio: float, reached: bool, far: bool) -> None:
    first, *others = fanout(ratio)
    assert (first.reached, first.far) == (reached, far)
    assert not any(row.far for row in others)


def test_a_server_that_delivers_less_has_not_reached_it_however_cheap_it_is() -> None:
    assert [row.reached for row in fanout(1.0, packets=45.0)] == [False] * 4
    assert not fanout(1.0, packets=45.0)[0].far
    assert fanout(1.0, packets=15.0)[0].far


# Peers

PEER = Peer("Peer", "no-such-program", "peer", None, ((), ()), echoes=False, reach=5, note="it mixes")  # type: ignore[arg-type]


def test_a_peer_is_taken_at_the_most_listeners_that_it_serves_well() -> None:
    tried = [Tried(100, 0.2, 50.0), Tried(300, 0.5, 49.9), Tried(500, 0.6, 41.0)]
    row = peers.row(PEER, tried, 9000.0)
    assert row.value == "600 with 300; xconf, with 9,000, is 15.0 times"
    assert "500: 833 (41.0 packets/s)" in row.note
    assert (row.reached, row.far) == (True, False)


@pytest.mark.parametrize(
    ("ours", "reached", "far"), [(3500.0, True, False), (1500.0, False, False), (900.0, False, True)]
)
def test_to_be_slower_than_a_peer_fails_ci(ours: float, reached: bool, far: bool) -> None:
    row = peers.row(PEER, [Tried(300, 0.5, 50.0)], ours)
    assert (row.reached, row.far) == (reached, far)


def test_a_peer_that_is_not_installed_fails_nothing() -> None:
    assert not PEER.installed
    row = peers.row(PEER, [], 0.0)
    assert (row.value, row.reached, row.far) == ("not installed", None, False)


def test_bencode_goes_there_and_back() -> None:
    assert bencode({"command": "ping"}) == b"d7:command4:pinge"
    assert bdecode(b"d6:result2:ok5:portsli4ei6ee4:textd3:sdp5:v=0\r\nee") == {
        "result": "ok",
        "ports": [4, 6],
        "text": {"sdp": "v=0\r\n"},
    }


# SIPp

STATISTICS = (
    "TargetRate;SuccessfulCall(P);SuccessfulCall(C);FailedCall(C);Retransmissions(C);ResponseTimeRepartition1;"
    "ResponseTimeRepartition1_<5;ResponseTimeRepartition1_<10;ResponseTimeRepartition1_>=10;\n"
    "200;3;3;0;0;;3;0;0;\n"
    "200;97;100;1;2;;95;4;1;\n"
)


def test_sipps_statistics_are_read_from_the_last_row() -> None:
    opinion = sipp.read(STATISTICS)
    assert (opinion.answered, opinion.failed, opinion.retransmitted) == (100, 1, 2)
    assert (opinion.within(0.5), opinion.within(0.99), opinion.within(1.0)) == (5.0, 10.0, math.inf)


# Stages


def test_looks_count_for_the_first_stage_on_the_stack_and_threads_that_wait_for_none() -> None:
    folded = (
        "run (twisted/x.py:1);Engine.tick (xconf/media/engine.py:210);Bank.encode (xconf/media/outputs.py:126) 3\n"
        "run (twisted/x.py:1);Engine.tick (xconf/media/engine.py:210) 2\n"
        "work (concurrent/futures/thread.py:58);send_all (xconf/rtp/ports.py:305) 5\n"
        "run (threading.py:982);_worker (concurrent/futures/thread.py:81) 90\n"
        "Thread.run (threading.py:982);Senders._run (xconf/rtp/ports.py:275) 80\n"
    )
    assert stages.shares(folded) == {"encode": 3, "rest of the tick": 2, "send: sendmmsg": 5}


# Memory


def test_growth_is_between_the_ends_and_does_not_mind_a_peak() -> None:
    steady = np.full(100, 80.0)
    steady[50] = 500.0
    assert growth.growth(steady) == (80.0, 0.0)
    assert growth.growth(np.linspace(100, 200, 101))[1] == pytest.approx(91, abs=1)
