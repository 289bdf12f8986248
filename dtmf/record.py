"""Recording a conference to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xconf.conference.commands import Argument, Reply, command
from xconf.conference.member import Member
from xconf.conference.recording import NAME

if TYPE_CHECKING:
    from xconf.conference.conference import Conference

VERBS = ("start", "stop", "pause", "resume", "status")


def _parse(text: str) -> tuple[str, str]:
    verb, _, name = (text or "status").partition(" ")
    if verb not in VERBS:
        raise ValueError(f"'{verb}' is not one of {', '.join(VERBS)}")
    if name and verb != "start":
        raise ValueError(f"{verb} takes no name")
    if name and not NAME.fullmatch(name):
        raise ValueError(f"'{name}' is no name for a file: letters, digits, blanks and . _ - are")
    return verb, name


@command("record", rights="admin")
def record(member: Member) -> Reply:
    """Begins to record the conference, or ends that."""
    recordings = member.conference.recordings
    if recordings.current is None:
        started = recordings.start(by=member.id)
        return Reply(f"recording to {started.file}", later=started.begun)
    return _stopped(member.conference)


@command(
    "record", scope="conference", argument=Argument("start [NAME]|stop|pause|resume|status", _parse, optional=True)
)
def record_conference(conference: Conference, order: tuple[str, str]) -> Reply:
    """Records a conference to a file: start, stop, pause, resume; or says what is recorded."""
    verb, name = order
    recordings = conference.recordings
    if verb == "start":
        started = recordings.start(name)
        return Reply(f"recording to {started.file}", {"file": started.file}, later=started.begun)
    if verb == "stop":
        return _stopped(conference)
    if verb == "status":
        return _status(conference)
    recordings.pause() if verb == "pause" else recordings.resume()
    return _status(conference)


def _stopped(conference: Conference) -> Reply:
    stopped = conference.recordings.stop()
    return Reply(f"recorded to {stopped.file}", {"file": stopped.file}, later=stopped.finished)


def _status(conference: Conference) -> Reply:
    current = conference.recordings.current
    if current is None:
        return Reply(f"{conference.name} is not recorded")
    state = "paused" if current.paused else "recording"
    told = {"file": current.file, "state": state, "seconds": round(current.seconds, 1), "lost": current.left_out}
    return Reply(f"{state}: {current.file}, {current.seconds:.1f} s", told)
