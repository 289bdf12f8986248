"""What came of a call that we placed."""

from __future__ import annotations

from dataclasses import dataclass

from xconf.conference.invitation import Result
from xconf.sip.events import Cause, Ended

_BUSY = {486, 600}
_ABSENT = {408, 480, 487}


@dataclass(frozen=True, slots=True)
class Outcome:
    """status: of the answer, 0 if there was none; reason: why, in words; elsewhere: another server might do."""

    result: Result
    status: int = 0
    reason: str = ""
    call_id: str = ""
    member: str = ""
    elsewhere: bool = False


def outcome_of(reason: str, event: Ended | None, state: str, call_id: str) -> Outcome:
    """Of a call that ended and never was a member's. state: what was known of it before."""
    if state == "confirming":
        return Outcome(Result.NOT_CONFIRMED, 200, "hung up", call_id)
    response = event.response if event is not None else None
    if response is not None:
        status = response.status
        result = Result.BUSY if status in _BUSY else Result.NO_ANSWER if status in _ABSENT else Result.REJECTED
        return Outcome(result, status, response.reason, call_id, elsewhere=status == 503)
    if event is not None and event.cause in (Cause.TRANSPORT, Cause.TIMEOUT):
        return Outcome(Result.UNREACHABLE, reason="nobody answers there", call_id=call_id, elsewhere=True)
    return Outcome(Result.REJECTED, reason=reason, call_id=call_id)
