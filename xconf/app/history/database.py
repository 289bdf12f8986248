"""The history as an SQLite file: its tables, and what is written to and read from them. It blocks: for threads alone."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from xconf.app.history.records import CallRecord, Record

PATIENCE = 1.0  # s that another program may have the file locked
VERSION = 1
IN_A_STEP = 1000  # records that are deleted before others may write

SCHEMA = f"""
CREATE TABLE IF NOT EXISTS calls (
    conference TEXT NOT NULL, member TEXT PRIMARY KEY, caller TEXT NOT NULL, call_id TEXT NOT NULL, role TEXT NOT NULL,
    joined REAL, "left" REAL NOT NULL, seconds REAL NOT NULL, reason TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_left ON calls ("left");
CREATE INDEX IF NOT EXISTS calls_conference ON calls (conference, "left");
CREATE TABLE IF NOT EXISTS conferences (
    id TEXT PRIMARY KEY, conference TEXT NOT NULL, profile TEXT NOT NULL, started REAL NOT NULL, ended REAL,
    reason TEXT NOT NULL, members INTEGER NOT NULL, most INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS conferences_started ON conferences (started);
PRAGMA user_version = {VERSION};
"""


@dataclass(frozen=True, slots=True)
class Query:
    """What of the history: calls or conferences; of one conference or (empty) all; the last `limit` since a time."""

    conferences: bool = False
    conference: str = ""
    since: float = 0.0
    limit: int = 1000


class Database:
    """The file, open for writing. Raises sqlite3.Error and OSError, here and in its methods."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # who called whom is not for everyone to read
        self._connection = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise sqlite3.DatabaseError(f"it was written by a later version of xconf (format {version})")
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.executescript(SCHEMA)

    def write(self, records: Sequence[Record]) -> None:
        """All of them or none."""
        calls = [astuple(record) for record in records if isinstance(record, CallRecord)]
        conferences = [astuple(record) for record in records if not isinstance(record, CallRecord)]
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            self._connection.executemany("INSERT OR REPLACE INTO calls VALUES (?,?,?,?,?,?,?,?,?)", calls)
            self._connection.executemany("INSERT OR REPLACE INTO conferences VALUES (?,?,?,?,?,?,?,?)", conferences)
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def bury(self) -> None:
        """Conferences without an end are those of a server that died: nobody knows when they ended."""
        self._connection.execute(
            "UPDATE conferences SET reason = 'the server died' WHERE ended IS NULL AND reason = ''"
        )

    def forget(self, before: float) -> None:
        """Delete what ended before that time."""
        for table, column, key in (("calls", '"left"', "member"), ("conferences", "ended", "id")):
            some = f"SELECT {key} FROM {table} WHERE {column} < ? LIMIT {IN_A_STEP}"
            while self._connection.execute(f"DELETE FROM {table} WHERE {key} IN ({some})", (before,)).rowcount:
                pass

    def close(self) -> None:
        self._connection.close()


def read(path: Path, query: Query) -> list[dict[str, Any]]:
    """What was asked for, the oldest first. Raises sqlite3.Error."""
    table, columns, time = (
        ("conferences", "conference, id, profile, started, ended, members, most, reason", "started")
        if query.conferences
        else ("calls", 'conference, member, caller, call_id, role, joined, "left", seconds, reason', '"left"')
    )
    where = "AND conference = :conference" if query.conference else ""
    # A link in a browser's manner: SQLite opens for reading alone what is named so.
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=PATIENCE)
    connection.row_factory = sqlite3.Row
    try:
        found = connection.execute(
            f"SELECT {columns} FROM {table} WHERE {time} >= :since {where} ORDER BY {time} DESC LIMIT :limit",
            {"since": query.since, "conference": query.conference, "limit": query.limit},
        ).fetchall()
    finally:
        connection.close()
    return [dict(row) for row in reversed(found)]


def why(error: sqlite3.Error | OSError, path: Path) -> str:
    """What is wrong, and what to do."""
    code = getattr(error, "sqlite_errorcode", None)
    kind = None if code is None else code & 0xFF
    known = {
        sqlite3.SQLITE_BUSY: "is locked by another program; end that",
        sqlite3.SQLITE_FULL: "has no room left on its disk; make some",
        sqlite3.SQLITE_NOTADB: "is no SQLite file; move it away, and a new one is made",
        sqlite3.SQLITE_CORRUPT: "is damaged; move it away, and a new one is made",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened; look at its folder",
        sqlite3.SQLITE_READONLY: "may not be written; look at its owner and mode",
    }
    text = known.get(kind) if kind is not None else None
    return f"{path} {text}" if text else f"{path}: {getattr(error, 'strerror', None) or error}"
