"""Real telephones that are called into conferences, with all that may happen on the way; and codecs that change in a call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bed_audio import tone_level
from bed_crew import Phones
from bed_phones import wait_for
from bed_server import Server

QUIET = dict.fromkeys(("member_welcome", "member_join", "member_leave", "member_alone", "moh"), "")
ENDS = ("answered", "busy", "no-answer", "rejected", "unreachable", "not-confirmed", "cancelled", "refused")
CALLING = {"invite": {"allow": ["127.0.0.0/8"]}, "profiles": {"default": {**QUIET, "cng": {"enable": False}}}}


@pytest.fixture(scope="module")
def calling(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("calling"), CALLING)
    try:
        yield server
        server.stop()
    finally:
        server.kill()


@pytest.fixture
def crew(calling: Server, tmp_path: Path) -> Iterator[Phones]:
    """They hang up, and the server is looked at."""
    made = Phones(tmp_path)
    yield made
    made.stop()
    calling.wait_idle(15)
    calling.check_log()


def result(server: Server, conference: str, timeout: float = 10) -> dict[str, Any]:
    """What came of the latest invitation."""

    def over() -> dict[str, Any] | None:
        rows = [row for row in server.data("invite list") if row["conference"] == conference]
        return rows[-1] if rows and rows[-1]["state"] in ENDS else None

    return wait_for(over, timeout, "the invitation has a result")  # type: ignore[no-any-return]


def test_a_telephone_that_is_called_hears_and_is_heard(calling: Server, crew: Phones) -> None:
    ann, bob = crew.baresip("ann", tone=1013), crew.baresip("bob", tone=433)
    ann.dial(calling.uri("3090"))
    calling.ctl(f"invite 3090 {bob.uri} flags=+speaker")
    assert result(calling, "3090")["state"] == "answered"
    start = time.monotonic() + 1
    time.sleep(3.5)
    for phone in (ann, bob):
        phone.hangup()
        phone.stop()
    assert tone_level(ann.recording().during(start, start + 2), 433) == pytest.approx(-18, abs=1)
    assert tone_level(bob.recording().during(start, start + 2), 1013) == pytest.approx(-18, abs=1)


def test_a_redirection_is_followed(calling: Server, crew: Phones) -> None:
    bob = crew.baresip("bob", tone=433)
    away = crew.sipp("called-redirects", calling, bob.uri.removeprefix("sip:"))
    calling.ctl(f"invite 3091 sip:ann@{away.address}:5060 flags=+speaker")
    assert away.finish().status == 0
    assert result(calling, "3091")["state"] == "answered"
    (member,) = calling.wait_members("3091", 1)
    calling.ctl(f"3091 member {member['uuid']} kick")
    bob.wait_hungup()


def test_sound_from_before_the_answer_is_heard_where_that_is_wished(calling: Server, crew: Phones) -> None:
    ann = crew.baresip("ann")
    ann.dial(calling.uri("3092"))
    early = crew.sipp("called-early", calling, "-", frequency=700)
    began = time.monotonic()
    calling.ctl(f"invite 3092 sip:bob@{early.address}:5060 early=heard flags=+speaker")
    time.sleep(3.5)
    assert result(calling, "3092")["state"] == "answered"
    calling.ctl("3092 term")
    assert early.finish().status == 0
    ann.wait_hungup()
    ann.stop()
    assert tone_level(ann.recording().during(began + 1.5, began + 3), 700) > -22


def test_of_a_fork_the_one_that_answers_is_talked_to(calling: Server, crew: Phones) -> None:
    fork = crew.sipp("called-forks", calling, "-")
    calling.ctl(f"invite 3093 sip:bob@{fork.address}:5060 flags=+speaker")
    assert result(calling, "3093")["state"] == "answered"
    assert len(calling.wait_members("3093", 1)) == 1
    time.sleep(0.5)
    calling.ctl("3093 term")
    outcome = fork.finish()
    assert outcome.status == 0, outcome.explain()


def test_who_is_busy_is_told_as_such(calling: Server, crew: Phones) -> None:
    bob = crew.baresip("bob", answer="manual")
    calling.ctl(f"invite 3094 {bob.uri} timeout=20")
    bob.wait_event("CALL_INCOMING")
    bob.command("hangup")
    assert result(calling, "3094")["state"] in ("busy", "rejected")


def test_a_codec_that_changes_in_a_call(calling: Server, crew: Phones) -> None:
    run = crew.sipp("codec-change", calling, "3095", duration=2)
    (member,) = calling.wait_members("3095", 1)
    assert member["codec"] == "PCMU/8000"
    wait_for(lambda: [m["codec"] for m in calling.members("3095")] == ["PCMA/8000"], 5, "the codec has changed")
    outcome = run.finish()
    assert outcome.status == 0, outcome.explain()


def test_an_offer_that_crosses_ours_is_put_off_and_the_call_goes_on(calling: Server, crew: Phones) -> None:
    bob = crew.sipp("called-glare", calling, "-")
    calling.ctl(f"invite 3096 sip:bob@{bob.address}:5060 flags=+speaker")
    assert result(calling, "3096")["state"] == "answered"
    calling.ctl("3096 term")
    outcome = bob.finish()
    assert outcome.status == 0, outcome.explain()


def test_a_telephone_that_is_transferred_calls_the_other_one_and_leaves(calling: Server, crew: Phones) -> None:
    ann, bob = crew.baresip("ann", tone=1013), crew.baresip("bob", tone=433)
    ann.dial(calling.uri("3097"))
    bob.dial(calling.uri("3098"))
    (member,) = calling.wait_members("3097", 1)
    calling.ctl(f"3097 member {member['uuid']} transfer {calling.uri('3098')}")
    calling.wait_members("3098", 2)
    calling.wait_members("3097", 0)
