"""Keypad digits in INFO requests: the bodies `application/dtmf-relay` and `application/dtmf` that telephones send.

No RFC defines either. The first is lines of `Signal=5` and `Duration=160` (milliseconds), the second the digit alone.
Some telephones write the numbers of RFC 4733's events (10 for the star, 11 for the pound) instead.
"""

from __future__ import annotations

CONTENT_TYPES = ("application/dtmf-relay", "application/dtmf")

_DIGITS = "0123456789*#ABCD"
_LONGEST_BODY = 256


def parse(content_type: str, body: bytes) -> str | None:
    """The digit (0-9, *, #, A-D), or None when the body is of another type or holds none."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in CONTENT_TYPES or len(body) > _LONGEST_BODY:
        return None
    lines = [line.partition("=") for line in body.decode("latin-1").splitlines()]
    for name, equals, value in lines:
        if equals and name.strip().lower() == "signal":
            return _digit(value)
    if kind == "application/dtmf" and lines:
        return _digit(lines[0][0])
    return None


def _digit(text: str) -> str | None:
    signal = text.strip().upper()
    if len(signal) == 2 and signal.isascii() and signal.isdigit():
        return _DIGITS[int(signal)] if int(signal) < len(_DIGITS) else None
    return signal if len(signal) == 1 and signal in _DIGITS else None


def build(digit: str, milliseconds: int) -> bytes:
    """The body of type `application/dtmf-relay`."""
    return f"Signal={digit}\r\nDuration={milliseconds}\r\n".encode("ascii")
