"""A figure, and the table of all of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Row:
    """One figure. `reached` None: only told, or not judged in the quick form."""

    what: str
    reach: str
    value: str
    reached: bool | None = None
    note: str = ""

    @property
    def mark(self) -> str:
        return "" if self.reached is None else "yes" if self.reached else "NO"


def as_text(rows: Iterable[Row]) -> str:
    """For the terminal."""
    return "\n".join(
        f"{row.what}\n    {row.value}   (to reach: {row.reach}){'   ' + row.mark if row.mark else ''}"
        + (f"\n    {row.note}" if row.note else "")
        for row in rows
    )


def as_markdown(rows: Iterable[Row]) -> str:
    lines = ["| what | to reach | measured | reached | |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.reach} | {row.value} | {row.mark} | {row.note} |" for row in rows]
    return "\n".join(lines) + "\n"
