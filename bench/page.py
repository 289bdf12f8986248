"""docs/benchmarks.md, its plots, and the file beside it that keeps what was measured when, so that figures can be
measured one by one."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import numpy as np

from bench.plot import Plot
from bench.table import Figures

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
_MEASURED = ("xconf", "bench", "dtmf", "conf")  # what makes a version another one

INTRODUCTION = """# Benchmarks

Written by `make bench`; `make bench ARGS=NAME` measures one anew and leaves the others as they are. The server, its callers
(`xconf load`) and what it is compared with run on one machine, over loopback, which charges the receiver's work in the kernel
to the sender: so ratios hold better than times. The floor is a C program that sends and receives the same packets in
the same run, and does nothing else (bench/floor.c). CPU seconds are the operating system's, and figures with several
runs their medians; seconds in which the machine itself stood still are left out. [contributor.md](contributor.md) says how
to read the figures and how to add one."""


@dataclass(slots=True)
class Measured:
    """The figures of one benchmark, and when and on what they were measured."""

    date: str
    version: str
    machine: str
    quick: bool
    figures: Figures

    @property
    def when(self) -> str:
        return f"{self.date}, {self.version}{', quick' if self.quick else ''}"


@dataclass(slots=True)
class Book:
    """All that has been measured, by the benchmark's name."""

    kept: dict[str, Measured] = field(default_factory=dict)

    def enter(self, name: str, measured: Measured) -> bool:
        """Take these figures in place of older ones. False when they are of the quick form and the older ones are not."""
        older = self.kept.get(name)
        if older is not None and measured.quick and not older.quick:
            return False
        self.kept[name] = measured
        return True

    def page(self, names: Iterable[str]) -> str:
        """The text of the page; names: all benchmarks there are, in their order."""
        kept = [(name, self.kept[name]) for name in names if name in self.kept]
        lines = ["| what | to reach | measured | reached | how | `ARGS=` | when |", "|---|---|---|---|---|---|---|"]
        for name, found in kept:
            for row in found.figures.rows:
                cells = (row.what, row.reach, row.value, row.mark, row.note, name, found.when)
                lines.append(f"| {' | '.join(cells)} |")
        machines = sorted({found.machine for _, found in kept})
        pictures = [f"![{plot.title}](benchmarks/{plot.name}.svg)" for plot in self.plots(names)]
        described = [f"Measured on {' and on '.join(machines)}."] if machines else []
        return "\n\n".join([INTRODUCTION, *described, "\n".join(lines), "\n".join(pictures)]) + "\n"

    def plots(self, names: Iterable[str]) -> list[Plot]:
        """The plots; curves that several benchmarks add to one are drawn together."""
        drawn: dict[str, Plot] = {}
        for name in names:
            for plot in self.kept[name].figures.plots if name in self.kept else ():
                if plot.name in drawn:
                    drawn[plot.name].curves |= plot.curves
                else:
                    drawn[plot.name] = Plot(plot.name, plot.title, plot.across, plot.up, dict(plot.curves))
        return list(drawn.values())


def _results() -> Path:
    return PAGE.with_suffix("") / "results.json"


def read() -> Book:
    """What was kept beside the page; nothing when there is none."""
    file = _results()
    return msgspec.json.decode(file.read_bytes(), type=Book) if file.exists() else Book()


def write(book: Book, names: Iterable[str]) -> None:
    """The page, its plots, and the results."""
    names = list(names)
    file = _results()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(book), indent=1) + b"\n")
    for plot in book.plots(names):
        (file.parent / f"{plot.name}.svg").write_text(plot.svg())
    PAGE.write_text(book.page(names))


def version() -> str:
    """The commit that is measured; `-dirty` when the sources differ from it."""
    commit = _git("describe", "--always")
    return (commit or "unknown") + ("-dirty" if _git("status", "--porcelain", "--", *_MEASURED) else "")


def _git(*words: str) -> str:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def machine() -> str:
    """What it is measured on."""
    model = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":unknown")
    return (
        f"{os.cpu_count()} x {model.partition(':')[2].strip()}, Linux {platform.release()}, "
        f"Python {platform.python_version()}, numpy {np.__version__}"
    )


def measured(figures: Figures, *, quick: bool) -> Measured:
    """Figures of now and of this machine."""
    return Measured(datetime.date.today().isoformat(), version(), machine(), quick, figures)
