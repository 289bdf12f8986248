"""How the log reads: a line per event, with its time, level and Call-ID.

2026-01-31 12:00:00.000 info  [3c26-1@10.0.0.7] answered: conference 3000, PCMU
2026-01-31 12:00:01.000 error the command list broke
    | Traceback (most recent call last):
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import sys
from datetime import datetime
from typing import Any, TextIO, cast

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, Logger, LogLevel, eventAsText
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

# A text of the network never starts a line of its own, nor moves the cursor of who reads the log.
CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029) if code != 10}
CONTROLS[9] = "\t"
CONTROLS[13] = ""


# What Twisted says of each port that a question to a name server takes for a moment.
NOISE = re.compile(
    r"DNSDatagramProtocol starting|St(art|opp)ing protocol <twisted\.names|\(UDP Port \d+ Closed\)|Resolver added"
)


def line_of(event: LogEvent) -> str | None:
    """The text of an event, with its line end; None when it says nothing."""
    text = _text_of(event).strip("\n")
    if not text or NOISE.match(text):
        return None
    when = datetime.fromtimestamp(event["log_time"]).isoformat(" ", "milliseconds")
    level = event["log_level"].name if "log_level" in event else "info"
    call = f"[{' '.join(str(event['call_id']).split())}] " if event.get("call_id") else ""
    shown = f"{call}{text}"
    if not shown.isprintable():
        shown = shown.translate(CONTROLS).replace("\n", "\n    | ")
        shown = shown.encode("utf-8", "backslashreplace").decode()  # octets of the network that are no text
    return f"{when} {level:<5.5} {shown}\n"


def _text_of(event: LogEvent) -> str:
    """What is plain, as all that tells of calls, is formatted by Python at a tenth of the time that Twisted takes."""
    form = event.get("log_format")
    if isinstance(form, str) and "()" not in form and "log_failure" not in event:
        with contextlib.suppress(Exception):  # Twisted tells what is wrong with it
            return form.format_map(event)
    return eventAsText(event, includeTimestamp=False, includeSystem=False)


def observer(file: TextIO) -> ILogObserver:
    """Writes events to a file as `line_of` shows them."""
    return cast(ILogObserver, FileLogObserver(file, line_of))


class Sink:
    """Makes the observer that twistd asks for: to the terminal, or to a file that is rotated at SIGUSR1 and at 10 MB."""

    file = ""

    def __call__(self) -> ILogObserver:
        if self.file in ("", "-"):
            return observer(sys.stdout)
        from twisted.internet import reactor

        file = LogFile.fromFullPath(self.file, rotateLength=10_000_000, maxRotatedFiles=9)
        signal.signal(signal.SIGUSR1, lambda *_: reactor.callFromThread(file.rotate))  # type: ignore[attr-defined]
        return observer(cast(TextIO, file))


sink = Sink()


def name_sink(twistd: Any) -> None:
    """Makes twistd log to `sink`, unless its options want syslog or another --logger.

    twistd takes the name of an observer factory alone, and no arguments for it: so there is one, and it is set here.
    """
    if not twistd["syslog"] and not twistd["logger"]:
        sink.file = twistd["logfile"] or ("" if twistd["nodaemon"] else "twistd.log")
        twistd["logger"] = f"{__name__}.sink"


class FromLogging(logging.Handler):
    """Hands what rooms without Twisted say through the standard library's logging to the same log.

    A Call-ID goes along as `log.info("…", extra={"call_id": …})`.
    """

    def emit(self, record: logging.LogRecord) -> None:
        failure = Failure(record.exc_info[1]) if record.exc_info and record.exc_info[1] else None
        fields: dict[str, Any] = {"log_failure": failure} if failure else {}
        Logger(record.name).emit(
            LEVELS.get(record.levelno, LogLevel.info),
            "{text}",
            text=record.getMessage(),
            call_id=getattr(record, "call_id", ""),
            **fields,
        )


LEVELS = {
    logging.DEBUG: LogLevel.debug,
    logging.INFO: LogLevel.info,
    logging.WARNING: LogLevel.warn,
    logging.ERROR: LogLevel.error,
    logging.CRITICAL: LogLevel.critical,
}


def take_logging() -> None:
    """From now on the standard library's logging goes to the server's log."""
    logging.basicConfig(handlers=[FromLogging()], level=logging.INFO, force=True)
