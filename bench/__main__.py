"""`make bench`: every figure of the project, measured anew. `make bench ARGS=latency` measures one, ARGS=--quick less of each."""

from __future__ import annotations

import sys
from collections.abc import Callable

from bench import fanout, latency
from bench.table import Row, as_text

FIGURES: dict[str, Callable[[bool], list[Row]]] = {"fanout": fanout.rows, "latency": latency.rows}


def main(words: list[str]) -> int:
    names = [word for word in words if not word.startswith("-")]
    unknown = [name for name in words if name not in FIGURES and name != "--quick"]
    if unknown:
        print(f"no figure {', '.join(unknown)}; there is {', '.join(FIGURES)}, and --quick", file=sys.stderr)
        return 2
    found = []
    for name in names or FIGURES:
        rows = FIGURES[name]("--quick" in words)
        print(as_text(rows), flush=True)
        found += rows
    return int(any(row.reached is False for row in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
