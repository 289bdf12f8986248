"""SIP call flows by SIPp against the running server, and that every way to end a call leaves nothing behind."""

from __future__ import annotations

import inspect
import os
import time
from collections.abc import Callable, Iterator

import pytest
from bed_audio import tone_level
from bed_crew import Phones
from bed_phones import wait_for
from bed_server import Server
from bed_sipp import SippRun
from bed_stage import Stage

SHORT_FLOWS = {
    "call": "3030",
    "call-silent": "3030",
    "hold": "3031",
    "update": "3032",
    "late-offer": "3033",
    "require-100rel": "3034",
    "session-timer": "3035",
    "session-timer-short": "3035",
    "require-unknown": "3036",
    "no-codec": "3036",
    "body-unknown": "3036",
    "no-such-number": "999",
    "options": "3036",
    "options-in-call": "3037",
    "bye-unknown": "3036",
    "info-unknown": "3037",
    "info-relay": "3038",
    "info-dtmf": "3038",
    "digits-4733": "3038",
    "cancel-late": "3039",
    "cancel-before-prack": "3039",
}


@pytest.mark.parametrize("scenario", SHORT_FLOWS)
def test_flow(server: Server, phones: Phones, scenario: str) -> None:
    if scenario == "digits-4733" and os.geteuid():
        pytest.skip("SIPp sends captures through a raw socket, which only root may open")
    phones.flow(scenario, server, SHORT_FLOWS[scenario], timeout=20)


@pytest.mark.parametrize("scenario", ["call", "hold", "late-offer", "session-timer", "options"])
def test_flow_over_tcp(server: Server, phones: Phones, scenario: str) -> None:
    phones.flow(scenario, server, SHORT_FLOWS[scenario], timeout=20, transport="t1")


def test_three_wrong_pins_end_the_call(server: Server, phones: Phones) -> None:
    phones.flow("wrong-pins", server, "5030", timeout=50)


def test_cancel_at_any_time(server: Server, phones: Phones) -> None:
    """Forty calls, each cancelled when its answer is under way, and forty while the server waits for PRACK."""
    runs = [phones.sipp(name, server, "3040", calls=40, rate=20) for name in ("cancel-late", "cancel-before-prack")]
    for run in runs:
        outcome = run.finish()
        assert (outcome.status, outcome.successful) == (0, 40), outcome.explain()


def test_200_calls_of_20_s(server: Server, phones: Phones) -> None:
    """20 calls a second, a tenth of them speakers, all sending: none failed."""
    options = {"duration": 20, "trace": False, "timeout": 90}
    speakers = phones.sipp("call", server, "3042", calls=20, rate=2, **options)
    listeners = phones.sipp("call", server, "4042", calls=180, rate=18, **options)
    server.wait_members("3042", 200, 25)
    for run, calls in ((speakers, 20), (listeners, 180)):
        outcome = run.finish()
        assert (outcome.status, outcome.successful, outcome.failed) == (0, calls, 0), outcome.explain()


def test_kick_and_term_end_calls(server: Server, phones: Phones) -> None:
    kicked = phones.sipp("server-ends", server, "3044")
    (member,) = server.wait_members("3044", 1)
    server.ctl(f"3044 member {member['uuid']} kick")
    outcome = kicked.finish()
    assert outcome.status == 0, outcome.explain()
    ended = phones.sipp("server-ends", server, "3045", calls=5, rate=50)
    server.wait_members("3045", 5)
    server.ctl("3045 term")
    outcome = ended.finish()
    assert (outcome.status, outcome.successful) == (0, 5), outcome.explain()


def test_a_stopping_server_says_bye_to_all(make_server: Callable[..., Server], phones: Phones) -> None:
    server = make_server()
    runs: list[SippRun] = [phones.sipp("server-ends", server, "3046", calls=20, rate=50)]
    phone = phones.baresip("standing", tone=700)
    phone.dial(server.uri("3046"))
    server.wait_members("3046", 21)
    assert server.stop() < 5
    phone.wait_hungup(2)
    for run in runs:
        outcome = run.finish()
        assert (outcome.status, outcome.successful) == (0, 20), outcome.explain()


STRANGERS = {"sip": {"allow": ["127.0.0.9/32"], "users": {"linphone": "s3cret", "alice": "s3cret"}}}


