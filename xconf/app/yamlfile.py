"""Reads a YAML file into plain values, and remembers the line where each stands.

What PyYAML forgives is refused here: a key given twice, unknown tags. Keys are always text, as written (`0:` in a keypad
table is the digit 0). A value can be taken from elsewhere: `!file PATH` (a file's first line, for secrets; relative to
the folder of the configuration) and `!env NAME`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from xconf.app.problems import ConfigError, KeyPath, Problem

STANDARD_TAGS = "tag:yaml.org,2002:"
SCALARS = {STANDARD_TAGS + name for name in ("str", "int", "float", "bool", "null")}


@dataclass(slots=True)
class Document:
    """A file's values as dict, list, str, int, float, bool and None."""

    file: str
    folder: Path
    data: Any = None
    lines: dict[KeyPath, int] = field(default_factory=dict)
    secrets: set[KeyPath] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    failed: set[KeyPath] = field(default_factory=set)

    def line(self, path: KeyPath) -> int:
        """The line of a key, or of the nearest key around it when it is not written in the file."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)

    def problem(self, path: KeyPath, text: str, line: int | None = None) -> None:
        self.failed.add(path)
        self.problems.append(Problem(self.file, self.line(path) if line is None else line, path, text))

    def complain(self) -> None:
        """Raises ConfigError when any problem was found."""
        if self.problems:
            raise ConfigError(self.problems)


def read_document(file: str | Path) -> Document:
    """Raises ConfigError when the file cannot be read, or is no YAML; lesser faults are in `problems`."""
    document = Document(str(file), Path(file).absolute().parent)
    try:
        root = yaml.compose(Path(file).read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise _unusable(file, f"cannot be read: {error.strerror}; give another with -c FILE") from None
    except UnicodeDecodeError as error:
        raise _unusable(file, f"is not UTF-8 text (byte {error.start})") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _unusable(file, f"not YAML: {error.problem}", line) from None
    except yaml.YAMLError as error:
        raise _unusable(file, f"not YAML: {' '.join(str(error).split())}") from None
    document.data = _Reader(document).value(root, ()) if root else {}
    return document


def _unusable(file: str | Path, text: str, line: int = 0) -> ConfigError:
    return ConfigError([Problem(str(file), line, (), text)])


class _Reader:
    """Turns YAML nodes into values of a document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.scalars = yaml.constructor.SafeConstructor()
        self.open: set[int] = set()
        self.tags: dict[str, Callable[[str, KeyPath], str | None]] = {"!file": self.from_file, "!env": self.from_env}

    def value(self, node: yaml.Node, path: KeyPath) -> Any:
        self.document.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, path)
        if id(node) in self.open:
            return self.document.problem(path, "contains itself; write it out")
        self.open.add(id(node))
        value = self.mapping(node, path) if isinstance(node, yaml.MappingNode) else self.sequence(node, path)
        self.open.discard(id(node))
        return value

    def sequence(self, node: yaml.Node, path: KeyPath) -> list[Any]:
        return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self.document.problem(path, "a key must be plain text", line)
            elif key.value in values:
                first = self.document.lines[*path, key.value]
                self.document.problem((*path, key.value), f"given twice, first in line {first}; keep one", line)
            else:
                self.document.lines[*path, key.value] = line
                values[key.value] = self.value(item, (*path, key.value))
        return values

    def scalar(self, node: yaml.ScalarNode, path: KeyPath) -> Any:
        if node.tag in self.tags:
            self.document.secrets.add(path)
            return self.tags[node.tag](node.value, path)
        if node.tag not in SCALARS:
            # Dates are the one thing that YAML sees where people mean text.
            if node.tag.startswith(STANDARD_TAGS):
                return node.value
            return self.document.problem(path, f"unknown tag {node.tag}; !file PATH and !env NAME are known")
        try:
            return self.scalars.construct_object(node)
        except ValueError:
            return node.value

    def from_file(self, name: str, path: KeyPath) -> str | None:
        try:
            text = (self.document.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not text"
            self.document.problem(path, f"the file {name} cannot be read: {reason}")
            return None
        return text.strip("\r\n").split("\n")[0].rstrip("\r")

    def from_env(self, name: str, path: KeyPath) -> str | None:
        if name not in os.environ:
            self.document.problem(path, f"the environment has no variable {name}; set it before the start")
        return os.environ.get(name)
