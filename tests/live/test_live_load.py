"""`xconf load` against a server, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import Any

from bed_phones import wait_for
from bed_server import BIN, Server

CALLS = 30


def load(*words: str) -> tuple[int, list[dict[str, Any]], str]:
    """Exit status, events, and what was said on standard error."""
    command = [str(BIN / "xconf"), "load", "--json", *words]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return run.returncode, [json.loads(line) for line in run.stdout.splitlines()], run.stderr


def test_callers_are_answered_hear_the_speaker_and_leave_nothing(server: Server) -> None:
    words = ("--speak-to", server.uri("3071"), "--speak", "1", "--calls", str(CALLS), "--rate", "100", "--hold", "2s")
    status, events, errors = load(server.uri("4071"), *words)
    result = events[-1]
    assert (status, errors, result["event"]) == (0, "", "result")
    assert (result["dialled"], result["answered"], result["failed"], result["unanswered_byes"]) == (CALLS, CALLS, 0, 0)
    heard = result["measured"]
    assert heard["callers"] == CALLS
    assert heard["unheard"] == 0
    assert heard["malformed"] == heard["out_of_order"] == heard["doubled"] == 0
    assert heard["received"] > CALLS * 80
    assert 0 < result["set_up_median"] <= result["set_up_99"] <= result["set_up_worst"]
    assert abs(result["packets_per_call"] - 50) < 5
    assert server.members("3071") == []


def test_refused_calls_are_counted_by_what_the_server_said(server: Server) -> None:
    status, events, errors = load(server.uri("9999"), "--calls", "5", "--hold", "0s")
    assert status == 1
    assert events[-1]["failures"] == {"404 Not Found": 5}
    assert errors == "xconf load: 5 calls failed\n"


def test_nobody_there_is_no_answer(server: Server) -> None:
    status, events, _ = load("sip:1@127.0.0.1:9", "--calls", "1", "--hold", "0s", "--answer-within", "1s")
    assert status == 1
    assert list(events[-1]["failures"]) == ["no answer"]


def test_calls_take_the_place_of_calls(server: Server) -> None:
    words = ("--calls", "5", "--rate", "50", "--each", "500ms", "--hold", "2s")
    status, events, _ = load(server.uri("4072"), *words)
    assert status == 0
    assert events[-1]["answered"] >= 15


def test_an_interrupted_run_hangs_up_and_reports(server: Server) -> None:
    command = [str(BIN / "xconf"), "load", server.uri("4073"), "--calls", "10", "--rate", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        server.wait_members("3073", 10)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 0
    assert "10 answered, 0 failed" in output
    wait_for(lambda: not server.members("3073"), 5, "all have left")
