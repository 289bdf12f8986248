"""What operators read: the log, and the SIP trace in it."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from twisted.logger import LogLevel, globalLogPublisher

from xconf.app.eventlog import log_events
from xconf.app.logs import FromLogging, line_of, observer
from xconf.app.trace import trace, without_secrets
from xconf.conference import events
from xconf.conference.stream import Stream


def event(text: str, **fields: object) -> dict[str, object]:
    return {"log_time": 0.0, "log_level": LogLevel.info, "log_format": "{text}", "text": text, **fields}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged during a test."""
    file = io.StringIO()
    watcher = observer(file)
    globalLogPublisher.addObserver(watcher)
    try:
        yield file
    finally:
        globalLogPublisher.removeObserver(watcher)


def test_a_line_has_time_level_call_and_text() -> None:
    line = line_of(event("answered", call_id="3c26@10.0.0.7"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info  \[3c26@10\.0\.0\.7\] answered\n", line or "")


def test_what_a_caller_sends_can_not_forge_a_line() -> None:
    line = line_of(event("from Eve\r\n2026-01-31 12:00:00.000 info  all is well\x1b[2J", call_id="x\ny"))
    assert line is not None
    first, second, _ = line.split("\n")
    assert first.endswith("info  [x y] from Eve")
    assert second == "    | 2026-01-31 12:00:00.000 info  all is well\\x1b[2J"


def test_octets_that_are_no_text_do_not_silence_the_log() -> None:
    line = line_of(event("from \udcff", call_id="x\udcfey"))
    assert line is not None
    assert line.encode().endswith(b"[x\\udcfey] from \\udcff\n")


def test_an_event_without_text_is_no_line() -> None:
    assert line_of({"log_time": 0.0, "log_level": LogLevel.info}) is None


def test_rooms_without_twisted_log_to_the_same_place(written: io.StringIO) -> None:
    logger = logging.Logger("room")
    logger.addHandler(FromLogging())
    logger.info("member %s joined", 5, extra={"call_id": "abc"})
    try:
        raise KeyError("gone")
    except KeyError:
        logger.exception("a listener failed")
    lines = written.getvalue().splitlines()
    assert lines[0].endswith("info  [abc] member 5 joined")
    assert lines[1].endswith("error a listener failed")
    assert lines[-1] == "    | builtins.KeyError: 'gone'"


REQUEST = (
    "REGISTER sip:x SIP/2.0\r\nCall-ID: abc@1\r\n"
    'Authorization: Digest username="ann", nonce="n", response="0123456789abcdef", uri="sip:x"\r\n\r\n'
)


def test_the_trace_shows_a_message_with_its_call(written: io.StringIO) -> None:
    trace("in", SimpleNamespace(transport="udp", remote=("10.0.0.7", 5060)), REQUEST.encode())
    first, second, *_ = written.getvalue().splitlines()
    assert first.endswith("info  [abc@1] <<< udp 10.0.0.7:5060")
    assert second == "    | REGISTER sip:x SIP/2.0"


def test_the_trace_has_no_credentials() -> None:
    shown = without_secrets(REQUEST)
    assert "0123456789abcdef" not in shown
    assert 'username="ann"' in shown
    assert 'uri="sip:x"' in shown


@pytest.mark.parametrize("kind", ["application/dtmf-relay", "application/dtmf"])
def test_the_trace_has_no_keys_of_a_pin(kind: str) -> None:
    shown = without_secrets(f"INFO sip:x SIP/2.0\r\nContent-Type: {kind}\r\n\r\nSignal=4\r\nDuration=160\r\n")
    assert "Signal" not in shown
    assert shown.endswith("\r\n\r\n(keys left out)")


def test_the_trace_survives_any_bytes(written: io.StringIO) -> None:
    trace("out", SimpleNamespace(transport="tcp", remote=("::1", 1)), bytes(range(256)) * 300)
    assert written.getvalue().count("\n") < 200


def test_events_of_conferences_are_lines_with_their_call(written: io.StringIO) -> None:
    stream = Stream(lambda: 0.0)
    log_events(stream)
    who = {"conference": "3000", "member": "m-1", "caller": "Ann <1001>", "call_id": "abc@1"}
    stream.publish(events.MemberJoined, **who, role="speaker")
    stream.publish(events.TalkStarted, **who)
    stream.publish(events.DigitPressed, **who, digit="4")
    stream.publish(events.MemberFlagChanged, **who, flag="mute", on=True)
    stream.publish(events.MemberLeft, **who, reason="hung up", seconds=12.345, role="speaker")
    assert [line.split("info  ")[1] for line in written.getvalue().splitlines()] == [
        "[abc@1] conference 3000: member joined, member m-1, caller Ann <1001>, role speaker",
        "[abc@1] conference 3000: member flag changed, member m-1, caller Ann <1001>, flag mute, on yes",
        "[abc@1] conference 3000: member left, member m-1, caller Ann <1001>, reason hung up, seconds 12.3, role speaker",
    ]
