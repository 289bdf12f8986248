"""The console program: what it says, where, and its exit status."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from xconf.app import cli


def test_without_words_it_shows_its_commands_and_is_not_content(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert "check-config FILE" in capsys.readouterr().out


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in cli.COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("xconf 0.")


def test_an_unknown_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cll", "list"]) == 2
    assert capsys.readouterr() == (
        "",
        "xconf: there is no command cll; there are check-config, ctl, cluster-init, completion, phone, load (xconf --help)\n",
    )


def test_the_phone_gets_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[Sequence[str]] = []
    module = ModuleType("xconf.phone.command")
    module.main = lambda words: heard.append(words) or 3  # type: ignore[attr-defined, func-returns-value]
    monkeypatch.setitem(sys.modules, "xconf.phone.command", module)
    assert cli.main(["phone", "sip:3000@127.0.0.1", "--duration", "5"]) == 3
    assert heard == [["sip:3000@127.0.0.1", "--duration", "5"]]


def test_ctl_without_a_server_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["ctl", "--socket", str(tmp_path / "x.sock"), "list"]) == 1
    assert capsys.readouterr().err == (
        f"xconf: no server listens on {tmp_path}/x.sock; start one (make run), or name its socket\n"
    )


def test_ctl_without_a_configuration_says_how_to_name_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["ctl", "list"]) == 1
    assert capsys.readouterr().err == (
        "xconf: conf/xconf.yaml: cannot be read: No such file or directory; give another with -c FILE; "
        "--socket PATH also names a server\n"
    )


def test_ctl_passes_signs_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from xconf.api import console

    heard: list[object] = []
    monkeypatch.setattr(console, "run", lambda path, words, as_json, offers: heard.append((path, words, as_json)) or 0)
    assert cli.main(["ctl", "--socket", "s", "3000", "flags", "-vad", "+cng", "--json"]) == 0
    assert heard == [(Path("s"), ["3000", "flags", "-vad", "+cng"], True)]
