"""The history: what is written of calls and conferences, how it is shown, and that a broken disk stops nobody."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conference_world import World
from twisted.internet import defer, threads
from twisted.internet.task import Clock

from xconf.app.history.command import history_command, moment, parse_wanted
from xconf.app.history.database import Database, Query, read
from xconf.app.history.records import CallRecord, ConferenceRecord, Record, Recorder
from xconf.app.history.writer import Writer
from xconf.conference.commands import Command, Reply, Table
from xconf.conference.errors import CommandError

NOON = 1769860800.0  # 2026-01-31T12:00:00Z


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def call(number: int, conference: str = "3000", left: float = NOON, **fields: Any) -> CallRecord:
    given = {
        "caller": f"Caller <{number}>",
        "role": "listener",
        "joined": left - 10,
        "seconds": 10.0,
        "reason": "hung up",
    }
    return CallRecord(conference, f"m-{number}", call_id=f"c-{number}@x", left=left, **{**given, **fields})


# From events to records


def recorded() -> tuple[World, list[Record]]:
    world, kept = World(), []
    world.node.events.subscribe(Recorder(kept.append))
    return world, kept


def test_a_call_leaves_a_record_when_it_is_over() -> None:
    world, kept = recorded()
    ann = world.settled(caller="Ann <1001>", flags="")
    world.did("3000 member ann flags +speaker +admin")
    began = world.clock.seconds()
    world.wait(4)
    ann.hang_up()
    (record,) = [found for found in kept if isinstance(found, CallRecord)]
    assert (record.conference, record.caller, record.call_id, record.role) == ("3000", "Ann <1001>", "call-1", "admin")
    assert (record.joined, record.left) == pytest.approx((began - 6, began + 4), abs=0.01)
    assert (record.seconds, record.reason) == (pytest.approx(10, abs=0.1), "hung up")


def test_a_caller_who_never_got_in_is_recorded_without_a_role() -> None:
    world, kept = recorded()
    world.call("5000", profile="pin").hang_up()
    (record,) = [found for found in kept if isinstance(found, CallRecord)]
    assert (record.joined, record.seconds, record.role, record.reason) == (None, 0.0, "", "hung up")


def test_a_conference_is_recorded_at_its_start_and_again_at_its_end() -> None:
    world, kept = recorded()
    ann, bob = world.settled(), world.settled()
    bob.hang_up()
    world.settled().hang_up()
    ann.hang_up()
    world.node.get("3000").stop("ended by an operator")  # type: ignore[union-attr]
    first, last = [found for found in kept if isinstance(found, ConferenceRecord)]
    assert (first.ended, first.members, first.most) == (None, 0, 0)
    assert (last.id, last.started, last.conference) == (first.id, first.started, "3000")
    assert (last.ended, last.reason) == (world.clock.seconds(), "ended by an operator")
    assert (last.members, last.most) == (3, 2)


def test_two_conferences_of_one_name_are_told_apart() -> None:
    world, kept = recorded()
    world.settled()
    world.did("3000 term")  # its goodbye takes a while, and its name is free
    world.settled()
    world.wait(20)
    world.node.shutdown()
    records = [found for found in kept if isinstance(found, ConferenceRecord)]
    assert [record.reason for record in records] == ["", "", "ended by an operator", "server stopped"]
    assert len({record.id for record in records}) == 2
    assert records[0].id == records[2].id


def test_any_call_id_can_be_written(tmp_path: Path) -> None:
    world, kept = recorded()
    someone = world.caller()
    someone.call_id = "\udcff\x00'--@x"
    someone.member = world.node.find_or_create("3000", "default").join(someone)  # type: ignore[arg-type]
    someone.hang_up()
    with closing(Database(tmp_path / "h.db")) as database:
        database.write(kept)
    assert [row["call_id"] for row in read(tmp_path / "h.db", Query())] == ["\\udcff\x00'--@x"]


# The file


def test_what_is_written_is_read_the_oldest_first(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    with closing(Database(path)) as database:
        database.write([call(2, left=NOON + 5), call(1), call(3, "3001", NOON + 9)])
    assert [row["member"] for row in read(path, Query())] == ["m-1", "m-2", "m-3"]
    assert [row["member"] for row in read(path, Query(conference="3000"))] == ["m-1", "m-2"]
    assert [row["member"] for row in read(path, Query(since=NOON + 1, limit=1))] == ["m-3"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_conference_without_an_end_is_of_a_server_that_died(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    over = ConferenceRecord("c-1", "3000", "default", NOON, NOON + 60, "empty", 7, 3)
    with closing(Database(path)) as database:
        database.write([over, ConferenceRecord("c-2", "3001", "default", NOON + 1)])
        database.bury()
    told = [(row["id"], row["ended"], row["reason"]) for row in read(path, Query(conferences=True))]
    assert told == [("c-1", NOON + 60, "empty"), ("c-2", None, "the server died")]


def test_what_is_old_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    old = [call(number, left=NOON - 10) for number in range(2500)]
    with closing(Database(path)) as database:
        database.write([*old, call(9999), ConferenceRecord("c-1", "3000", "default", NOON - 90, NOON - 60)])
        database.forget(NOON - 5)
    assert [row["member"] for row in read(path, Query())] == ["m-9999"]
    assert read(path, Query(conferences=True)) == []


# The thread


class Reports:
    """What the thread tells; `wait` until it has told so many things."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.news = threading.Condition()

    def __call__(self, fault: str, lost: int) -> None:
        with self.news:
            self.told.append((fault, lost))
            self.news.notify_all()

    def wait(self, count: int) -> list[str]:
        with self.news:
            assert self.news.wait_for(lambda: len(self.told) >= count, 20), self.told
        return [fault for fault, _ in self.told]


