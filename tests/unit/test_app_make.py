"""The scripts that `make` and CI call."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_a_python_that_is_too_old_is_named_with_the_remedy(tmp_path: Path) -> None:
    script(tmp_path, "old", "exit 1")
    result = run(ROOT / ".ci/make-venv", tmp_path / "venv", PYTHON=str(tmp_path / "old"))
    assert result.returncode == 1
    assert result.stderr.startswith("xconf: Python 3.11 or newer is needed (python3 is ")
    assert result.stderr.endswith("name it: make install PYTHON=/path/to/python3\n")
    assert not (tmp_path / "venv").exists()


def test_a_python_without_venv_is_told_the_package(tmp_path: Path) -> None:
    script(tmp_path, "half", '[ "$1" = -c ]')
    result = run(ROOT / ".ci/make-venv", tmp_path / "venv", PYTHON=str(tmp_path / "half"))
    assert result.returncode == 1
    assert "apt-get install python3-venv" in result.stderr


@pytest.mark.parametrize("failing", ["test", "bench", "lint", "none"])
def test_ci_runs_all_and_fails_when_one_does(failing: str, tmp_path: Path) -> None:
    script(tmp_path, "make", f'echo "$* CI=$CI"; [ "$1" != {failing} ]')
    result = run(ROOT / ".ci/run", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert result.stdout == "test CI=true\nbench ARGS=--quick --ci CI=true\nlint CI=true\n"
    assert (result.returncode == 0) == (failing == "none")


def machine(folder: Path, *programs: str) -> str:
    """A PATH with little in it, and these telephones."""
    for tool in ("bash", "sort", "paste", "id", "env"):
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    for program in programs:
        script(folder, program, "exit 0")
    return str(folder)


PHONES = ("sipp", "baresip", "linphonec", "sipsak", "sox", "tshark", "kamailio", "espeak-ng")


def test_nothing_is_said_when_all_phones_are_there(tmp_path: Path) -> None:
    result = run(ROOT / ".ci/system-packages", PATH=machine(tmp_path, *PHONES), CI="true")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize(("ci", "status"), [("true", 1), ("", 0)])
def test_a_missing_phone_fails_in_ci_alone(ci: str, status: int, tmp_path: Path) -> None:
    result = run(ROOT / ".ci/system-packages", PATH=machine(tmp_path, *PHONES[2:]), CI=ci)
    assert result.returncode == status
    assert result.stderr == (
        "missing for the live tests: baresip-core sip-tester (apt-get install baresip-core sip-tester)\n"
    )


def test_what_is_missing_is_installed_where_that_is_allowed(tmp_path: Path) -> None:
    path = machine(tmp_path, *PHONES[1:])
    (tmp_path / "sh").symlink_to("/bin/sh")
    (tmp_path / "chmod").symlink_to(shutil.which("chmod") or "")
    script(tmp_path, "sudo", 'shift; exec "$@"')
    script(tmp_path, "true", "exit 0")
    script(tmp_path, "apt-get", f'echo "$@" >> {tmp_path}/asked; echo > {tmp_path}/sipp; chmod +x {tmp_path}/sipp')
    result = run(ROOT / ".ci/system-packages", PATH=path, CI="true")
    assert (result.returncode, result.stderr) == (0, "")
    assert "sip-tester" in (tmp_path / "asked").read_text()
