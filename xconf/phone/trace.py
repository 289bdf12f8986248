"""The SIP messages as they pass, for --verbose. What proves a password is left out."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import TextIO

from xconf.sip.flow import Flow

Tracer = Callable[[str, Flow, bytes], None]

_SECRETS = re.compile(r"(?im)^((?:proxy-)?authorization\s*:).*$")


def tracer(stream: TextIO) -> Tracer:
    """A trace hook of the SIP service that prints messages with times since now; direction is "in" or "out"."""
    began = time.monotonic()

    def trace(direction: str, flow: Flow, data: bytes) -> None:
        arrow = "<-" if direction == "in" else "->"
        text = _SECRETS.sub(r"\1 (left out)", data.decode("utf-8", "replace").replace("\r\n", "\n"))
        print(f"{time.monotonic() - began:9.3f}  {arrow} {flow}\n{text.rstrip()}\n", file=stream, flush=True)

    return trace
