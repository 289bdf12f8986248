"""docs/features.md names only tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

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
