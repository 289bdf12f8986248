"""What programs are told as JSON, in words for people. It knows nothing of the server: the console uses it too."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

_ELSEWHERE = {"event", "sequence", "time", "conference", "call_id"}  # said otherwise, or for programs alone


def cell(value: Any) -> str:
    """A value in a table."""
    if value is None or value == [] or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, list) else str(value)


def event_words(event: Mapping[str, Any]) -> str:
    """`conference 3000: member joined, member 4065752c-…, caller Ann <1001>, role speaker`"""
    fields = [(name, value) for name, value in event.items() if name not in _ELSEWHERE and value not in ("", None)]
    told = [event["event"].replace("-", " "), *(f"{name} {_word(value)}" for name, value in fields)]
    return (f"conference {event['conference']}: " if event["conference"] else "") + ", ".join(told)


def _word(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else cell(value)


def event_line(event: Mapping[str, Any]) -> str:
    """The same as one line, with its time, as clocks here show it, and its number."""
    when = datetime.fromtimestamp(event["time"]).isoformat(" ", "milliseconds")
    words = "".join(char if char.isprintable() else "?" for char in event_words(event))
    return f"{when} #{event['sequence']} {words}"
