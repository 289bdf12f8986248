"""The command `history`: calls and conferences that are over, as a table, as CSV, or as JSON."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from twisted.internet import threads

from xconf.app.history.database import Query, read, why
from xconf.conference.commands import Argument, Command, Reply
from xconf.conference.errors import CommandError
from xconf.conference.later import Later
from xconf.conference.show import Row, table
from xconf.conference.turns import Turns, TurnTaker, each

MOST = 10_000  # rows in one answer
USAGE = "[--csv] [--conferences] [CONFERENCE] [since DATE|TIME|7d|12h|30m] [limit N]"

_AGO = re.compile(r"(\d{1,5})([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_TIMES = ("joined", "left", "started", "ended")


@dataclass(frozen=True, slots=True)
class Wanted:
    """csv: rather than a table for people."""

    query: Query
    csv: bool


def parse_wanted(text: str, now: Callable[[], float] = time.time) -> Wanted:
    """`--csv 3000 since 2026-01-31 limit 50`, each part of which may be missing. Raises ValueError."""
    words = text.split()
    csv = "--csv" in words
    conferences = "--conferences" in words
    words = [word for word in words if word not in ("--csv", "--conferences")]
    named: dict[str, str] = {}
    conference = ""
    while words:
        word = words.pop(0)
        if word in ("since", "limit"):
            if not words:
                raise ValueError(f"{word} what? {USAGE}")
            named[word] = words.pop(0)
        elif conference or word.startswith("--"):
            raise ValueError(f"'{word}' is not understood: {USAGE}")
        else:
            conference = word
    since = moment(named["since"], now()) if "since" in named else 0.0
    return Wanted(Query(conferences, conference, since, _limit(named.get("limit", "1000"))), csv)


def _limit(word: str) -> int:
    if not (re.fullmatch(r"\d{1,5}", word) and 1 <= int(word) <= MOST):
        raise ValueError(f"limit '{word}' is not in 1..{MOST}")
    return int(word)


def moment(word: str, now: float) -> float:
    """Unix time of `2026-01-31`, `2026-01-31T12:00` (by clocks here), `today`, or `7d` (ago). Raises ValueError."""
    ago = _AGO.fullmatch(word)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}).total_seconds()
    try:
        when = datetime.fromtimestamp(now).date().isoformat() if word == "today" else word
        return datetime.fromisoformat(when).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(f"'{word}' is not like 2026-01-31, 2026-01-31T12:00, today, 7d, 12h or 30m") from None


def shown(row: Row) -> Row:
    """Times as text, in the order that people want to read."""
    return {
        key: _when(value) if key in _TIMES else f"{value:.1f}" if key == "seconds" else value
        for key, value in row.items()
    }


def _when(time: float | None) -> str | None:
    return None if time is None else datetime.fromtimestamp(time).astimezone().isoformat(timespec="seconds")


def as_csv(rows: Sequence[Row]) -> Turns[str]:
    """RFC 4180, with a heading; lines end as everywhere on this system."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(rows[0])
    yield from each(rows, lambda row: writer.writerow([_harmless(value) for value in row.values()]))
    return out.getvalue().rstrip("\n")


def _harmless(value: Any) -> Any:
    # What a stranger calls himself is no formula of ours, whichever spreadsheet opens the file.
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t") else value


def history_command(reactor: Any, path: Path | None) -> Command:
    """The entry for the table of commands. path: of the file, None when there is none."""
    turns = TurnTaker(reactor)

    def history(_: object, wanted: Wanted) -> Reply:
        """Calls that are over, or conferences: of all times and names, or some. The last 1000, the oldest first."""
        if path is None:
            raise CommandError("there is no history: history.file of the configuration is not set")
        later = Later()

        def failed(error: Exception) -> None:
            later.tell(CommandError(why(error, path) if isinstance(error, sqlite3.Error) else f"{path}: {error}"))

        def found(rows: list[Row]) -> None:
            turns.take(told(rows, wanted), later.tell, failed)

        threads.deferToThread(read, path, wanted.query).addCallbacks(found, lambda failure: failed(failure.value))
        return Reply("the file is read", later=later)

    return Command("history", "node", Argument(USAGE, parse_wanted, optional=True), history)


def told(rows: Sequence[Row], wanted: Wanted) -> Turns[Reply]:
    """The answer."""
    lines = yield from each(rows, shown)
    if wanted.csv and lines:
        return Reply((yield from as_csv(lines)), lines)
    return (yield from table(lines, "" if wanted.csv else "nothing is known"))
