"""`python -m xconf.phone`: the same as `xconf phone`."""

from __future__ import annotations

import sys

from xconf.phone.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
