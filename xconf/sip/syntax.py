"""The small pieces of SIP's grammar that header fields share (RFC 3261 section 25.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias, TypeVar

from xconf.sip.errors import RemoteProtocolError

T = TypeVar("T")

Parameters: TypeAlias = dict[str, str | None]
"""Parameter name in lower case -> value, unquoted; None for a parameter without a value. In order."""

REMEMBERED, LONGEST_REMEMBERED = 4096, 256  # texts, characters of each

TOKEN = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+\Z")

# Both patterns take an unterminated string or bracket to the end, so that scanning stays linear on any input.
_QUOTED = re.compile(r'"((?:[^"\\]|\\.?)*+)("?)', re.DOTALL)
_COMMA_SCAN = re.compile(r'"(?:[^"\\]|\\.?)*+"?|<[^>]*+>?|,', re.DOTALL)
_SEMICOLON_SCAN = re.compile(r'"(?:[^"\\]|\\.?)*+"?|;', re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_TO_ESCAPE = re.compile(r'["\\\x00-\x08\x0b-\x1f\x7f]')
_LINE_END = re.compile(r"[\r\n]")
_USUAL_PARAMETERS = frozenset(
    ("branch", "lr", "maddr", "ob", "received", "refresher", "rport", "tag", "transport", "user")
)
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9.!%*_+`'~:\[\]/-]+\Z")


def remembered(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse` with a memory of the latest texts: what a telephone says of itself comes again in each of its messages.

    For values that nobody changes in place.
    """
    known = lru_cache(REMEMBERED)(parse)
    return lambda text: known(text) if len(text) <= LONGEST_REMEMBERED else parse(text)


def is_token(text: str) -> bool:
    return TOKEN.match(text) is not None


def read_quoted(text: str) -> tuple[str, str]:
    """The quoted string at the start of the text, unescaped, and what follows it."""
    found = _QUOTED.match(text)
    if found is None or not found[2]:
        raise RemoteProtocolError("Unbalanced quotes")
    return _ESCAPE.sub(r"\1", found[1]), text[found.end() :].lstrip(" \t")


def quote_string(text: str) -> str:
    """The text as a quoted string. CR and LF, which no quoting can carry, become spaces."""
    escaped = _TO_ESCAPE.sub(r"\\\g<0>", _LINE_END.sub(" ", text))
    return f'"{escaped}"'


def split_commas(text: str) -> list[str]:
    """The elements of a comma-separated list, stripped; commas in quotes or <> do not count, empty ones are left out."""
    if "," not in text:
        return [text] if text else []
    if '"' not in text and "<" not in text:
        return [piece for piece in (raw.strip(" \t") for raw in text.split(",")) if piece]
    return [piece for piece in _split_at(_COMMA_SCAN, ",", text) if piece]


def _split_at(scan: re.Pattern[str], separator: str, text: str) -> list[str]:
    pieces, start = [], 0
    for found in scan.finditer(text):
        if found[0] == separator:
            pieces.append(text[start : found.start()].strip(" \t"))
            start = found.end()
    pieces.append(text[start:].strip(" \t"))
    return pieces


def parse_parameters(text: str) -> Parameters:
    """`;a=b;c;d="e f"` as a dict; RemoteProtocolError(400) for empty or doubled parameters or junk before the first ;."""
    text = text.strip(" \t")
    if not text:
        return {}
    if text[0] != ";":
        raise RemoteProtocolError("Malformed parameters")
    pieces = text[1:].split(";") if '"' not in text else _split_at(_SEMICOLON_SCAN, ";", text[1:])
    params: Parameters = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if name not in _USUAL_PARAMETERS:
            name = _parameter_name(name)
        if name in params:
            raise RemoteProtocolError("Parameter given twice")
        params[name] = _parameter_value(value) if equals else None
    return params


def _parameter_name(text: str) -> str:
    name = text.strip(" \t")
    if not is_token(name):
        raise RemoteProtocolError("Malformed parameter")
    return name.lower()


def _parameter_value(text: str) -> str:
    value = text.strip(" \t")
    if value.startswith('"'):
        value, rest = read_quoted(value)
        if rest:
            raise RemoteProtocolError("Malformed parameter")
    return value


def format_parameters(params: Parameters) -> str:
    """The reverse of `parse_parameters`."""
    return "".join([f";{name}" if value is None else f";{name}={_written(value)}" for name, value in params.items()])


def _written(value: str) -> str:
    return value if _PLAIN_VALUE.match(value) else quote_string(value)


def split_parameters(text: str) -> tuple[str, Parameters]:
    """`value;a=b` as (value, {a: b}): the shape of Content-Type, Event, Session-Expires, Reason, Accept elements."""
    value, semicolon, params = text.partition(";")
    return value.strip(" \t"), parse_parameters(semicolon + params)


def parse_number(text: str, limit: int, what: str) -> int:
    """A decimal number from 0 to `limit`; RemoteProtocolError(400, naming `what`) for anything else."""
    text = text.strip(" \t")
    if text.isascii() and text.isdigit():
        digits = text if len(text) <= 20 else text.lstrip("0")[:21]  # 21 are too many for any limit
        number = int(digits or "0")
        if number <= limit:
            return number
    raise RemoteProtocolError(f"{what} is not a number in 0..{limit}")
