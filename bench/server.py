"""A server of a benchmark's own, started as users start it, and what it spends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.calm import calm, watch
from bench.stalls import StallMonitor

ADDRESS = ("127.0.0.1", 15060)
SPEAK, LISTEN = "sip:3{}@{host}:15060", "sip:4{}@{host}:15060"
"""Whom speakers and listeners of a conference call; {} is its number, host the server's address."""
WIDE = "wide"
"""The number of one at 16 kHz, with all codecs that are in."""

_CLOCK_OF_ALL = 2  # CPUCLOCK_SCHED of Linux
_PAGE = os.sysconf("SC_PAGE_SIZE")
CONFIGURATION = """
sip: {{listen: ['udp://{host}:{port}'], allow: [127.0.0.0/8], limits: {{calls: 20000}}}}
rtp: {{address: {host}, ports: 26384-26639}}
control: {{listen: unix:bench.sock}}
dialplan:
  - {{number: '3wide', conference: wide, profile: wide, flags: +speaker}}
  - {{number: '4wide', conference: wide, profile: wide}}
  - {{number: '(3\\d+)', conference: '\\1', profile: default, flags: +speaker}}
  - {{number: '4(\\d+)', conference: '3\\1', profile: default}}
profiles:
  default: {{alone_sound: false, member_welcome: '', member_join: '', member_leave: '', vad: {{enable: false}},
            cng: {{enable: false}}}}
  wide: {{inherit: default, sample_rate: 16000}}
"""


def cpu_seconds(pid: int) -> float:
    """What a process has spent, in itself and in the system, all threads together: its CPU-time clock
    (clock_getcpuclockid(3)), which says the same as /proc/PID/stat, to the nanosecond instead of to 10 ms.
    """
    return time.clock_gettime(~pid << 3 | _CLOCK_OF_ALL)


@dataclass(slots=True, frozen=True)
class Server:
    pid: int
    socket: Path

    def cpu(self) -> float:
        """CPU seconds so far."""
        return cpu_seconds(self.pid)

    def memory(self) -> int:
        """Octets that it keeps in memory."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE

    def ask(self, *words: str) -> Any:
        """The data that `xconf ctl --json` gives."""
        command = [sys.executable, "-m", "xconf", "ctl", "--socket", str(self.socket), "--json", *words]
        return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["data"]

    def left(self) -> dict[str, int]:
        """What it still holds that calls had, but for finished transactions, which RFC 3261 keeps for 32 s."""
        held = self.ask("status")["held"]
        things = {f"{room}.{thing}": count for room, counts in held.items() for thing, count in counts.items()}
        kept = ("sip.transactions", "sip.timers", "conference.conferences")
        return {name: count for name, count in things.items() if count and name not in kept}


def calm_cpu(served: Server, seconds: float, stalls: StallMonitor) -> float:
    """CPU seconds per second of a server, in the seconds without stalls among so many."""
    spent, cpu = calm(watch(lambda: (served.cpu(),), seconds), stalls.sure())
    if not spent:
        raise SystemExit("the machine stood still all the while")
    return cpu / spent


@contextlib.contextmanager
def server(*, filtered: bool = True, core: int | None = None, ticks: Path | None = None) -> Iterator[Server]:
    """Until the end; its log goes to a file. core: the only one that it may use; ticks: a file in which all ticks are
    written down (`bench.witness` reads it) at the end.
    """
    host, port = ADDRESS
    with running(CONFIGURATION.format(host=host, port=port), filtered=filtered, core=core, ticks=ticks) as served:
        yield served


@contextlib.contextmanager
def running(
    configuration: str, *, filtered: bool = True, core: int | None = None, ticks: Path | None = None
) -> Iterator[Server]:
    """The same, with any configuration whose management socket is bench.sock."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "xconf.yaml"
        file.write_text(configuration)
        twistd = [str(Path(sys.executable).with_name("twistd"))]
        if not filtered:
            twistd = [sys.executable, "-m", "bench.unfiltered"]
        elif ticks is not None:
            twistd = [sys.executable, "-m", "bench.witness"]
        command = [*on_core(core), *twistd, "-n", "--pidfile=", "xconf", "-c", str(file)]
        log = Path(folder) / "log"
        with log.open("w") as output:
            environment = os.environ | ({"XCONF_TICKS": str(ticks)} if ticks is not None else {})
            process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait_until_ready(process, log)
            yield Server(process.pid, Path(folder) / "bench.sock")
        finally:
            process.terminate()
            process.wait(10)
            faults = log.read_text().count("Traceback")
            if faults:
                print(f"the server's log has {faults} tracebacks: its figures mean nothing", file=sys.stderr)


def on_core(core: int | None) -> list[str]:
    """What goes before a command that may use one core only; nothing when there is no such core."""
    return ["taskset", "-c", str(core)] if core in os.sched_getaffinity(0) else []


def _wait_until_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    while "ready for calls" not in log.read_text():
        if process.poll() is not None:
            raise SystemExit(f"the server did not start:\n{log.read_text()}")
        time.sleep(0.05)
