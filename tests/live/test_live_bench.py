"""The tools of the benchmarks, on few callers: that they measure what they say."""

from __future__ import annotations

import signal

import pytest

from bench import floor, nodes, peers, setup, sipp
from bench.crowd import crowd
from bench.peer import Peer
from bench.server import server


@pytest.mark.skipif(not floor.can_run(), reason="no C compiler")
def test_the_floor_sends_to_all_and_receives_behind_the_filter() -> None:
    said, arrived = floor.measure(40, 2, 1.0, filtered=False, warm_up=0.5)
    plain = said[-1] - said[0]
    assert plain[floor.SENT] == 40 * 50
    assert plain[floor.RECEIVED] == pytest.approx(40 * 50, rel=0.2)
    assert arrived >= 40 * 50
    said, _ = floor.measure(40, 2, 1.0, warm_up=0.5)
    # The two speakers' packets, and one in 64 of the others'.
    assert (said[-1] - said[0])[floor.RECEIVED] == pytest.approx(2 * 50 + 38 * 50 / 64, rel=0.4)


@pytest.mark.parametrize("peer", peers.PEERS, ids=lambda peer: peer.package)
def test_a_peer_serves_listeners(peer: Peer) -> None:
    if not peer.installed:
        pytest.skip(f"{peer.package} is not installed")
    found = peers.at_work(peer, 20, 1.0)
    assert found.packets == pytest.approx(50, abs=5)
    assert 0 < found.cpu < 1


def test_sipp_and_our_own_load_generator_agree_on_a_server() -> None:
    if not sipp.installed():
        pytest.skip("SIPp is not installed")
    with server():
        opinion = sipp.ask_sipp(40, held=0.5)
    assert (opinion.answered, opinion.failed, opinion.retransmitted) == (40, 0, 0)
    assert "40 answered, 0 failed" in sipp.ask_ours(40, held=0.5)


def test_ticks_are_witnessed_and_all_is_freed_when_the_server_ends_a_conference() -> None:
    ended = setup.ended(30, 100.0, "ended", setup.by_server)
    assert "nothing left" in ended.value and "30 callers were told" in ended.note
    assert not ended.far


def test_callers_hang_up_when_they_are_told_to_also_where_interrupts_are_ignored() -> None:
    before = signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # as under `nohup make bench &`; whoever is started inherits it
    try:
        with server(), crowd(5, hold="5s") as callers:
            result = callers.hang_up()
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result["answered"], result["unanswered_byes"]) == (5, 0)
    assert result["held"] < 5


def test_real_nodes_are_measured_while_their_listeners_hear_who_speaks_on_one_of_them() -> None:
    held = nodes.hold(2, 8, 1.5, 1)
    assert held.totals == [17, 17]
    assert held.unheard == 0
    assert all(heard["callers"] == 8 and heard["judged"] > 0 for heard in held.heard)
    assert held.sent[0] > 40 > held.sent[1], (
        "datagrams a second: sound from where somebody speaks, greetings from elsewhere"
    )
    assert all(0 < cpu < 1 for cpu in held.cpu)
