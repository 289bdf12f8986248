"""Where the server's CPU goes, stage by stage, for docs/performance.md: `python -m bench.stages [LISTENERS]`.

A server of its own, with one speaker and that many listeners who send; half a minute after the last call was set up
py-spy (`pip install py-spy`) looks at it 400 times a second for 20 s. A look counts for the first stage one of whose functions
is on the stack.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from bench.crowd import crowd
from bench.server import server

SECONDS, RATE = 20, 400
SETTLE = 33.0  # s: RFC 3261 keeps transactions for 32 s
STAGES = (
    ("reports: RTCP", ("(xconf/media/reports.py",)),
    ("send: sendmmsg", ("send_all (xconf/rtp/ports.py",)),
    ("receive: filter, recvmmsg, sort, decode", ("_receive (xconf/media/engine.py", "(xconf/media/filtering.py")),
    ("mix", ("_mix (xconf/media/engine.py",)),
    ("encode", ("(xconf/media/outputs.py", "(xconf/media/opus.py", "(xconf/media/g722.py")),
    ("rest of the tick", ("tick (xconf/media/engine.py", "(xconf/media/clock.py")),
    ("signalling", ("(xconf/sip/", "(xconf/calls/")),
)
REST = "the rest: reactor, threads, log"
WAITING = (
    "_run (xconf/rtp/ports.py",
    "_worker (concurrent/futures/",
    "Condition.wait (threading.py",
    "wait (threading.py",
    "EPollReactor.doPoll (",
)
"""Threads that wait, which py-spy takes for busy when they have just begun to."""


def shares(folded: str) -> Counter[str]:
    """Looks by stage. folded: py-spy's raw form, a line for each stack: frames from the outermost, semicolons between them,
    then a space and how often it was seen.
    """
    found: Counter[str] = Counter()
    for line in folded.splitlines():
        stack, _, count = line.rpartition(" ")
        if any(frame in stack.rpartition(";")[2] for frame in WAITING):  # its class may come first
            continue
        stage = next((name for name, frames in STAGES if any(frame in stack for frame in frames)), REST)
        found[stage] += int(count)
    return found


def main(words: list[str]) -> int:
    program = shutil.which("py-spy", path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if program is None:
        print("bench.stages needs py-spy: pip install py-spy", file=sys.stderr)
        return 1
    listeners = int(words[0]) if words else 2000
    with tempfile.TemporaryDirectory() as folder, server() as served, crowd(listeners + 1) as callers:
        time.sleep(SETTLE)
        file, before = Path(folder) / "stacks", served.cpu()
        command = [program, "record", "-p", str(served.pid), "-d", str(SECONDS), "-r", str(RATE), "-f", "raw"]
        subprocess.run([*command, "-o", str(file)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        cpu = (served.cpu() - before) / SECONDS
        callers.hang_up()
        found = shares(file.read_text())
    print(f"{listeners} listeners: {cpu:.2f} of a core")
    for stage, looks in found.most_common():
        print(f"{looks / found.total():6.1%}  {stage}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
