"""twistd with a server that does without the kernel's filter, to see what the filter is worth. Else as it is."""

from __future__ import annotations

import sys

from twisted.scripts.twistd import run

from xconf.rtp import filter as kernel_filter

kernel_filter.LONGEST = 0  # as if every program were too long for the kernel

if __name__ == "__main__":
    sys.exit(run())
