"""`make bench`: every figure of the project, measured anew. `make bench ARGS=latency` measures one."""

from __future__ import annotations

import sys

from bench import latency

FIGURES = {"latency": latency.main}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        print(f"no figure {', '.join(unknown)}; there is {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    return max(FIGURES[name]() for name in names or FIGURES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
