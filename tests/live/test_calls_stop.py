"""A server that is told to stop while people talk."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from app_server import READY, Server, environment, sip_port, write_config

HOST = "127.0.0.24"
CALLS = 100
WITHIN = 5.0  # seconds: what the operator is told


def test_a_hundred_calls_are_hung_up_and_the_server_is_gone_in_time(tmp_path: Path) -> None:
    with Server(write_config(tmp_path, host=HOST)) as server:
        server.wait_for(READY)
        target = f"sip:3000@{HOST}:{sip_port(server.config)}"
        options = ["--calls", str(CALLS), "--rate", "100", "--hold", "60s", "--speak", "2", "--silent"]
        load = subprocess.Popen(
            [Server.bin_of_tests / "xconf", "load", target, *options],
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(CALLS):
                server.wait_for("member joined")
            began = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - began < WITHIN
        finally:
            load.kill()
            load.wait()
    assert sum("ended: server stopped" in line for line in server.lines) == CALLS
    assert not [line for line in server.lines if "Traceback" in line or "fault" in line.replace("default", "")]
