"""The management socket, and `xconf ctl` at its other end."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from xconf.api import answers, console
from xconf.api.answers import Run
from xconf.api.client import ClientError, ControlClient
from xconf.api.control import (
    MAX_CLIENTS,
    MAX_LINE,
    PATIENCE,
    ControlError,
    ControlFactory,
    ControlProtocol,
    ControlService,
    clear_the_way,
)
from xconf.conference.turns import TurnTaker


@dataclass
class Said:
    text: str
    data: Any = None
    ok: bool = True
    feed: None = None


def run(command: str | Sequence[str]) -> Said:
    words = command.split() if isinstance(command, str) else list(command)
    if words[0] == "fail":
        return Said("there is no conference 3000", None, False)
    if words[0] == "break":
        raise RuntimeError("a bug")
    return Said(" ".join(words), words)


def answer(line: bytes, run: Run) -> bytes:
    answered = Deferred.fromCoroutine(answers.answer(line, run, TurnTaker(task.Clock())))
    return b"".join(answered.result.parts)


class Transport(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def connected(factory: ControlFactory) -> tuple[ControlProtocol, Transport]:
    protocol, transport = factory.buildProtocol(None), Transport()
    protocol.makeConnection(transport)
    return protocol, transport


@pytest.fixture
def clock() -> task.Clock:
    return task.Clock()


@pytest.fixture
def factory(clock: task.Clock) -> ControlFactory:
    return ControlFactory(run, clock)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (b"show status", b"show status\nOK\n"),
        (b"  list \r", b"list\nOK\n"),
        (b"fail", b"ERROR there is no conference 3000\n"),
        (b"break", b"ERROR the command broke; the server's log says where\n"),
        (b"\xff\xfe", "\ufffd\ufffd\nOK\n".encode()),
    ],
)
def test_a_typed_command_is_answered_as_text(request_: bytes, expected: bytes) -> None:
    assert answer(request_, run) == expected


@pytest.mark.parametrize(
    ("request_", "ok", "text"),
    [
        (b'{"command": "show status"}', True, "show status"),
        (b'{"command": ["playback", "two words.wav"]}', True, "playback two words.wav"),
        (b'{"command": "fail"}', False, "there is no conference 3000"),
        (b'{"command": 3}', False, '"command" must be a text or a list of words'),
        (b"{}", False, '"command" must be a text or a list of words'),
        (b'{"command"', False, 'not JSON; a request is like {"command": "list"}'),
        (b'{"a":' * 3000, False, 'not JSON; a request is like {"command": "list"}'),
    ],
)
def test_a_json_command_is_answered_as_one_line_of_json(request_: bytes, ok: bool, text: str) -> None:
    line = answer(request_, run)
    assert line.count(b"\n") == 1
    reply = json.loads(line)
    assert (reply["ok"], reply["text"]) == (ok, text)


def test_several_commands_of_one_client_are_answered_in_order(factory: ControlFactory) -> None:
    protocol, transport = connected(factory)
    protocol.dataReceived(b"one\n\ntw")
    protocol.dataReceived(b"o\n")
    assert transport.value() == b"one\nOK\ntwo\nOK\n"


def test_an_endless_line_ends_the_connection(factory: ControlFactory) -> None:
    protocol, transport = connected(factory)
    protocol.dataReceived(b"x" * (MAX_LINE + 2))
    assert transport.value() == f"ERROR a request has at most {MAX_LINE} octets\n".encode()
    assert transport.disconnecting


def test_one_client_too_many_is_told_so_and_a_place_becomes_free_again(factory: ControlFactory) -> None:
    clients = [connected(factory) for _ in range(MAX_CLIENTS)]
    _, refused = connected(factory)
    assert refused.value().startswith(b"ERROR too many clients")
    assert refused.disconnecting
    clients[0][0].connectionLost()
    protocol, transport = connected(factory)
    protocol.dataReceived(b"list\n")
    assert transport.value() == b"list\nOK\n"


def test_a_client_that_reads_nothing_gets_no_more_answers_and_is_dropped(
    factory: ControlFactory, clock: task.Clock
) -> None:
    protocol, transport = connected(factory)
    protocol.pauseProducing()
    protocol.dataReceived(b"list\n" * 1000)
    assert transport.value() == b""
    clock.advance(PATIENCE)
    assert transport.aborted


def test_a_client_that_reads_again_is_served_again(factory: ControlFactory, clock: task.Clock) -> None:
    protocol, transport = connected(factory)
    protocol.pauseProducing()
    protocol.dataReceived(b"list\n")
    clock.advance(PATIENCE / 2)
    protocol.resumeProducing()
    assert transport.value() == b"list\nOK\n"
    clock.advance(PATIENCE * 2)
    assert not transport.aborted
    protocol.connectionLost()
    assert clock.getDelayedCalls() == []


def test_a_command_that_takes_time_holds_the_next_one_back(clock: task.Clock) -> None:
    slow: list[Deferred[Said]] = []

    def run_slowly(command: str | Sequence[str]) -> Said | Deferred[Said]:
        if command != "reload":
            return run(command)
        slow.append(Deferred())
        return slow[-1]

    protocol, transport = connected(ControlFactory(run_slowly, clock))
    protocol.dataReceived(b"one\nreload\ntwo\n")
    protocol.dataReceived(b"reload\nthree\n")
    assert transport.value() == b"one\nOK\n"
    slow[0].callback(Said("reloaded"))
    assert transport.value() == b"one\nOK\nreloaded\nOK\ntwo\nOK\n"
    protocol.connectionLost()
    slow[1].callback(Said("nobody waits for this"))


def test_who_waits_long_for_an_answer_sees_that_the_server_is_alive(clock: task.Clock) -> None:
    """`playback` of a long file answers when it was played: `xconf ctl` once took the server for dead after 15 s."""
    slow: Deferred[Said] = Deferred()
    protocol, transport = connected(ControlFactory(lambda command: slow, clock))
    protocol.dataReceived(b"playback long.wav\n")
    clock.pump([1.0] * 21)
    assert transport.value() == b"\n" * 4
    slow.callback(Said("played"))
    assert transport.value() == b"\n" * 4 + b"played\nOK\n"
    assert clock.getDelayedCalls() == []
    protocol.dataReceived(b"playback again.wav\n")
    gone, _ = connected(ControlFactory(lambda command: Deferred(), clock))
    gone.dataReceived(b"playback long.wav\n")
    gone.connectionLost()
    assert clock.getDelayedCalls() == []


def test_nobody_else_may_open_the_socket(tmp_path: Path) -> None:
    from twisted.internet import reactor

    service = ControlService(tmp_path / "x.sock", run, reactor)  # type: ignore[arg-type]
    old = os.umask(0)
    try:
        service.startService()
    finally:
        os.umask(old)
    try:
        assert stat.S_IMODE((tmp_path / "x.sock").stat().st_mode) == 0o600
        with pytest.raises(ControlError, match="a server already listens on"):
            clear_the_way(tmp_path / "x.sock")
    finally:
        service.stopService()


def test_a_socket_that_a_dead_server_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    clear_the_way(path)
    assert not path.exists()


def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    path.write_text("mine")
    with pytest.raises(ControlError, match="exists and is not a socket; remove it, or name another"):
        clear_the_way(path)
    assert path.read_text() == "mine"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match=f"the folder {tmp_path}/none does not exist"):
        clear_the_way(tmp_path / "none" / "x.sock")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    """A management socket without a reactor: each connection's lines are answered by `run`."""
    path = tmp_path / "ctl.sock"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    connection.sendall(answer(line, run))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield path
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(5)


