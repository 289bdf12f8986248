"""Events, the history and the webhook of real calls; and that none of the three, when it fails, touches the sound."""

from __future__ import annotations

import csv
import hashlib
import hmac
import http.server
import json
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from bed_audio import gaps, tone_level
from bed_crew import Phones
from bed_phones import end_process, wait_for
from bed_server import BIN, Server

from bench.stalls import StallMonitor, without_stalls

SECRET = "a secret of twenty-four"
TONE = 433.0


class Receiver:
    """A web server that takes requests and, until `answers` is set, does not answer."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.answers = threading.Event()
        self.hanging = 0
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if not receiver.answers.is_set():
                    receiver.hanging += 1
                    receiver.answers.wait(60)
                    return
                signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
                if hmac.compare_digest(self.headers["X-Xconf-Signature"], f"sha256={signature}"):
                    receiver.events += json.loads(body)["events"]
                self.send_response(204)
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                """The test's output is not for this."""

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.answers.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.stop()


class Follower:
    """`xconf ctl --json events`, as a user runs it."""

    def __init__(self, server: Server, *words: str) -> None:
        command = [str(BIN / "xconf"), "ctl", "--socket", str(server.socket), "--json", "events", *words]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.events: list[dict[str, Any]] = []
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.events.append(json.loads(line))

    def wait(self, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """The events of a kind, once there are so many."""
        wait_for(lambda: len(self.of(kind)) >= count, 10, f"{count} {kind}")
        return self.of(kind)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["event"] == kind]

    def stop(self) -> None:
        end_process(self.process)
        self.thread.join(5)


def test_a_hanging_webhook_and_a_locked_history_touch_no_sound(
    make_server: Callable[..., Server], receiver: Receiver, phones: Phones, stalls: StallMonitor
) -> None:
    server = make_server({"webhook": {"url": receiver.url, "secret": SECRET}, "history": {"file": "history.db"}})
    path = server.folder / "history.db"
    follower = Follower(server, "since", "0")
    wait_for(path.exists, 10, "the history is there")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        ann, bob = phones.baresip("ann", tone=TONE), phones.baresip("bob")
        ann.dial(server.uri("3060"))
        bob.dial(server.uri("3060"))
        server.wait_members("3060", 2)
        wait_for(lambda: receiver.hanging, 10, "the webhook hangs")
        carl = phones.baresip("carl")
        carl.dial(server.uri("3061"))  # a record that waits for the lock
        carl.hangup()
        (fault,) = follower.wait("error")
        assert (fault["part"], "is locked by another program" in fault["error"]) == ("history", True)
        time.sleep(3)  # the welcome is over
        started = time.monotonic()
        time.sleep(3)
        ended = time.monotonic()
        other.execute("ROLLBACK")
    receiver.answers.set()
    for phone in (bob, ann):
        phone.hangup()
        phone.stop()

    heard = bob.recording().during(started, ended)
    assert tone_level(heard, TONE) == pytest.approx(-18, abs=1.5)
    assert without_stalls([started + gap.start for gap in gaps(heard)], stalls.stalls()) == [], stalls.describe()
    # What waited for the file's lock (1 s) or for the answer (10 s) on the tick would have missed fifty at least.
    assert server.data("status")["ticks_missed"] < 25

    joined = follower.wait("member-joined", 3)
    left = follower.wait("member-left", 3)
    assert [event["conference"] for event in joined] == ["3060", "3060", "3061"]
    assert [event["reason"] for event in left] == ["hung up"] * 3
    numbers = [event["sequence"] for event in follower.events]
    assert numbers == list(range(1, len(numbers) + 1))

    wait_for(lambda: len(receiver.events) >= len(numbers), 30, "all events are posted")
    assert receiver.events[: len(numbers)] == follower.events[: len(numbers)], (
        "all are posted once, in order, though none was answered"
    )
    follower.stop()

    def history() -> list[list[str]]:
        told = server.xconf("ctl", "--socket", str(server.socket), "history", "--csv")
        assert told.returncode == 0, told.stderr
        return list(csv.reader(told.stdout.splitlines()))

    wait_for(lambda: len(history()) == 4, 40, "what was locked out is written")
    heading, *calls = history()
    shown = [dict(zip(heading, row, strict=True)) for row in calls]
    assert [(row["conference"], row["role"], row["reason"]) for row in shown] == [
        ("3061", "speaker", "hung up"),
        ("3060", "speaker", "hung up"),
        ("3060", "speaker", "hung up"),
    ]
    assert {row["member"] for row in shown} == {event["member"] for event in left}
