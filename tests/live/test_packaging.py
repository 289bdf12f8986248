"""A newcomer's `pip install .`: in a fresh environment, away from the checkout, on each Python that is here."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from app_server import CHECKOUT, READY, Server, environment, python, write_config

pytestmark = pytest.mark.patient


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, CHECKOUT, cwd=folder)
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_brings_what_a_server_needs(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "twisted/plugins/xconf_plugin.py" in names
    assert "xconf/_data/conf/xconf.yaml" in names
    assert any(name.startswith("xconf/_data/dtmf/") for name in names)
    assert any(name.startswith("xconf/_data/sounds/8000/") for name in names)
    # With one of these, the wheel would hide Twisted itself, or every other plugin.
    assert "twisted/__init__.py" not in names
    assert "twisted/plugins/__init__.py" not in names


@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_installed_outside_of_the_checkout_it_serves(version: str, wheel: Path, tmp_path: Path) -> None:
    interpreter = python(version)
    if interpreter is None:
        pytest.skip(f"no Python {version} on this machine")
    run(interpreter, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    bin = tmp_path / "venv" / "bin"
    run(bin / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=tmp_path)

    assert str(tmp_path) in run(bin / "python", "-c", "import xconf; print(xconf.__path__)", cwd=tmp_path)
    assert run(bin / "xconf", "--version", cwd=tmp_path).startswith("xconf 0.")
    assert "SIP/RTP conference server" in run(bin / "twistd", "--help", cwd=tmp_path)

    config = write_config(tmp_path)
    assert run(bin / "xconf", "check-config", config, cwd=tmp_path).startswith(f"{config}: ok\n")
    with Server(config, bin=bin) as server:
        server.wait_for(READY)
        assert server.ctl("list").returncode == 0
        assert server.stop() == 0
