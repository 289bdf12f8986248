"""The floor: a C program that sends and receives the same packets as the server, and does nothing else (floor.c)."""

from __future__ import annotations

import functools
import json
import struct
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from xconf.rtp.filter import Wanted, program
from xconf.rtp.ports import source_number

ADDRESS, PORTS = "127.0.0.1", (27384, 27386)
"""As many ports as the server uses for as many calls."""


@dataclass(slots=True, frozen=True)
class Floor:
    """What `seconds` took: CPU in seconds, packets sent and received, and what arrived at the callers from start to end."""

    seconds: float
    cpu: float
    sent: int
    received: int
    late_ticks: int
    arrived: int


@functools.cache
def compiled() -> Path:
    """The program, compiled anew in each run."""
    folder = tempfile.TemporaryDirectory(prefix="xconf-floor-")
    _folders.append(folder)
    path = Path(folder.name) / "floor"
    subprocess.run(["cc", "-O2", "-o", str(path), str(Path(__file__).with_name("floor.c"))], check=True)
    return path


_folders: list[tempfile.TemporaryDirectory[str]] = []


def measure(callers: int, speakers: int, seconds: float, *, filtered: bool = True, warm_up: float = 1.0) -> Floor:
    """Run the floor for so many callers, of whom the first speak, with or without the server's kernel filter."""
    words = [sys.executable, "-m", "bench.callers", str(callers), str(speakers), ADDRESS, *map(str, PORTS)]
    crowd = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert crowd.stdin is not None and crowd.stdout is not None
    lines = list(iter(crowd.stdout.readline, "end\n"))
    plan = "".join(lines) + (_filters(lines[:speakers]) if filtered else "")
    words = [str(compiled()), str(seconds), str(warm_up), ADDRESS, *map(str, PORTS)]
    run = subprocess.run(words, input=plan, check=True, capture_output=True, text=True)
    heard, _ = crowd.communicate()
    figures = json.loads(run.stdout.splitlines()[-1])
    return Floor(
        seconds=figures["seconds"],
        cpu=figures["user"] + figures["system"],
        sent=figures["sent"],
        received=figures["received"],
        late_ticks=figures["late_ticks"],
        arrived=json.loads(heard)["arrived"],
    )


def _filters(speakers: list[str]) -> str:
    """The server's own filter of each port, as the floor reads it."""
    lines = []
    for index in range(len(PORTS)):
        places = [line.split()[2:] for line in speakers if line.split()[1] == str(index)]
        sources = frozenset(source_number((address, int(port))) for address, port in places)
        code = program(Wanted(sources=sources, payload_types=frozenset({101})))
        assert code is not None
        lines += [f"filter {index} {' '.join(map(str, part))}\n" for part in struct.iter_unpack("=HBBI", code)]
    return "".join(lines)
