"""`make bench`: every figure of the project, measured anew, and docs/benchmarks.md written.

make bench                        all, in their full form
make bench ARGS='fanout peers'    these alone; the page keeps what was measured of the others before
make bench ARGS=--quick           less of each, but for `growth`, which is left out, and `knee`: about 4 minutes
make bench ARGS='--quick --ci'    of these some, in two minutes; writes nothing, and fails only on a ratio far out of line
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence

from bench import (
    across,
    callcost,
    choosing,
    cluster,
    codecs,
    conferences,
    elsewhere,
    fanout,
    growth,
    hold,
    idle,
    latency,
    memory,
    nodes,
    page,
    peers,
    relay,
    setup,
    sipp,
    statuses,
    tunnel,
)
from bench.table import Figures, as_text

FIGURES: dict[str, Callable[[bool], Figures]] = {
    "fanout": fanout.measure,
    "peers": peers.measure,
    "hold": hold.measure,
    "knee": hold.knee,
    "setup": setup.measure,
    "callcost": callcost.measure,
    "hangup": setup.hang_ups,
    "sipp": sipp.measure,
    "conferences": conferences.measure,
    "memory": memory.measure,
    "codecs": codecs.measure,
    "idle": idle.measure,
    "latency": latency.measure,
    "across": across.measure,
    "tunnel": tunnel.measure,
    "statuses": statuses.measure,
    "choosing": choosing.measure,
    "relay": relay.measure,
    "elsewhere": elsewhere.measure,
    "nodes": nodes.measure,
    "cluster": cluster.measure,
    "growth": growth.measure,
}
SLOW = ("knee", "growth")
"""Left out of the quick form, when they are not named."""


IN_CI = ("fanout", "setup", "hangup", "conferences", "codecs", "memory", "idle")


def main(words: Sequence[str]) -> int:
    quick, ci = "--quick" in words, "--ci" in words
    names = [word for word in words if word not in ("--quick", "--ci")]
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"no figure {', '.join(unknown)}; there is {', '.join(FIGURES)}, and --quick, --ci", file=sys.stderr)
        return 2
    failed = False
    usual = IN_CI if ci else [name for name in FIGURES if not (quick and name in SLOW)]
    for name in names or usual:
        figures = _measure(name, quick)
        if figures is None:
            failed = True
            continue
        print(as_text(figures.rows), flush=True)
        failed |= any(row.far if ci else row.reached is False for row in figures.rows)
        if not ci:
            _keep(name, figures, quick)
    return int(failed)


def _measure(name: str, quick: bool) -> Figures | None:
    """The figures of one benchmark; None when it failed, which leaves the others their turn."""
    try:
        return FIGURES[name](quick)
    except SystemExit as error:
        print(f"{name}: {error}", file=sys.stderr)
    except Exception:
        print(f"{name} failed:", file=sys.stderr)
        traceback.print_exc()
    return None


def _keep(name: str, figures: Figures, quick: bool) -> None:
    book = page.read()
    if book.enter(name, page.measured(figures, quick=quick)):
        page.write(book, FIGURES)
    else:
        print(f"(the page keeps the full form of {name}, measured {book.kept[name].when})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
