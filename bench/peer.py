"""What the benchmark asks of another server that runs beside it."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.callers import Address


class Running(Protocol):
    """A server that runs, with one conference."""

    pid: int

    def join(self, place: Address, speaks: bool) -> Address:
        """One more caller, who is at that place; where he sends to."""


@dataclass(slots=True, frozen=True)
class Peer:
    """Another server. counts: numbers of listeners to try, of the quick and of the full form; echoes: the speaker is sent
    something, too; reach: how many times as many listeners per core xconf has at least; note: what to know of it.
    """

    name: str
    program: str
    package: str
    running: Callable[[], AbstractContextManager[Running]]
    counts: tuple[tuple[int, ...], tuple[int, ...]]
    echoes: bool
    reach: float
    note: str

    @property
    def installed(self) -> bool:
        return shutil.which(self.program) is not None

    def version(self) -> str:
        """As the package says; empty when it is none of Debian's."""
        command = ["dpkg-query", "-W", "-f", "${Version}", self.package]
        with contextlib.suppress(OSError):
            return subprocess.run(command, capture_output=True, text=True, check=False).stdout.partition("-")[0]
        return ""


@contextlib.contextmanager
def process(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server that is ended at the end; what it says goes to `log`, and is shown when it ends by itself."""
    with log.open("wb") as output:
        started = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        yield started
        if started.poll() is not None:
            raise SystemExit(f"{command[0]} ended by itself:\n{log.read_text()[-2000:]}")
    finally:
        started.terminate()
        try:
            started.wait(10)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()
