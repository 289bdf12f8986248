"""A rolling upgrade between real nodes: telephones are moved from one to the other, which stops and comes back."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_level, tone_levels
from bed_cluster import cluster
from bed_crew import Phones
from bed_phones import end_process, own_address, wait_for
from bed_server import BIN
from bed_silence import BUSY, silences

from bench.stalls import StallMonitor

pytestmark = pytest.mark.long
JOINS, LEAVES, WELCOME = 2000, 2300, 2600
LOUD = {
    "member_join": f"tone_stream://%(400,0,{JOINS})",
    "member_leave": f"tone_stream://%(400,0,{LEAVES})",
    "member_welcome": f"tone_stream://%(400,0,{WELCOME})",
}
SUE, ANN, BOB = 433.0, 1013, 1409.0
MOVE = 0.15  # s of silence that who is moved hears, at most: the new node sends from the ACK on


def test_those_on_a_node_that_is_drained_go_on_on_the_other_and_it_comes_back(
    tmp_path: Path, stalls: StallMonitor
) -> None:
    with cluster(tmp_path, "ab", more={"profiles": {"default": LOUD}}) as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        crew = Phones(tmp_path / "crew")
        try:
            sue = nodes.call("sue", "b", "3000", seconds=60, tone=SUE)
            ear = nodes.call("ear", "b", "4000", seconds=60)
            b.wait_members("3000", 2)
            bob = nodes.call("bob", "a", "3000", seconds=60, tone=BOB)
            ann = crew.baresip("ann", tone=ANN)
            ann.dial(a.uri("3000"))
            eve = nodes.dial("eve", a.uri("4000"), own_address(), seconds=60, stays=True)
            a.wait_members("3000", 3)
            muted = next(row for row in a.members("3000") if row["caller"].startswith("ann"))
            a.ctl(f"3000 member {muted['uuid']} flags +mute")
            time.sleep(3)
            quiet = time.monotonic()
            a.ctl(f"drain to sip:{b.target}")
            b.wait_members("3000", 4)
            time.sleep(1)
            moved = time.monotonic()
            assert a.process.poll() is None and len(a.members("3000")) == 1, "eve stays as long as she likes"
            a.ctl("3000 term")
            eve.wait()
            assert a.process.wait(10) == 0, "the node stops by itself"
            a.check_log()
            wait_for(lambda: [row["state"] for row in b.data("nodes")] == ["this one", "left"], 3, "it said goodbye")
            time.sleep(2.5)
            heard = time.monotonic()
            assert ["mute" in row["flags"] for row in b.members("3000") if row["caller"].startswith("ann")] == [True]

            a.start()
            wait_for(lambda: [row["state"] for row in b.data("nodes")] == ["this one", "here"], 5, "it is back")
            new = nodes.call("new", "a", "4000", seconds=3)
            new.wait()
            assert np.median(tone_levels(new.heard()[8000:16000], SUE)) == pytest.approx(-18, abs=1), "it takes calls"
            b.ctl("3000 term")
            for phone in (sue, ear, bob):
                phone.wait()
        finally:
            crew.stop()
        for name, phone, tone, start, end, most in (
            ("sue, on b as the ear is, is heard without a gap", ear, SUE, quiet - 2, heard, BUSY),
            ("and so on a, until it stops", eve, SUE, quiet - 2, moved, BUSY),
            ("bob, who is moved, is hardly missed", ear, BOB, quiet - 2, heard, MOVE),
            ("and hardly misses sue", bob, SUE, quiet - 2, heard, MOVE),
        ):
            lacks = silences(phone, stalls, tone, start, end)
            assert max(lacks, default=0) <= most and sum(lacks) <= 3 * BUSY, (name, lacks, stalls.describe())
        there = ann.recording().during(moved, heard)
        assert [tone_level(there, hertz) for hertz in (SUE, BOB)] == pytest.approx([-18, -18], abs=1.5), "ann hears all"
        for hertz in (JOINS, LEAVES, WELCOME):
            for phone in (ear, bob):
                told = phone.heard()[round((quiet - phone.started()) * 8000) : round((heard - phone.started()) * 8000)]
                assert max(tone_levels(told, hertz)) < -35, "nobody is told that somebody left, or came"
        assert max(tone_levels(ear.heard()[-3 * 8000 :], ANN)) < -45, "who was muted is"


CROWD = 200


def test_two_hundred_who_listen_are_moved_and_nobody_is_lost(tmp_path: Path, stalls: StallMonitor) -> None:
    with cluster(tmp_path, "ab", {"router": {"enable": True}}) as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        nodes.dial("sue", f"{b.uri('3000')};xconf=placed", own_address(), seconds=120, tone=SUE)
        b.wait_members("3000", 1)
        words = [str(CROWD), "--measure", str(CROWD), "--rate", "50", "--hold", "100s", "--hang-up-rate", "0"]
        uri = f"{a.uri('4000')};xconf=placed"  # all on this node
        command = [str(BIN / "xconf"), "load", uri, "--json", "--others-speak", "--calls", *words]
        load = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            a.wait_members("3000", CROWD)
            time.sleep(2)
            a.ctl("drain")
            assert a.process.wait(30) == 0, "it is empty, and ends by itself"
            b.wait_members("3000", CROWD + 1)
            time.sleep(2)
            load.terminate()
            said, _ = load.communicate(timeout=20)
        finally:
            end_process(load)
        a.check_log()
    result = json.loads(said.splitlines()[-1])
    assert load.returncode == 0, result["failures"]
    assert (result["answered"], result["moved"], result["not_moved"], result["failed"]) == (CROWD, CROWD, 0, 0)
    heard = result["measured"]
    assert heard["unheard"] == 0 and heard["callers"] == CROWD
    stood = max((one.end - one.start for one in stalls.sure()), default=0.0)
    most = MOVE + BUSY + stood
    assert heard["longest_gap"] < most and heard["longest_silence"] < most, (heard, stalls.describe())
