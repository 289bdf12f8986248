"""What happens in conferences, as lines of the log."""

from __future__ import annotations

import dataclasses

from twisted.logger import Logger

from xconf.conference import events
from xconf.conference.events import Event, Stream

log = Logger()

# As often as people draw breath; keys, as somebody may type a PIN where none is asked for; what trunks log themselves.
QUIET = (events.TalkStarted, events.TalkStopped, events.DigitPressed, events.TrunkChanged)
ELSEWHERE = {"sequence", "time", "conference", "call_id"}


def log_events(stream: Stream) -> None:
    """Logs what happens from now on."""
    stream.subscribe(write)


def write(event: Event) -> None:
    """`conference 3000: member joined, member 4065752c-…, caller Ann <1001>, role speaker`, with the Call-ID."""
    if isinstance(event, QUIET):
        return
    fields = [(field.name, getattr(event, field.name)) for field in dataclasses.fields(event)]
    told = [f"{name} {_value(value)}" for name, value in fields if name not in ELSEWHERE and value not in ("", None)]
    log.info(
        "conference {conference}: {what}",
        call_id=getattr(event, "call_id", ""),
        conference=event.conference,
        what=", ".join([event.kind.replace("-", " "), *told]),
    )


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
