"""A conference on several nodes, real ones, with telephones on each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_levels
from bed_cluster import cluster

TONES = {"ann": 433.0, "bob": 1013.0}
SECONDS = 7.0


@pytest.mark.parametrize(
    "settings",
    [{}, {"payload": "opus"}, {"encrypt": False, "mode": "multicast", "multicast_group": "239.77.1.1"}],
    ids=["unicast", "opus", "multicast"],
)
def test_who_speaks_on_one_node_is_heard_on_the_other(settings: dict[str, object], tmp_path: Path) -> None:
    with cluster(tmp_path, "ab", settings) as nodes:
        phones = {
            "ann": nodes.call("ann", "a", "3000", seconds=SECONDS, tone=TONES["ann"]),
            "bob": nodes.call("bob", "b", "3000", seconds=SECONDS, tone=TONES["bob"]),
            "ear": nodes.call("ear", "b", "4000", seconds=SECONDS),
            "eye": nodes.call("eye", "a", "4000", seconds=SECONDS),
        }
        for phone in phones.values():
            phone.wait()
        for name, phone in phones.items():
            heard = phone.heard()[3 * 8000 : 6 * 8000]
            for other, hertz in TONES.items():
                level = float(np.median(tone_levels(heard, hertz)))
                if other == name:
                    assert level < -55, f"{name} hears himself"
                else:
                    assert level == pytest.approx(-18, abs=1), f"{name} hears {other}"
