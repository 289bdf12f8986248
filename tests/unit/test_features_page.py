"""docs/features.md names only tests that there are, and every key of profiles, flag and command that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from conference_world import DTMF

from xconf.api.event_feed import event_command
from xconf.api.server_commands import server_commands
from xconf.app.history.command import history_command
from xconf.conference.dispatch import load_table
from xconf.conference.flags import CONFERENCE_FLAGS, MEMBER_FLAGS
from xconf.conference.tuning import KINDS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "features.md"
TEST = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def rows() -> list[list[str]]:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row in cells if row[0] != "feature"]


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_feature_of_the_page_has_its_use_and_a_test_that_exists(row: list[str]) -> None:
    assert len(row) == 3 and all(row), "feature, how to use it, proved by"
    found = TEST.findall(row[2])
    assert found, "proved by: `tests/….py::test_name`"
    for file, name in found:
        text = (ROOT / file).read_text()
        assert not name or f"def {name}(" in text, f"{file} has no {name}"


def named() -> set[str]:
    """The words of the page that are written as code, in the columns that say what there is and how to use it."""
    code = re.findall(r"`([^`]+)`", " ".join(" ".join(row[:2]) for row in rows()))
    return {word for text in code for word in re.findall(r"[\w.-]+", text)}


def commands() -> set[str]:
    """All that a server has."""
    table = load_table([DTMF])
    nothing: Any = None
    table.add([*server_commands(nothing), event_command(nothing), history_command(nothing, nothing)])
    return {*table.node, *table.conference, *table.member}


@pytest.mark.parametrize("kind", ["keys of profiles", "flags", "commands"])
def test_what_there_is_is_on_the_page(kind: str) -> None:
    there = {"keys of profiles": set(KINDS), "flags": {*CONFERENCE_FLAGS, *MEMBER_FLAGS}, "commands": commands()}
    missing = sorted(there[kind] - named())
    assert not missing, f"docs/features.md has no row for {', '.join(missing)}: add one, with the test that proves it"


def test_every_command_is_told_to_those_who_steer_from_programs() -> None:
    code = re.findall(r"`([^`\n]+)`", (ROOT / "docs" / "integrator.md").read_text())
    missing = sorted(commands() - {word for text in code for word in re.findall(r"[\w.-]+", text)})
    assert not missing, f"docs/integrator.md does not tell of {', '.join(missing)}"
