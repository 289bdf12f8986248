"""A whole xconf server in a process of its own, for tests: its configuration, start, log and stop."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

CHECKOUT = Path(__file__).resolve().parents[2]
READY = "ready for calls"
PATIENCE = 60.0  # seconds until a line that must come is missed; a machine under load is no fault

CONFIG = """\
node: {{name: test}}
sip:
  listen: [udp://{host}:{port}, tcp://{host}:{port}]
  allow: [127.0.0.0/8]
rtp: {{address: {host}, ports: {first}-{last}}}
control: {{listen: unix:xconf.sock}}
dialplan:
  - {{number: '(30\\d\\d)', conference: '\\1', flags: +speaker}}
  - {{number: '40(\\d\\d)', conference: '30\\1'}}
profiles:
  default: {{}}
controls:
  default: {{'#': hangup, '*': deaf}}
"""


def free_port(host: str) -> int:
    """A port that neither UDP nor TCP uses now."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind((host, 0))
            try:
                udp.bind((host, tcp.getsockname()[1]))
            except OSError:
                continue
            return int(tcp.getsockname()[1])


def write_config(folder: Path, *, host: str = "127.0.0.21", template: str = CONFIG) -> Path:
    """A configuration on free ports; its management socket is beside it."""
    first = free_port(host) & ~63
    file = folder / "xconf.yaml"
    file.write_text(template.format(host=host, port=free_port(host), first=first, last=first + 63))
    return file


def sip_port(config: Path) -> int:
    """The port in a configuration that `write_config` wrote."""
    return int(config.read_text().split("udp://")[1].split(",")[0].split(":")[1])


def environment() -> dict[str, str]:
    """This environment without what would let the checkout's modules be found."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"PYTHONUNBUFFERED": "1"}


class Server:
    """`twistd -n xconf -c CONFIG` of the programs in `bin`; ends with the `with` block."""

    bin_of_tests = Path(sys.executable).parent

    def __init__(self, config: Path, *, bin: Path = bin_of_tests, cwd: Path | None = None) -> None:
        self.config = config
        self.bin = bin
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [bin / "twistd", "-n", "--pidfile=", "xconf", "-c", config],
            cwd=cwd or config.parent,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for(self, text: str) -> str:
        """The next line of the log that has this text in it."""
        while True:
            try:
                line = self._queue.get(timeout=PATIENCE)
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"no line with {text!r} came; the log:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if text in line:
                return line

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`xconf ctl WORDS` for this server."""
        command: Sequence[str | Path] = [self.bin / "xconf", "ctl", "-c", self.config, *words]
        return subprocess.run(
            command, cwd=self.config.parent, env=environment(), capture_output=True, text=True, timeout=PATIENCE
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the server and returns its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        while (line := self._queue.get()) is not None:
            self.lines.append(line)
        return status

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def python(version: str) -> Path | None:
    """An interpreter of that version ("3.13"), wherever this machine has one."""
    places = [shutil.which(f"python{version}"), f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"]
    places += sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python{version}")))
    for place in filter(None, places):
        wanted = f"import sys, venv, ensurepip; sys.exit(sys.version.split()[0].rsplit('.', 1)[0] != {version!r})"
        if Path(place).exists() and subprocess.run([place, "-c", wanted], capture_output=True).returncode == 0:
            return Path(place)
    return None