@pytest.fixture
def reports() -> Reports:
    return Reports()


@pytest.fixture
def writer(tmp_path: Path, reports: Reports, monkeypatch: pytest.MonkeyPatch) -> Iterator[Writer]:
    monkeypatch.setattr("xconf.app.history.writer.PAUSE", 0.01)
    monkeypatch.setattr("xconf.app.history.writer.BACK_OFF", (0.01,))
    monkeypatch.setattr("xconf.app.history.database.PATIENCE", 0.05)
    made = Writer(tmp_path / "h.db", 3650, 10, reports)
    yield made
    made.stop(5)


def members(path: Path) -> list[str]:
    return [row["member"] for row in read(path, Query())]


def test_a_stop_writes_what_waits(writer: Writer) -> None:
    writer.start()
    for number in range(5):
        writer.keep(call(number, left=time.time()))
    assert writer.stop(5) == 0
    assert sorted(members(writer.path)) == [f"m-{number}" for number in range(5)]


def test_while_the_file_is_locked_records_wait_and_the_oldest_are_lost(writer: Writer, reports: Reports) -> None:
    Database(writer.path).close()
    with closing(sqlite3.connect(writer.path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        writer.start()
        writer.keep(call(0, left=time.time()))
        assert reports.wait(1) == [f"{writer.path} is locked by another program; end that"]
        began = time.monotonic()
        for number in range(1, 25):
            writer.keep(call(number, left=time.time() + number))
        assert time.monotonic() - began < 0.05, "who has a record never waits for the disk"
        other.execute("ROLLBACK")
    assert reports.wait(2)[1:] == [""]
    assert writer.stop(5) == 0
    found = members(writer.path)
    assert writer.lost == 25 - len(found) >= 10
    assert found == [f"m-{number}" for number in range(25 - len(found), 25)]


def test_a_file_that_is_none_of_ours_is_left_alone_until_it_is_moved_away(writer: Writer, reports: Reports) -> None:
    writer.path.write_text("my diary, " * 1000)
    writer.start()
    writer.keep(call(1, left=time.time()))
    assert reports.wait(1) == [f"{writer.path} is no SQLite file; move it away, and a new one is made"]
    writer.path.rename(writer.path.with_suffix(".txt"))
    assert reports.wait(2)[1:] == [""]
    assert writer.stop(5) == 0
    assert members(writer.path) == ["m-1"]
    assert writer.path.with_suffix(".txt").read_text().startswith("my diary")


def test_a_full_disk_is_told_once_and_survived(
    writer: Writer, reports: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    tries: list[int] = []
    write = Database.write

    def no_room(self: Database, records: list[Record]) -> None:
        tries.append(len(records))
        if len(tries) < 4:
            raise full
        write(self, records)

    monkeypatch.setattr(Database, "write", no_room)
    writer.keep(call(1, left=time.time()))
    writer.start()
    assert reports.wait(2) == [f"{writer.path} has no room left on its disk; make some", ""]
    assert tries == [1, 1, 1, 1]
    assert members(writer.path) == ["m-1"]


def test_a_history_of_a_later_version_is_not_touched(writer: Writer, reports: Reports) -> None:
    with closing(sqlite3.connect(writer.path)) as later:
        later.execute("PRAGMA user_version = 99")
        later.execute("CREATE TABLE calls (something TEXT)")
    writer.start()
    assert "written by a later version of xconf (format 99)" in reports.wait(1)[0]


# The command


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Reply]:
    """Asks a history of three calls and two conferences."""
    path = tmp_path / "h.db"
    with closing(Database(path)) as database:
        database.write(
            [
                call(1, caller="Ann <1001>", role="admin"),
                call(2, "3001", NOON + 60, caller="=HYPERLINK(1) <2>", reason='said "bye", left'),
                call(3, "3001", NOON + 90, caller="+49301 <3>", role="", joined=None, seconds=0.0),
                ConferenceRecord("c-1", "3000", "default", NOON - 60, NOON + 5, "empty", 7, 3),
                ConferenceRecord("c-2", "3001", "pin", NOON - 30),
            ]
        )
    monkeypatch.setattr(threads, "deferToThread", lambda work, *given: defer.execute(work, *given))

    entry = history_command(Clock(), path)
    return lambda words: answer(entry, words)


def answer(entry: Command, words: str) -> Reply:
    """What the command says at last. Raises CommandError."""
    outcomes: list[Reply | CommandError] = []
    later = entry(None, entry.parse(words, Table([]))).later
    assert later is not None
    later.then(outcomes.append)
    if isinstance(outcomes[0], CommandError):
        raise outcomes[0]
    return outcomes[0]


def test_the_table_for_people(ask: Callable[[str], Reply]) -> None:
    assert ask("").text == (
        "CONFERENCE  MEMBER  CALLER             CALL_ID  ROLE      JOINED                     LEFT                       SECONDS  REASON\n"
        "3000        m-1     Ann <1001>         c-1@x    admin     2026-01-31T11:59:50+00:00  2026-01-31T12:00:00+00:00  10.0     hung up\n"
        '3001        m-2     =HYPERLINK(1) <2>  c-2@x    listener  2026-01-31T12:00:50+00:00  2026-01-31T12:01:00+00:00  10.0     said "bye", left\n'
        "3001        m-3     +49301 <3>         c-3@x    -         -                          2026-01-31T12:01:30+00:00  0.0      hung up"
    )
    assert ask("3009").text == "nothing is known"


def test_csv_for_spreadsheets_has_no_formulas(ask: Callable[[str], Reply]) -> None:
    assert ask("--csv").text == (
        "conference,member,caller,call_id,role,joined,left,seconds,reason\n"
        "3000,m-1,Ann <1001>,c-1@x,admin,2026-01-31T11:59:50+00:00,2026-01-31T12:00:00+00:00,10.0,hung up\n"
        "3001,m-2,'=HYPERLINK(1) <2>,c-2@x,listener,2026-01-31T12:00:50+00:00,2026-01-31T12:01:00+00:00,10.0,"
        '"said ""bye"", left"\n'
        "3001,m-3,'+49301 <3>,c-3@x,,,2026-01-31T12:01:30+00:00,0.0,hung up"
    )


def test_conferences_since_and_limit(ask: Callable[[str], Reply]) -> None:
    assert ask("--conferences --csv").text == (
        "conference,id,profile,started,ended,members,most,reason\n"
        "3000,c-1,default,2026-01-31T11:59:00+00:00,2026-01-31T12:00:05+00:00,7,3,empty\n"
        "3001,c-2,pin,2026-01-31T11:59:30+00:00,,0,0,"
    )
    assert [row["member"] for row in ask("since 2026-01-31T12:00:30").data] == ["m-2", "m-3"]
    assert [row["member"] for row in ask("3001 limit 1").data] == ["m-3"]
    json.dumps(ask("").data)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("since yesterday", "'yesterday' is not like 2026-01-31, 2026-01-31T12:00, today, 7d, 12h or 30m"),
        ("limit 0", "limit '0' is not in 1..10000"),
        ("limit", "limit what? [--csv]"),
        ("3000 3001", "'3001' is not understood: [--csv]"),
        ("--cvs", "'--cvs' is not understood: [--csv]"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_allowed(words: str, text: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_wanted(words)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(
    ("word", "when"),
    [("2026-01-31", NOON - 43200), ("2026-01-31T12:00", NOON), ("today", NOON - 43200), ("2h", NOON - 7200 + 60)],
)
def test_times_are_written_in_many_ways(word: str, when: float) -> None:
    assert moment(word, NOON + 60) == when


def test_without_a_file_the_command_says_which_key_is_missing() -> None:
    with pytest.raises(CommandError, match=r"history.file of the configuration is not set"):
        answer(history_command(Clock(), None), "")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "h.db").write_text("my diary, " * 1000)
    monkeypatch.setattr(threads, "deferToThread", lambda work, *given: defer.execute(work, *given))
    with pytest.raises(CommandError, match="is no SQLite file"):
        answer(history_command(Clock(), tmp_path / "h.db"), "")
