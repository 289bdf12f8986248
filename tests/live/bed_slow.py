"""`twistd` in which a tick takes as much longer as a clock that is slow makes it: `python bed_slow.py PPM -n xconf …`."""

from __future__ import annotations

import sys

from twisted.scripts.twistd import run

from xconf.media import clock

if __name__ == "__main__":
    clock.PERIOD *= 1 + float(sys.argv.pop(1)) / 1e6
    sys.argv[0] = "twistd"
    run()
