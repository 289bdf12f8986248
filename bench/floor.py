"""The floor: a C program that sends and receives the same packets as the server, and does nothing else (floor.c)."""

from __future__ import annotations

import functools
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.callers import Address, callers
from bench.calm import Samples
from xconf.rtp.filter import Wanted, program
from xconf.rtp.ports import source_number

ADDRESS, PORTS = "127.0.0.1", (27384, 27386)
"""As many ports as the server uses for as many calls."""

SECONDS, CPU, SENT, UNSENT, RECEIVED, LATE = range(6)
"""Columns of what the floor says of itself."""


@functools.cache
def compiled() -> Path:
    """The program, compiled anew in each run."""
    folder = tempfile.TemporaryDirectory(prefix="xconf-floor-")
    _folders.append(folder)
    path = Path(folder.name) / "floor"
    subprocess.run(["cc", "-O2", "-o", str(path), str(Path(__file__).with_name("floor.c"))], check=True)
    return path


_folders: list[tempfile.TemporaryDirectory[str]] = []


def can_run() -> bool:
    """Whether there is a C compiler."""
    return shutil.which("cc") is not None


def measure(
    count: int, speakers: int, seconds: float, *, filtered: bool = True, warm_up: float = 1.0
) -> tuple[Samples, int]:
    """Run the floor for so many callers, of whom the first speak, with or without the server's kernel filter.

    What it says each second (float64[n, 6], see the columns above), and the packets that arrived at the callers.
    """
    with callers(count, speakers) as crowd:
        port_of = [caller % len(PORTS) for caller in range(count)]
        crowd.start((ADDRESS, PORTS[port]) for port in port_of)
        plan = [f"to {port} {host} {number}\n" for port, (host, number) in zip(port_of, crowd.places, strict=True)]
        if filtered:
            plan += [_filter(port, crowd.places[port : speakers : len(PORTS)]) for port in range(len(PORTS))]
        words = [str(compiled()), str(seconds), str(warm_up), ADDRESS, *map(str, PORTS)]
        run = subprocess.run(words, input="".join(plan), check=True, capture_output=True, text=True)
        arrived = crowd.count().arrived
    return np.array([line.split() for line in run.stdout.splitlines()], float), arrived


def _filter(port: int, speakers: Sequence[Address]) -> str:
    """The server's own filter of a port, as the floor reads it."""
    sources = frozenset(source_number(place) for place in speakers)
    code = program(Wanted(sources=sources, payload_types=frozenset({101})))
    assert code is not None
    return "".join(f"filter {port} {' '.join(map(str, part))}\n" for part in struct.iter_unpack("=HBBI", code))
