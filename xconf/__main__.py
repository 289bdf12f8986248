"""`python -m xconf` is `xconf`."""

from __future__ import annotations

import sys

from xconf.app.cli import main

if __name__ == "__main__":
    sys.exit(main())
