"""Real telephones call a node that sends them to the one where the others speak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_levels
from bed_cluster import cluster
from bed_crew import Phones
from bed_phones import wait_for
from cluster_world import node_of_speakers

HERTZ = 433.0


def test_a_telephone_follows_to_the_node_of_the_speakers_and_on_when_that_is_drained(
    tmp_path: Path, phones: Phones
) -> None:
    number = next(number for number in map(str, range(3000, 3100)) if node_of_speakers(number) == "b")
    listens = number.replace("30", "40", 1)
    with cluster(tmp_path, "ab", {"router": {"enable": True, "region": "eu"}}) as nodes:
        a, b = nodes.nodes["a"], nodes.nodes["b"]
        for node in (a, b):  # a node's first status comes up to a second after its first word
            wait_for(
                lambda node=node: sum(row["most"] > 0 for row in node.data("nodes")) == 2, 5, "they know each other"
            )
        ear = nodes.call("ear", "a", listens, seconds=9)
        wait_for(lambda: len(a.members(number)) == 1, 5, "somebody listens on a")
        ann = phones.baresip("ann", tone=HERTZ)
        ann.dial(a.uri(number))
        (member,) = b.wait_members(number, 1)
        assert member["role"] == "speaker" and len(a.members(number)) == 1
        assert "sent on to b at sip:" in a.log() and a.data("counters")["nodes.placed_first"] == 1
        wait_for(lambda: b.data("nodes")[1]["members"] == 1, 3, "b knows of who listens on a")
        assert "1 calls to move to a" in b.ctl("drain")
        wait_for(lambda: b.process.poll() is not None, 10, "b is empty, and ends")
        assert [member["role"] for member in a.wait_members(number, 2)].count("speaker") == 1
        ear.wait()
        heard = ear.heard()
        ann.hangup()
    levels = tone_levels(heard, HERTZ)
    assert float(np.median(levels[-4:])) == pytest.approx(-18, abs=1)
    assert int((levels > -30).sum()) >= 8  # two seconds on either node
