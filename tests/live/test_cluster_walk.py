"""docs/cluster.md, "All of it on one machine, to try it": its commands, as they stand there, do what it says."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from bed_kamailio import PROGRAM
from bed_phones import need
from bed_server import BIN, ROOT

pytestmark = pytest.mark.long

HEADING = "### All of it on one machine, to try it"


def commands() -> list[str]:
    """The pieces of it, in order."""
    text = (ROOT / "docs/cluster.md").read_text()
    section = re.split(r"\n##+ ", text[text.index(HEADING) + len(HEADING) :])[0]
    return re.findall(r"```\n(.*?)```", section, re.DOTALL)


def test_it_goes_as_the_page_says(tmp_path: Path) -> None:
    need(PROGRAM, "kamailio")
    (tmp_path / ".venv").symlink_to(BIN.parent)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    script = "set -e\n" + "echo '=== piece'\n".join(commands())
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    try:
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
    finally:
        for path in (tmp_path / "try").glob("*.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(path.read_text()), signal.SIGTERM)
    said = f"{done.stdout}\n{done.stderr}"
    assert done.returncode == 0, said
    started, listed, _, upgraded, _ = done.stdout.split("=== piece\n")
    assert len(re.findall(r"^(?:main|v1|v2) .*(?:this one|here)", started, re.MULTILINE)) == 3, said
    assert listed.count("FLAGS: AP") == 3, said
    assert "left" in upgraded, said
    assert re.search(r"100 dialled, 100 answered, 0 failed; \d+ moved to other servers, 0 not taken there", upgraded), (
        said
    )
    assert "0 callers heard nothing" in upgraded, said
