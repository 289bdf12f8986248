"""Callers for a benchmark: `xconf load` as a process, as users start it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from bench.server import ADDRESS, LISTEN, SPEAK, cpu_seconds, on_core

SETTLE = 1.0  # s from the last answer to the first measurement


class Crowd:
    """Calls that are up until `hang_up`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.result: dict[str, Any] = {}

    def wait(self, event: str) -> dict[str, Any]:
        """The next such event. Raises SystemExit when there is none."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == event:
                return said
        raise SystemExit(f"the callers ended before {event}, with status {self.process.wait()}")

    def cpu(self) -> float:
        return cpu_seconds(self.process.pid)

    def hang_up(self) -> dict[str, Any]:
        """All at once; what the callers say of it. SIGTERM, for a shell's job in the background ignores SIGINT."""
        self.process.terminate()
        return self.end()

    def end(self) -> dict[str, Any]:
        """What the callers say when they have hung up by themselves."""
        self.result = self.wait("result")
        self.process.wait(30)
        return self.result


@contextlib.contextmanager
def crowd(
    calls: int,
    *words: str,
    speakers: int = 1,
    rate: float = 200.0,
    conference: str = "0",
    hold: str = "24h",
    core: int | None = None,
    host: str = ADDRESS[0],
) -> Iterator[Crowd]:
    """So many callers, all up. words: more of the command line of `xconf load`; core: the only one that they may use;
    host: the server's address."""
    command = [
        *on_core(core),
        sys.executable,
        "-m",
        "xconf",
        "load",
        LISTEN.format(conference, host=host),
        "--speak-to",
        SPEAK.format(conference, host=host),
    ]
    command += ["--calls", str(calls), "--speak", str(speakers), "--rate", str(rate), "--hold", hold, "--json", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    callers = Crowd(process)
    try:
        callers.wait("up")
        yield callers
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
