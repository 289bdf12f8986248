"""Digits and commands: controls profiles, the collector, the table, and folders of commands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conference_world import DTMF
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from xconf.conference.commands import STEP, CommandsError, Table, command, load_folder
from xconf.conference.controls import DEFAULT, Action, Controls, build, check_references
from xconf.conference.digits import Collector
from xconf.conference.dispatch import load_table
from xconf.conference.errors import ConfigError
from xconf.conference.profile import resolve

TABLE = load_table([DTMF])


def test_the_default_controls_are_the_twelve_of_the_reference() -> None:
    assert len(DEFAULT) == 12
    assert set(build({}, TABLE)["default"].actions) == set("0123456789*#")


@pytest.mark.parametrize(
    ("digits", "action", "text"),
    [
        ("9", "vad-levl:+1", "did you mean vad-level"),
        ("9", "vad-level", "needs an argument"),
        ("9", "vad-level:loud", "'loud' is not like +1, -1 or 0"),
        ("9", "vad-level:5", "'5' is not like"),
        ("9", "vad-level:+1801", "is not in -1800..+1800"),
        ("9", "agc-level:-1801", "is not in -1800..+1800"),
        ("9", "vol-talk:+5", "is not in -4..+4"),
        ("9", "vol-listen:-5", "is not in -4..+4"),
        ("9", "mute:now", "takes no argument"),
        ("9", 7, "must be an action"),
        ("9x", "mute", "1 to 10 of"),
        ("", "mute", "1 to 10 of"),
        ("12345678901", "mute", "1 to 10 of"),
        (9, "mute", "in quotes"),
        ("9", "flags:+loud", "no flag 'loud'"),
        ("9", "exec:fly 1", "exec: no application 'fly'"),
        ("9", "exec:api list", "exec: no application 'api'"),
        ("9", "exec:vol-talk +9", "is not in -4..+4"),
        ("9", "exec:move", "move needs an argument"),
        ("9", "move:1 2 3", "is not a conference"),
        ("9", "api:shutdown", "api: no command 'shutdown' for keys"),
        ("9", "api:invite 3000 1001", "a matter of the whole server"),
        ("9", "api:{conference} lok", "did you mean lock"),
        ("9", "api:{conference} member {member}", "a member and a command are needed"),
        ("9", "api:{conference} member {member} api list", "no command 'api'"),
        ("9", "api:{conference} flags +loud", "no flag 'loud'"),
        ("9", "api:{conference} 'lock", "no closing quotation"),
        ("9", "api", "needs an argument"),
    ],
)
def test_a_wrong_control_is_named_with_its_place(digits: Any, action: Any, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build({"mine": {digits: action}}, TABLE)
    assert caught.value.path == ("controls", "mine", str(digits))
    assert text in caught.value.text


def test_a_digit_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"controls\.mine\.1: stands there twice: 'mute' and 'deaf'"):
        Controls("mine", [("1", "mute"), ("1", "deaf")], TABLE)


def test_controls_that_a_profile_names_must_be_there() -> None:
    profiles = resolve({"default": {"admin_controls": "admins"}})
    with pytest.raises(
        ConfigError, match=r"profiles\.default\.admin_controls: no controls 'admins'; did you mean admin"
    ):
        check_references(profiles, build({"admin": {}}, TABLE))


class Keys:
    """A collector, and what it fired."""

    def __init__(self, *digits: str) -> None:
        self.clock = Clock()
        self.fired: list[str] = []
        controls = Controls("test", {each: f"agc-level:+{at + 1}" for at, each in enumerate(digits)}, TABLE)
        self.meaning = {f"agc-level:+{at + 1}": each for at, each in enumerate(digits)}
        self.collector = Collector(self.clock, controls, 2.0, self.fire)  # type: ignore[arg-type]

    def fire(self, action: Action) -> None:
        self.fired.append(self.meaning[action.text])

    def press(self, digits: str) -> list[str]:
        for digit in digits:
            self.collector.feed(digit)
        return self.fired


def test_a_command_that_begins_no_other_fires_at_once() -> None:
    keys = Keys("1", "23")
    assert keys.press("1") == ["1"]
    assert keys.press("23") == ["1", "23"]
    assert keys.clock.getDelayedCalls() == []


def test_a_command_that_begins_another_waits_for_the_pause() -> None:
    keys = Keys("1", "12")
    assert keys.press("1") == []
    keys.clock.advance(1.9)
    assert keys.fired == []
    keys.clock.advance(0.2)
    assert keys.fired == ["1"]
    assert keys.press("12") == ["1", "12"]


def test_each_digit_starts_the_pause_anew() -> None:
    keys = Keys("1234", "12")
    for digit in "123":
        keys.press(digit)
        keys.clock.advance(1.5)
    assert keys.fired == []
    keys.press("4")
    assert keys.fired == ["1234"]


def test_the_longest_command_is_meant_and_the_rest_is_looked_at_anew() -> None:
    assert Keys("1", "12", "1234", "5").press("1235") == ["12", "5"]


def test_digits_that_mean_nothing_are_dropped() -> None:
    assert Keys("*1", "5").press("9*5") == ["5"]
    keys = Keys("*1", "5")
    keys.press("*")
    keys.clock.advance(2.1)
    assert keys.press("15") == ["5"]


@given(
    commands=st.lists(st.text("12*", min_size=1, max_size=10), min_size=1, max_size=8, unique=True),
    pressed=st.text("123*", max_size=60),
)
def test_what_fires_was_pressed_in_that_order_and_nothing_waits_for_ever(commands: list[str], pressed: str) -> None:
    keys = Keys(*commands)
    keys.press(pressed)
    for _ in range(12):
        keys.clock.advance(2.1)
    assert keys.clock.getDelayedCalls() == []
    rest = pressed
    for fired in keys.fired:
        at = rest.find(fired)
        assert at >= 0
        rest = rest[at + len(fired) :]


def test_a_closed_collector_fires_no_more() -> None:
    keys = Keys("1", "12")
    keys.press("1")
    keys.collector.close()
    keys.clock.advance(5)
    assert keys.press("12") == []
    assert keys.clock.getDelayedCalls() == []


# The table


def folder(tmp_path: Path, **files: str) -> Path:
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


HELLO = """
from xconf.conference.commands import command

