"""What happens in conferences, as lines of the log."""

from __future__ import annotations

from twisted.logger import Logger

from xconf.conference import events
from xconf.conference.events import Event
from xconf.conference.stream import Stream
from xconf.conference.wording import event_words

log = Logger()

# As often as people draw breath; keys, as somebody may type a PIN where none is asked for; what trunks log themselves.
QUIET = (events.TalkStarted, events.TalkStopped, events.DigitPressed, events.TrunkChanged)


def log_events(stream: Stream) -> None:
    """Logs what happens from now on."""
    stream.subscribe(write)


def write(event: Event) -> None:
    """`conference 3000: member joined, member 4065752c-…, caller Ann <1001>, role speaker`, with the Call-ID."""
    if isinstance(event, events.Error):
        log.error("{words}", words=event_words(event.as_dict()))
    elif not isinstance(event, QUIET):
        log.info("{words}", call_id=getattr(event, "call_id", ""), words=event_words(event.as_dict()))
