"""`twistd xconf-relay` between real nodes: who speaks on one is heard on the other, as long as both are tunnels of it."""

from __future__ import annotations

import contextlib
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_levels
from bed_cluster import PORT, SECRET, cluster
from bed_phones import end_process, own_address, wait_for
from bed_server import BIN

RELAY = 65020


@pytest.mark.long
def test_nodes_hear_each_other_through_the_relay_which_is_steered_while_it_runs(tmp_path: Path) -> None:
    address = own_address()
    config = tmp_path / "relay.yaml"
    config.write_text(f"listen: {address}:{RELAY}\nsecret: {SECRET}\n")

    def ctl(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([BIN / "xconf", "ctl", "-c", config, *words], capture_output=True, text=True)

    with contextlib.ExitStack() as running:
        log = running.enter_context((tmp_path / "relay.log").open("wb"))
        twistd = [BIN / "twistd", "-n", "--pidfile=", "xconf-relay", "-c", config]
        running.callback(end_process, subprocess.Popen(twistd, stdout=log, stderr=subprocess.STDOUT))
        wait_for(lambda: ctl("list").stdout == "no tunnels\n", 20, "the relay answers")
        assert stat.S_IMODE((tmp_path / "xconf.sock").stat().st_mode) == 0o600
        nodes = running.enter_context(cluster(tmp_path, "ab", {"peers": [f"{address}:{RELAY}"]}))
        for name, node in nodes.nodes.items():
            assert ctl(name, "add", f"{node.address}:{PORT}").returncode == 0
        assert ctl("a", "add", f"{address}:1").returncode == 1

        def met() -> bool:
            return all(node.data("counters").get("tunnel.received") for node in nodes.nodes.values())

        wait_for(met, 20, "the nodes hear each other")
        speaker = nodes.call("ann", "a", "3000", seconds=7.0, tone=433.0)
        ear = nodes.call("ear", "b", "4000", seconds=7.0)
        speaker.wait()
        ear.wait()
        level = float(np.median(tone_levels(ear.heard()[3 * 8000 : 6 * 8000], 433.0)))
        assert level == pytest.approx(-18, abs=1)
        assert "a  received" in ctl("stat").stdout
        assert ctl("b", "del").returncode == 0
        assert ctl("list").stdout.split()[0] == "a"