@command("hello")
def hello(member):
    '''Says hello.'''
    return "hello"
"""


def test_a_file_dropped_into_a_folder_is_a_command_on_keypad_and_socket(tmp_path: Path) -> None:
    table = load_table([DTMF, folder(tmp_path, hello=HELLO, _helper="raise RuntimeError")])
    assert table.member["hello"].doc == "Says hello."
    assert Controls("mine", {"1": "hello"}, table).actions["1"].command.name == "hello"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("x = 1\ndef (:\n", 2, "SyntaxError"),
        ("x = 1\n\nimport nowhere_at_all\n", 3, "nowhere_at_all"),
        ("\n1 / 0\n", 2, "ZeroDivisionError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit"),
        (HELLO.replace("'''Says hello.'''", ""), 4, "no docstring"),
        (HELLO.replace('"hello")', '"Hello")'), 4, "lower case"),
    ],
)
def test_a_file_that_does_not_load_is_named_with_line_and_reason(
    tmp_path: Path, text: str, line: int, reason: str
) -> None:
    with pytest.raises(CommandsError) as caught:
        load_folder(folder(tmp_path, bad=text))
    assert f"bad.py:{line}: " in str(caught.value)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_commands_a_missing_folder_and_a_taken_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandsError, match="no such folder"):
        load_folder(tmp_path / "nowhere")
    with pytest.raises(CommandsError, match=r"mute\.py:\d+: command 'mute' is already defined in .*mute\.py:\d+"):
        load_table([DTMF, folder(tmp_path, mute=HELLO.replace("hello", "mute"))])
    (tmp_path / "mute.py").write_text("x = 1\n")
    with pytest.raises(CommandsError, match="defines no command"):
        load_folder(tmp_path)


def test_int_is_a_step() -> None:
    @command("louder", argument=int)
    def louder(member: object, step: int) -> None:
        """Louder."""

    table = Table(louder.xconf_commands)  # type: ignore[attr-defined]
    assert table.member["louder"].argument is STEP
    assert table.member["louder"].parse("+2", table) == 2
