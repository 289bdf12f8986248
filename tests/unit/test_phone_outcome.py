"""How calls end, in the words that a person gets."""

from __future__ import annotations

from typing import cast

import pytest

from xconf.phone.outcome import Outcome, of
from xconf.sip.events import Cause, Ended
from xconf.sip.message import Request, Response
from xconf.sip.session import Session

NO_SESSION = cast("Session", None)


def ended(cause: Cause, by: str = "remote", *, answered: bool = False, response: Response | None = None) -> Outcome:
    return of(Ended(NO_SESSION, cause, by, response), answered=answered)


def bye(reason: str) -> Outcome:
    request = Request("BYE", "sip:a@b", [("Reason", reason)])
    return of(Ended(NO_SESSION, Cause.BYE, "remote", request=request), answered=True)


def test_hanging_up_is_the_normal_end() -> None:
    assert ended(Cause.LOCAL, "local", answered=True) == Outcome(True, "hung up")
    assert ended(Cause.BYE, answered=True) == Outcome(True, "the other side hung up")


def test_what_the_other_side_says_for_a_reason_is_told() -> None:
    assert bye('SIP;cause=200;text="kicked"').text == "the other side hung up: kicked"
    assert bye("SIP;cause=200").text == "the other side hung up"
    assert bye('SIP;text="never closed').text == "the other side hung up"


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause not in (Cause.BYE, Cause.LOCAL)])
def test_every_other_end_is_a_failure_with_something_to_do(cause: Cause) -> None:
    for answered in (False, True):
        outcome = ended(cause, answered=answered)
        assert not outcome.normal and outcome.text and outcome.remedy


@pytest.mark.parametrize(
    ("status", "remedy"), [(401, "--user"), (404, "dial plan"), (486, "busy"), (488, "--codec"), (599, "--verbose")]
)
def test_a_refusal_is_named_with_a_remedy(status: int, remedy: str) -> None:
    outcome = ended(Cause.REJECTED, response=Response(status))
    assert str(status) in outcome.text and remedy in outcome.remedy and not outcome.normal


def test_a_redirection_is_named_and_not_followed() -> None:
    moved = Response(302, headers=[("Contact", "<sip:3001@127.0.0.9>;q=0.5")])
    assert ended(Cause.REJECTED, response=moved).remedy == "call sip:3001@127.0.0.9 instead"
    for useless in ([], [("Contact", "*")], [("Contact", "<<<")]):
        outcome = ended(Cause.REJECTED, response=Response(302, headers=useless))
        assert "302" in outcome.text and outcome.remedy


def test_who_gave_up_before_the_answer() -> None:
    assert ended(Cause.CANCELLED, "local").text == "cancelled before the call was answered"
    assert ended(Cause.CANCELLED).text == "the caller gave up before the call was answered"
