"""A figure, the table of all of them, and the page that keeps them."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.plot import Plot

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


@dataclass(slots=True, frozen=True)
class Row:
    """One figure. `reached` None: only told, or not judged in the quick form; far: a ratio far out of line."""

    what: str
    reach: str
    value: str
    reached: bool | None = None
    note: str = ""
    far: bool = False

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
        f"{row.what}\n    {row.value}   (to reach: {row.reach}){'   ' + row.mark if row.mark else ''}"
        + (f"\n    {row.note}" if row.note else "")
        for row in rows
    )


def as_page(found: Figures, *, quick: bool) -> str:
    """docs/benchmarks.md."""
    lines = ["| what | to reach | measured | reached | how |", "|---|---|---|---|---|"]
    lines += [f"| {row.what} | {row.reach} | {row.value} | {row.mark} | {row.note} |" for row in found.rows]
    plots = [f"![{plot.title}](benchmarks/{plot.name}.svg)" for plot in found.plots]
    return "\n".join(
        [
            "# Benchmarks",
            "",
            "Written by `make bench`"
            + (", its quick form (`ARGS=--quick`): fewer calls, shorter." if quick else ".")
            + " Server, callers (`xconf load`) and floor run on one machine, over loopback, which charges the receiver's"
            " work in the kernel to the sender: so ratios to the floor, a C program that sends and receives the same"
            " packets in the same run (bench/floor.c), hold better than times. CPU seconds are the operating system's,"
            " figures the medians of their runs.",
            "",
            machine(),
            "",
            *lines,
            "",
            *plots,
            "",
        ]
    )


def machine() -> str:
    """What it was measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":unknown")
    version = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return (
        f"{datetime.date.today()}, version {version.stdout.strip() or 'unknown'}; {os.cpu_count()} x "
        f"{model.partition(':')[2].strip()}, Linux {platform.release()}, Python {platform.python_version()}, "
        f"numpy {np.__version__}."
    )


def write(found: Figures, *, quick: bool) -> None:
    """The page and its plots."""
    PAGE.write_text(as_page(found, quick=quick))
    folder = PAGE.with_suffix("")
    folder.mkdir(exist_ok=True)
    for plot in found.plots:
        (folder / f"{plot.name}.svg").write_text(plot.svg())
