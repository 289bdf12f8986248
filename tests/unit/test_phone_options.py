"""The words of `xconf phone`: what they mean, and what is said when they mean nothing."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from xconf.phone.options import Keys, parse
from xconf.phone.report import Happening, reporter


def test_a_bare_call() -> None:
    options = parse(["sip:3000@127.0.0.1"])
    assert (options.uri, options.answer, options.play, options.tones) == ("sip:3000@127.0.0.1", None, None, ())
    assert options.codecs == ("pcmu", "pcma")
    assert (options.transport, options.digits_by, options.duration) == ("udp", "rfc4733", None)


def test_every_word() -> None:
    words = (
        "--answer 5090 --play a.wav --loop --record b.wav --digits 5s:12#,8s:* --digits 900ms:ab --digits-by info"
        " --duration 2m --codec l16/16000 --codec PCMA --codec pcma --from bob --user u --password p --bind 127.0.0.5"
        " --transport tcp --verbose --json --arrivals c.csv --level -12"
    )
    options = parse(words.split())
    assert options.keys == (Keys(5.0, "12#"), Keys(8.0, "*"), Keys(0.9, "AB"))
    assert options.codecs == ("l16/16000", "pcma")
    assert (options.answer, options.duration, options.level) == (5090, 120.0, -12.0)
    assert (options.play, options.record, options.arrivals) == (Path("a.wav"), Path("b.wav"), Path("c.csv"))
    assert options.loop and options.verbose and options.json


def test_the_password_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XCONF_PASSWORD", "secret")
    assert parse(["sip:a@b", "--user", "u"]).password == "secret"
    assert parse(["sip:a@b", "--user", "u", "--password", "p"]).password == "p"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--answer PORT"),
        (["sip:a@b", "--answer", "5090"], "--answer PORT"),
        (["--answer", "0"], "1 to 65535"),
        (["sip:a@b", "--loop"], "--loop needs a file"),
        (["sip:a@b", "--digits", "5s"], "5s:123#"),
        (["sip:a@b", "--digits", "5s:12x"], "keys: 0123456789"),
        (["sip:a@b", "--digits", "soon:1"], "write 30s"),
        (["sip:a@b", "--duration", "-3"], "--duration"),
        (["sip:a@b", "--tone", "9000"], "below 4000"),
        (["sip:a@b", "--tone", "440", "--play", "a.wav"], "not allowed with"),
        (["sip:a@b", "--level", "3"], "-100 to 0"),
        (["sip:a@b", "--codec", "g729"], "l16/16000"),
        (["sip:a@b", "--from", "a b"], "letters and digits"),
        (["sip:a@b", "--user", "u"], "XCONF_PASSWORD"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XCONF_PASSWORD", raising=False)
    with pytest.raises(SystemExit) as left:
        parse(words)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_what_happened_for_people_and_for_programs() -> None:
    happening = Happening(101.23456, "answered", "answered in 20 ms", {"status": 200})
    people, programs = io.StringIO(), io.StringIO()
    reporter(people, 100.0, as_json=False)(happening)
    reporter(programs, 100.0, as_json=True)(happening)
    assert people.getvalue() == "    1.235  answered in 20 ms\n"
    assert json.loads(programs.getvalue()) == {"at": 1.23456, "event": "answered", "status": 200}
