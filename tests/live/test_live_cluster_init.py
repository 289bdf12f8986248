"""A cluster as `xconf cluster-init` writes it: its nodes start, hear each other, and are drained."""

from __future__ import annotations

import contextlib
import getpass
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from bed_crew import Phones
from bed_phones import end_process, own_address, wait_for
from bed_server import BIN

PATIENCE = 20.0


def asked(config: Path, *words: str) -> Any:
    """What `xconf ctl` has to say; None: the node does not answer."""
    done = subprocess.run([BIN / "xconf", "ctl", "-c", config, "--json", *words], capture_output=True, text=True)
    return json.loads(done.stdout) if done.stdout else None


def open_to(config: Path) -> list[str]:
    answer = asked(config, "nodes")
    return [row["takes"] for row in answer["data"]] if answer else []


def members_on(config: Path) -> int:
    answer = asked(config, "list")
    return sum(row["members"] for row in answer["data"]) if answer else 0


@pytest.mark.long
def test_nodes_as_written_start_hear_each_other_and_are_drained(tmp_path: Path, phones: Phones) -> None:
    folder, address = tmp_path / "cluster", own_address()
    command = [BIN / "xconf", "cluster-init", "1", "--folder", folder, "--address", address, "--allow", "127.0.0.0/8"]
    subprocess.run([*command, "--user", getpass.getuser()], check=True, capture_output=True)
    with contextlib.ExitStack() as running:
        nodes: dict[Path, subprocess.Popen[bytes]] = {}
        for name in ("main", "v1"):
            config = folder / name / "xconf.yaml"
            log = running.enter_context((tmp_path / f"{name}.log").open("wb"))
            twistd = [BIN / "twistd", "-n", "--pidfile=", "xconf", "-c", config]
            nodes[config] = subprocess.Popen(twistd, stdout=log, stderr=subprocess.STDOUT)
            running.callback(end_process, nodes[config])

        def heard() -> bool:
            answers = [asked(config, "counters") for config in nodes]
            return all(answer and answer["data"].get("tunnel.received") for answer in answers)

        wait_for(heard, PATIENCE, "both nodes hear each other")
        main, visitor = nodes
        wait_for(lambda: open_to(main) == ["speakers", "listeners"], PATIENCE, "each knows whom the other takes")
        callers = {main: phones.baresip("speaks"), visitor: phones.baresip("listens")}
        for number, phone in zip(("3000", "4000"), callers.values(), strict=True):
            phone.dial(f"sip:{number}@{address}:5060")
        for config in nodes:
            wait_for(lambda config=config: members_on(config) == 1, PATIENCE, "one member is on each")
        for phone in callers.values():
            phone.hangup()
        for config, process in nodes.items():
            assert asked(config, "drain")["ok"]
            assert process.wait(PATIENCE) == 0
