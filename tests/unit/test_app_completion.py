"""What the Tab key offers, with and without a server."""

from __future__ import annotations

from typing import Any

import pytest
from conference_world import World

from xconf.app import cli
from xconf.app.completion import candidates


@pytest.fixture
def world() -> World:
    world = World()
    world.settled(caller="Ann <1001>")
    return world


def offered(world: World, *words: str) -> list[str]:
    def ask(line: str) -> Any:
        return world.do(line).data

    return candidates(words, cli.COMMANDS, ask)


def test_commands_conferences_and_members_are_offered(world: World) -> None:
    (member,) = world.node.get("3000").members  # type: ignore[union-attr]
    assert offered(world, "c") == ["check-config", "cluster-init", "completion", "ctl"]
    assert offered(world, "ctl", "30") == ["3000"]
    assert "list" in offered(world, "ctl", "")
    assert "term" in offered(world, "ctl", "3000", "t")
    assert offered(world, "ctl", "3000", "member", "") == [member]
    assert offered(world, "ctl", "3000", "member", member, "ki")[0] == "kick"
    assert offered(world, "ctl", "3000", "show", "m") == ["members"]
    assert offered(world, "ctl", "3001", "") == offered(world, "phone", "") == []


def test_keys_flags_and_profiles_are_offered(world: World) -> None:
    assert offered(world, "ctl", "3000", "show", "") == ["groups", "members", "nodes", "profile", "status", "waiting"]
    assert offered(world, "ctl", "3000", "set", "vad.l") == ["vad.level"]
    assert offered(world, "ctl", "3000", "set", "sample") == [], "this one cannot be changed"
    assert offered(world, "ctl", "3000", "set", "pin_auth", "t") == ["true"]
    assert offered(world, "ctl", "3000", "flags", "+st") == ["+status-xchg"]
    assert offered(world, "ctl", "3000", "member", "1001", "flags", "+cng", "-de") == ["-deaf"]
    assert offered(world, "ctl", "profile", "p") == ["pin"]
    assert offered(world, "ctl", "nodes", "--") == ["--dispatcher"]


def test_without_a_server_our_own_commands_are_offered() -> None:
    assert candidates(["ctl", ""], cli.COMMANDS, lambda line: None) == []
    assert "ctl" in candidates([], cli.COMMANDS, lambda line: None)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_there_is_a_script_for_a_shell(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["completion", shell]) == 0
    assert "xconf completion words" in capsys.readouterr().out
    assert cli.main(["completion", "fish"]) == 2
