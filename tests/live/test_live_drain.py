"""A rolling upgrade between real nodes: telephones are moved from one to the other, which stops and comes back."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_level, tone_levels
from bed_cluster import cluster
from bed_crew import Phones
from bed_phones import wait_for

SUE, ANN, BOB = 433.0, 1013, 1409


@pytest.mark.long
def test_those_on_a_node_that_is_drained_go_on_on_the_other_and_it_comes_back(tmp_path: Path) -> None:
    with cluster(tmp_path, "ab") as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        crew = Phones(tmp_path / "crew")
        try:
            sue = nodes.call("sue", "b", "3000", seconds=60, tone=SUE)
            ear = nodes.call("ear", "b", "4000", seconds=60)
            b.wait_members("3000", 2)
            ann, bob = crew.baresip("ann", tone=ANN), crew.baresip("bob", tone=BOB)
            for phone in (ann, bob):
                phone.dial(a.uri("3000"))
            eve = nodes.call("eve", "a", "4000", seconds=60)  # a telephone that does not understand REFER
            a.wait_members("3000", 3)
            time.sleep(2)
            a.ctl(f"drain to sip:{b.target}")
            b.wait_members("3000", 4)
            moved = time.monotonic()
            assert a.process.poll() is None and len(a.members("3000")) == 1, "eve stays as long as she likes"
            a.ctl("3000 term")
            eve.wait()
            assert a.process.wait(10) == 0, "the node stops by itself"
            a.check_log()
            wait_for(lambda: [row["state"] for row in b.data("nodes")] == ["this one", "left"], 3, "it said goodbye")
            time.sleep(2.5)
            heard = time.monotonic()

            a.start()
            wait_for(lambda: [row["state"] for row in b.data("nodes")] == ["this one", "here"], 5, "it is back")
            new = nodes.call("new", "a", "4000", seconds=3)
            new.wait()
            assert np.median(tone_levels(new.heard()[8000:16000], SUE)) == pytest.approx(-18, abs=1), "it takes calls"
            b.ctl("3000 term")
            sue.wait()
            ear.wait()
        finally:
            crew.stop()
        for phone, other in ((ann, BOB), (bob, ANN)):
            levels = [tone_level(phone.recording().during(moved + 1, heard), hertz) for hertz in (other, SUE)]
            assert levels == pytest.approx([-18, -18], abs=4), phone.name
        there = np.flatnonzero(tone_levels(ear.heard(), SUE, segment=0.1) > -21)[10:]
        # What the telephones, which are programs, do to the sound of a busy machine is shorter than what a node takes to be missed.
        assert np.diff(there).max() <= 6, f"who was on b hears no gap: {there[:-1][np.diff(there) > 1] / 10}"
