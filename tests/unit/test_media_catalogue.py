"""Which codecs there are, with and without their libraries."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xconf.app import config
from xconf.app.paths import CONFIG
from xconf.app.problems import ConfigError
from xconf.media import g722, opus
from xconf.media.catalogue import NAMES, codec_of, formats, missing, packet_time, possible, rate_of, usual
from xconf.phone.options import parse


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installation without extras."""
    for name in list(sys.modules):
        if name == "G722" or name.startswith("opuslib_next"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "G722", None)
    monkeypatch.setitem(sys.modules, "opuslib_next", None)
    for library in (g722._library, opus._library):
        library.cache_clear()
    yield
    monkeypatch.undo()
    for library in (g722._library, opus._library):
        library.cache_clear()


def test_every_name_is_a_codec_that_can_be_described_and_agreed_on() -> None:
    for name in NAMES:
        for rate in (8000, 16000, 32000, 48000):
            (format,) = formats((name,), rate, 1)
            codec = codec_of(format, rate, 1)
            assert (codec.name, codec.clock) == (format.name, format.clock_rate)
            assert rate_of(name) in (None, codec.rate)
            for wanted in (1, 10, 20, 30, 40, 60, 500):
                assert packet_time(codec, wanted) in (10, 20, 30, 40, 60)


@pytest.mark.usefixtures("bare")
def test_without_their_libraries_the_others_are_taken() -> None:
    assert missing("pcmu") is None
    assert usual(8000) == ("pcmu", "pcma", "l16/8000")
    assert usual(16000) == ("l16/16000", "l16/8000", "pcmu", "pcma")
    assert possible(8000) == ("pcmu", "pcma", "l16/8000", "l16/16000")


@pytest.mark.usefixtures("bare")
@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("g722", "g722 needs the package G722: pip install 'xconf[g722]'"),
        ("opus", "opus needs the package opuslib-next: pip install 'xconf[opus]'"),
    ],
)
def test_a_configuration_that_names_one_is_refused_with_what_to_install(name: str, remedy: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    text = CONFIG.read_text()
    assert "  default:\n" in text
    file.write_text(text.replace("profiles:\n  default:\n", f"profiles:\n  default:\n    codecs: [pcmu, {name}]\n", 1))
    with pytest.raises(ConfigError) as refused:
        config.load(file)
    (problem,) = refused.value.problems
    assert str(problem).endswith(f"profiles.default.codecs: {remedy}")


@pytest.mark.usefixtures("bare")
def test_the_phone_says_so_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["sip:3000@127.0.0.1", "--codec", "opus"])
    assert "pip install 'xconf[opus]'" in capsys.readouterr().err


def test_without_libopus_the_package_is_not_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("opuslib_next")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("ctypes.util.find_library", lambda name: None)
    monkeypatch.setattr("os.path.exists", lambda path: False)
    opus._library.cache_clear()
    try:
        assert missing("opus") == "opus needs the library libopus: apt-get install libopus0 (or dnf install opus)"
    finally:
        monkeypatch.undo()
        opus._library.cache_clear()
