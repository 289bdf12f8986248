"""A figure, and how it is judged and shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.plot import Plot

FAR = 2.5
"""How many times worse than what is to be reached a ratio must be to fail CI: more than a busy machine explains."""


@dataclass(slots=True, frozen=True)
class Row:
    """One figure. `reached` None: only told, or not judged in this form.

    worse: for ratios and counts that no busy machine spoils, how many times worse it is than what is to be reached (1:
    just reached). None for times, and for what could not be measured: CI does not judge those.
    """

    what: str
    reach: str
    value: str
    reached: bool | None = None
    note: str = ""
    worse: float | None = None

    @property
    def far(self) -> bool:
        """Far out of line: CI fails."""
        return self.worse is not None and self.worse > FAR

    @property
    def mark(self) -> str:
        return "" if self.reached is None else "yes" if self.reached else "NO"


@dataclass(slots=True)
class Figures:
    """What one benchmark has found."""

    rows: list[Row] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)


def as_text(rows: Iterable[Row]) -> str:
    """For the terminal."""
    return "\n".join(
        f"{row.what}\n    {row.value}   (to reach: {row.reach or 'told only'})"
        + f"   {row.mark}".rstrip()
        + ("   FAR OUT OF LINE" if row.far else "")
        + (f"\n    {row.note}" if row.note else "")
        for row in rows
    )
