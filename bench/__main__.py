"""`make bench`: every figure of the project, measured anew, and docs/benchmarks.md written.

`make bench ARGS=latency` measures one and only prints it; ARGS=--quick measures less of each; ARGS='--quick --ci' fails
only on a ratio far out of line, never on a time, and writes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import callcost, codecs, conferences, fanout, growth, hold, idle, latency, memory, setup
from bench.table import Figures, as_text, write

FIGURES: dict[str, Callable[[bool], Figures]] = {
    "fanout": fanout.measure,
    "hold": hold.measure,
    "setup": setup.measure,
    "callcost": callcost.measure,
    "conferences": conferences.measure,
    "memory": memory.measure,
    "codecs": codecs.measure,
    "idle": idle.measure,
    "latency": latency.measure,
    "growth": growth.measure,
}


def main(words: list[str]) -> int:
    quick, ci = "--quick" in words, "--ci" in words
    names = [word for word in words if word not in ("--quick", "--ci")]
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"no figure {', '.join(unknown)}; there is {', '.join(FIGURES)}, and --quick, --ci", file=sys.stderr)
        return 2
    found = Figures()
    for name in names or FIGURES:
        figures = FIGURES[name](quick)
        print(as_text(figures.rows), flush=True)
        found.rows += figures.rows
        found.plots += figures.plots
    if not names and not ci:
        write(found, quick=quick)
    return int(any(row.far if ci else row.reached is False for row in found.rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