def test_a_caller_who_is_not_allowed_needs_a_password(make_server: Callable[..., Server], phones: Phones) -> None:
    """linphone answers the challenge; with the right password it is let in, with another it is not."""
    server = make_server(STRANGERS)
    knows = phones.linphone("knows", password="s3cret")
    knows.dial(server.uri("3047"))
    server.wait_members("3047", 1)
    guesses = phones.linphone("guesses", password="guessed")
    guesses.say(f"call {server.uri('3047')}")
    guesses.wait_output("error")
    assert len(server.members("3047")) == 1
    assert "s3cret" not in server.log()
    knows.hangup()
    server.wait_idle()
    server.stop()


def test_a_phone_that_knows_md5_alone_is_let_in_where_it_alone_is_offered(
    make_server: Callable[..., Server], phones: Phones
) -> None:
    """baresip 1.0 gives up on a challenge that also offers SHA-256."""
    server = make_server({"sip": {**STRANGERS["sip"], "digest": ["MD5"]}})
    phone = phones.baresip("alice", account=";auth_user=alice;auth_pass=s3cret", tone=700)
    phone.dial(server.uri("3047"))
    server.wait_members("3047", 1)


def test_hold_silences_and_resume_brings_back(server: Server, phones: Phones) -> None:
    """baresip's own hold button: who is on hold is neither sent to nor heard, and comes back."""
    ann, bob = phones.baresip("ann", tone=1013), phones.baresip("bob", tone=433)
    ann.dial(server.uri("3048"))
    bob.dial(server.uri("3048"))
    time.sleep(5)
    ann.hold()
    held = time.monotonic()
    time.sleep(3)
    ann.resume()
    resumed = time.monotonic()
    time.sleep(3)
    for phone in (ann, bob):
        phone.hangup()
        phone.stop()
    heard = bob.recording()
    assert tone_level(heard.during(held - 1, held), 1013) == pytest.approx(-18, abs=1)
    assert tone_level(heard.during(held + 2, held + 2.9), 1013) < -50
    assert tone_level(heard.during(resumed + 1.5, resumed + 2.9), 1013) == pytest.approx(-18, abs=1)


def lost_ack(server: Server, phones: Phones) -> None:
    phones.flow("lost-ack", server, "3001", timeout=60)


def session_timer_expires(server: Server, phones: Phones) -> None:
    phones.flow("session-timer-expires", server, "3002", timeout=110)


def killed_phone(server: Server, phones: Phones) -> float:
    phone = phones.baresip("killed", tone=700)
    phone.dial(server.uri("3003"))
    server.wait_members("3003", 1)
    time.sleep(1)
    phone.kill()
    killed = time.monotonic()
    wait_for(lambda: not server.members("3003"), 60, "the killed phone is gone from the conference")
    return time.monotonic() - killed


SLOW_PARTS = {"lost ACK": lost_ack, "session timer": session_timer_expires, "killed phone": killed_phone}


@pytest.fixture(scope="module")
def slow_ends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Calls whose end takes long to come, on a server of their own, while the other tests of this file run."""
    server = Server(tmp_path_factory.mktemp("slow"), {"rtp": {"media_timeout": 10}})
    try:
        with Stage(server, tmp_path_factory.mktemp("slow-phones"), SLOW_PARTS) as stage:
            yield stage
        server.stop()
    finally:
        server.kill()


@pytest.fixture(scope="module", autouse=True)
def slow_ends_begin_early(request: pytest.FixtureRequest) -> None:
    """When tests that judge them will be run."""
    tests = [item.function for item in request.session.items if isinstance(item, pytest.Function)]
    if any("slow_ends" in inspect.signature(test).parameters for test in tests):
        request.getfixturevalue("slow_ends")


def test_a_killed_phone_is_noticed_by_its_silence(slow_ends: Stage) -> None:
    """No BYE, no packets any more: after the media timeout (10 s here) it is asked, and has 32 s to answer."""
    assert 8 < slow_ends.played("killed phone") < 52


def test_a_call_whose_ack_is_lost_ends(slow_ends: Stage) -> None:
    slow_ends.played("lost ACK")


def test_a_session_that_is_not_refreshed_ends(slow_ends: Stage) -> None:
    slow_ends.played("session timer")
