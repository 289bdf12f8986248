"""A newcomer's walk through the README, command by command, in a fresh copy of what is in the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_server import CHECKOUT, PATIENCE, READY, environment

INSTALLING = 600.0  # seconds that pip may take to fetch what xconf needs


def typed(readme: str) -> list[str]:
    """The commands of the README's code blocks, in their order."""
    blocks = re.findall(r"^```\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("make ", ".venv/bin/"))]


class Terminal:
    """A command that goes on running, and what it says."""

    def __init__(self, command: str, folder: Path) -> None:
        self.process = subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.said: list[str] = []
        self._rest: threading.Thread | None = None

    def wait_for(self, text: str, patience: float) -> None:
        watchdog = threading.Timer(patience, self.kill)
        watchdog.start()
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            if text in line:
                watchdog.cancel()
                # A pipe that nobody reads fills up, and then stops who writes to it.
                self._rest = threading.Thread(target=self._read, daemon=True)
                self._rest.start()
                return
        raise AssertionError(f"{text!r} was not said:\n{''.join(self.said)}")

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.said.extend(self.process.stdout)

    def wait(self, patience: float) -> int:
        assert self._rest is not None
        self._rest.join(patience)
        return self.process.wait(patience)

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the repository, and nothing that was made from them."""
    if not (CHECKOUT / ".git").exists():
        pytest.skip("not in a clone of the repository")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, check=True, capture_output=True, text=True)
    folder = tmp_path_factory.mktemp("newcomer") / "xconf"
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name)
    return folder


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.kill()


def test_a_newcomer_gets_through_the_readme(copy: Path, terminals: list[Terminal]) -> None:
    commands = typed((copy / "README.md").read_text())
    assert commands[:2] == ["make run", "make test"]  # these tests are what `make test` runs

    server = Terminal("make run", copy)
    terminals.append(server)
    server.wait_for(READY, INSTALLING)
    assert any("dial sip:3000@127.0.0.1 " in line for line in server.said)

    assert commands[2].startswith(".venv/bin/xconf phone sip:3000@127.0.0.1 ")
    phone = Terminal(commands[2], copy)
    terminals.append(phone)
    phone.wait_for("answered", PATIENCE)

    for command in commands[3:]:
        result = subprocess.run(
            shlex.split(command), cwd=copy, env=environment(), capture_output=True, text=True, timeout=PATIENCE
        )
        assert result.returncode == 0, f"{command}: {result.stderr}"
        assert result.stdout.strip(), command

    assert phone.wait(PATIENCE) == 0, phone.said
    recording = re.search(r"--record (\S+)", commands[2])
    assert recording and (copy / recording[1]).stat().st_size > 100_000

    server.interrupt()
    server.wait(PATIENCE)
    assert "Traceback" not in "".join(server.said)
    assert not (copy / "conf" / "xconf.sock").exists()


def test_make_run_again_installs_nothing_again(copy: Path, terminals: list[Terminal]) -> None:
    again = subprocess.run(
        ["make", "--dry-run", "run"], cwd=copy, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )
    assert again.returncode == 0
    assert "pip" not in again.stdout
