"""The documents say what the program does: keys, commands, and what a newcomer types."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import msgspec
import pytest

from xconf.app import cli
from xconf.app.settings import Settings
from xconf.conference import events
from xconf.conference.profile import Profile

ROOT = Path(__file__).resolve().parents[2]
OPERATOR = (ROOT / "docs" / "operator.md").read_text()
INTEGRATOR = (ROOT / "docs" / "integrator.md").read_text()
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def keys(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    """The keys of a section, as the documents write them; sections within it by their keys alone."""
    for field in msgspec.structs.fields(kind):
        yield from key_of(field.type, f"{prefix}{field.encode_name}")


def key_of(kind: Any, name: str) -> Iterator[str]:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from keys(kind, f"{name}.")
        return
    yield name
    inner = get_args(kind)[-1:] if get_origin(kind) in (list, dict) else ()
    if inner and isinstance(inner[0], type) and issubclass(inner[0], msgspec.Struct):
        yield from keys(inner[0], f"{name}[]." if get_origin(kind) is list else f"{name}.NAME.")


def table(text: str, heading: str) -> str:
    """The first table below a heading, without its own."""
    return text.split(f"\n{heading}\n")[1].split("\n|---")[1].split("\n\n")[0]


def documented(heading: str) -> list[str]:
    """The first column of the first table below a heading."""
    return re.findall(r"^\| `([^`]+)` \|", table(OPERATOR, heading), re.MULTILINE)


def test_every_key_is_documented_and_every_documented_key_is_one() -> None:
    assert sorted(documented("## Configuration")) == sorted(keys(Settings))


def test_every_key_of_a_profile_is_documented_with_its_default() -> None:
    assert documented("### Profiles") == list(keys(Profile))


def test_every_kind_of_event_is_documented_with_its_fields() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]*) \|", table(INTEGRATOR, "## Events"), re.MULTILINE)
    common = set(events.Event.__struct_fields__)
    known = {
        name: [field for field in kind.__struct_fields__ if field not in common]
        for name, kind in events.kinds().items()
    }
    assert {name: re.findall(r"`([^`]+)`", fields) for name, fields in rows} == known


def commands(document: Path) -> Iterator[list[str]]:
    """What a reader types: the lines of code blocks, and code in the text, that begin with a program of ours."""
    text = document.read_text()
    for code in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`\n]+)`", text):
        for line in code.splitlines():
            words = line.split()
            if words and words[0].removeprefix(".venv/bin/") in ("make", "xconf", "twistd"):
                yield [words[0].removeprefix(".venv/bin/"), *words[1:]]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_what_a_reader_is_told_to_type_exists(document: Path) -> None:
    for program, *words in commands(document):
        if program == "make" and words:
            assert words[0] in targets(), words
        elif program == "xconf" and words:
            assert words[0] in cli.COMMANDS or words[0].startswith("--"), words
        elif program == "twistd" and words:
            assert {"xconf", "xconf-relay"} & set(words), words


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert targets() == set(re.findall(r"^([a-z-]+):[^#\n]* ## ", makefile, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target
