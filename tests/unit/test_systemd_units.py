"""The units for systemd, shipped and written, in the eyes of systemd itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from xconf.app import cli

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "/opt/xconf/bin": str(Path(sys.executable).parent),
    "/etc/kamailio/xconf-dispatcher": str(ROOT / "conf/kamailio/xconf-dispatcher"),
}


def verify(folder: Path, *units: Path) -> str:
    """What systemd-analyze has to say of these, with programs where they are here; it looks whether they are there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt install systemd")
    folder.mkdir()
    for unit in units:
        text = unit.read_text()
        for there, here in PROGRAMS.items():
            text = text.replace(there, here)
        (folder / unit.name).write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", *map(str, folder.iterdir())]
    # SYSTEMD_UNIT_PATH: a timer finds its service; the last colon: and the system's units besides.
    environment = {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    about = [line for line in done.stderr.splitlines() if any(unit.name in line for unit in units)]
    return "\n".join(about) or ("" if done.returncode == 0 else done.stderr)


def test_the_shipped_units(tmp_path: Path) -> None:
    shipped = [ROOT / "conf/xconf.service", *(ROOT / "conf/kamailio").glob("*.service")]
    assert verify(tmp_path / "units", *shipped, *(ROOT / "conf/kamailio").glob("*.timer")) == ""


def test_the_units_of_cluster_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xconf.app.cluster_init.os.geteuid", lambda: 1000)
    words = ["cluster-init", "2", "--folder", str(tmp_path / "c"), "--front", "127.0.0.5"]
    assert cli.main(words) == 0
    written = [*(tmp_path / "c/systemd").glob("*.service"), *(tmp_path / "c/front").glob("*.service")]
    assert len(written) == 4
    assert verify(tmp_path / "units", *written, ROOT / "conf/kamailio/xconf-dispatcher.timer") == ""


def test_a_wrong_unit_is_found(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.service"
    wrong.write_text("[Service]\nExecStart=/nowhere/at-all\nRestrat=always\n")
    assert "wrong.service" in verify(tmp_path / "units", wrong)
