"""Reading a configuration file: what stands where, and what YAML would silently forgive."""

from __future__ import annotations

from pathlib import Path

import pytest

from xconf.app.problems import ConfigError
from xconf.app.yamlfile import Document, read_document


def read(folder: Path, text: str) -> Document:
    file = folder / "x.yaml"
    file.write_text(text)
    document = read_document(file)
    document.file = "x.yaml"
    return document


def test_values_are_plain_and_their_lines_are_known(tmp_path: Path) -> None:
    document = read(tmp_path, "a:\n  b: [1, two,\n    true]\nc: null\n")
    assert document.data == {"a": {"b": [1, "two", True]}, "c": None}
    assert document.line(("a", "b")) == 2
    assert document.line(("a", "b", 2)) == 3
    assert document.line(("a", "not", "there")) == 1


def test_keys_are_text_as_written(tmp_path: Path) -> None:
    assert read(tmp_path, "0: a\n077: b\nyes: c\n").data == {"0": "a", "077": "b", "yes": "c"}


def test_a_date_stays_text(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 2026-01-31\n").data == {"a": "2026-01-31"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a:\n  b: 1\n  c: 2\n  b: 3\n", "x.yaml:4: a.b: given twice, first in line 2; keep one"),
        ("'9': a\n9: b\n", "x.yaml:2: 9: given twice, first in line 1; keep one"),
        (
            "a: !python/name:os.system x\n",
            "x.yaml:1: a: unknown tag !python/name:os.system; !file PATH and !env NAME are known",
        ),
        ("a:\n  [b]: c\n", "x.yaml:2: a: a key must be plain text"),
        ("a: &x [*x]\n", "x.yaml:1: a[0]: contains itself; write it out"),
        ("a: !file none\n", "x.yaml:1: a: the file none cannot be read: No such file or directory"),
        ("a: !env XCONF_NONE\n", "x.yaml:1: a: the environment has no variable XCONF_NONE; set it before the start"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    document = read_document(file)
    assert [str(p).replace(str(file), "x.yaml") for p in document.problems] == [problem]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a: [1\nb: 2\n", ":2: not YAML: expected ',' or ']', but got ':'"),
        (b"a: \xff\n", ": is not UTF-8 text (byte 3)"),
        (b"a: \x00\n", ": not YAML: unacceptable character #x0000"),
        (b"a: *x\n", ":1: not YAML: found undefined alias 'x'"),
        (b"a: 1\n---\nb: 2\n", ":2: not YAML: but found another document"),
    ],
)
def test_what_is_no_yaml_is_one_line(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_document(file)
    assert str(caught.value).startswith(f"{file}{problem}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_document(tmp_path / "no.yaml")
    assert (
        str(caught.value) == f"{tmp_path}/no.yaml: cannot be read: No such file or directory; give another with -c FILE"
    )


def test_secrets_come_from_a_file_beside_it_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("s3cret\r\nnot this\n")
    monkeypatch.setenv("XCONF_TEST", "other")
    document = read(tmp_path, "a: !file key\nb: [!env XCONF_TEST]\n")
    assert document.data == {"a": "s3cret", "b": ["other"]}
    assert document.secrets == {("a",), ("b", 0)}
    assert document.problems == []


def test_an_empty_file_has_no_keys(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing\n").data == {}