def test_a_command_prints_its_text(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.run(server, ["show", "status"]) == 0
    assert capsys.readouterr() == ("show status\n", "")


def test_words_with_spaces_arrive_as_they_were_given(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.run(server, ["playback", "two words.wav"], as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["data"] == ["playback", "two words.wav"]


def test_a_refused_command_exits_non_zero_and_says_why(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.run(server, ["fail"]) == 1
    assert capsys.readouterr() == ("", "xconf: there is no conference 3000\n")


def test_a_refused_command_exits_non_zero_as_json_too(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.run(server, ["fail"], as_json=True) == 1
    reply = json.loads(capsys.readouterr().out)
    assert reply == {"ok": False, "text": "there is no conference 3000", "data": None}


def test_without_a_server_one_line_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert console.run(tmp_path / "no.sock", ["list"]) == 1
    said = capsys.readouterr().err
    assert said == f"xconf: no server listens on {tmp_path}/no.sock; start one (make run), or name its socket\n"


def test_a_script_on_standard_input_runs_line_by_line(server: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ControlClient(server) as client:
        assert (
            console.converse(client, ["one\n", "# a remark\n", "\n", "fail\n", "two\n", "quit\n", "three\n"], False)
            == 1
        )
    assert capsys.readouterr() == ("one\ntwo\n", "xconf: there is no conference 3000\n")


def test_a_server_that_hangs_up_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "ctl.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with ControlClient(path) as client:
            connection, _ = listener.accept()
            connection.shutdown(socket.SHUT_WR)
            with pytest.raises(ClientError, match="closed the connection"):
                client.request("list")
            connection.close()


def test_signs_of_life_are_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "ctl.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with ControlClient(path) as client:
            connection, _ = listener.accept()
            connection.sendall(b'\n\n{"ok": true, "text": "played", "data": null}\n')
            assert client.request("playback long.wav").text == "played"
            connection.close()


def test_the_tab_key_completes_at_the_prompt(server: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offers(words: Sequence[str], ask: console.Ask) -> list[str]:
        asked.append(list(words))
        assert ask("show status") == ["show", "status"]
        return ["members", "money"]

    asked: list[list[str]] = []
    monkeypatch.setattr("readline.get_line_buffer", lambda: "3000 show m")
    monkeypatch.setattr("readline.get_begidx", lambda: 10)
    with ControlClient(server) as client:
        complete = console.completer(client, offers)
        assert [complete("m", state) for state in range(3)] == ["members ", "money ", None]
        assert client.request("show status").ok, "the connection is still good"
    assert asked == [["3000", "show", "m"]]
