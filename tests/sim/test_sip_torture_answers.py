"""The torture messages of RFC 4475 at a user agent: what it answers on the wire, and that nothing stays behind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire.torture_table import TABLE, Fate, Torture
from xconf.sip.flow import Flow
from xconf.sip.message import Response, parse
from xconf.sip.useragent import Ended, Invited, Transmit, UserAgent

UDP = Flow("udp", ("192.0.2.100", 5060), ("192.0.2.200", 5070))
NOTHING = {"transactions": 0, "dialogs": 0, "sessions": 0, "timers": 0}


def each(*fates: Fate) -> pytest.MarkDecorator:
    chosen = [case for case in TABLE if case.fate in fates]
    return pytest.mark.parametrize("case", chosen, ids=[f"{case.section}-{case.name}" for case in chosen])


def feed(ua: UserAgent, data: bytes) -> tuple[list[Response], list[object]]:
    """What it sends, and what it tells."""
    ua.receive(data, UDP, 0.0)
    effects = ua.drain()
    sent = [parse(effect.data) for effect in effects if isinstance(effect, Transmit)]
    responses = [message for message in sent if isinstance(message, Response)]
    assert len(responses) == len(sent)
    return responses, [effect for effect in effects if not isinstance(effect, Transmit)]


def let_time_pass(ua: UserAgent) -> None:
    while (due := ua.next_wake()) is not None:
        ua.wake(due)
        ua.drain()


@each(Fate.REFUSED, Fate.ANSWERED)
def test_the_answer(case: Torture) -> None:
    ua = UserAgent()
    responses, told = feed(ua, case.data)
    if not responses:
        assert b"via:" not in case.data.lower()  # nobody to answer
        return
    (response,) = responses
    assert response.status in case.answers
    assert not told
    assert b"via:" not in case.data.lower() or response.headers.values("Via")
    if response.status == 405:
        assert "INVITE" in response.headers.get_all("Allow")
    if response.status == 420:
        assert response.headers.get_all("Unsupported") == ["nothingSupportsThis", "nothingSupportsThisEither"]
    if response.status == 415:
        assert "application/sdp" in response.headers.get_all("Accept")
    assert ua.sizes() == NOTHING
    assert sum(count for name, count in ua.counters.items() if name.startswith("stateless_")) == 1


@each(Fate.REFUSED, Fate.ANSWERED)
def test_the_same_answer_again_for_a_retransmission(case: Torture) -> None:
    ua = UserAgent()
    first, _ = feed(ua, case.data)
    again, _ = feed(ua, case.data)
    assert [response.to_bytes() for response in first] == [response.to_bytes() for response in again]


@each(Fate.INVITED)
def test_a_call_that_is_handed_on(case: Torture) -> None:
    ua = UserAgent()
    responses, told = feed(ua, case.data)
    if case.name == "wsinv":  # its To has a tag: it belongs to a dialog, and there is none
        assert [response.status for response in responses] == [481]
        return
    assert [response.status for response in responses] == []
    (event,) = told
    assert isinstance(event, Invited)
    event.session.accept(b"v=0\r\n", 0.0)
    (effect,) = ua.drain()
    assert isinstance(effect, Transmit)
    response = parse(effect.data)
    assert isinstance(response, Response)
    assert (response.status, response.to.tag is not None) == (200, True)
    assert response.record_routes == event.request.record_routes
    ua.receive(case.data, UDP, 0.1)
    assert not ua.drain()  # absorbed
    let_time_pass(ua)  # no ACK comes: BYE, which nobody answers
    assert ua.sizes() == NOTHING


@each(Fate.DROPPED, Fate.TAKEN)
def test_a_response_to_nothing_is_dropped(case: Torture) -> None:
    ua = UserAgent()
    assert feed(ua, case.data) == ([], [])
    assert ua.counters["malformed"] + ua.counters["stray_response"] == 1


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TABLE), st.data())
def test_a_message_that_was_damaged_on_the_way_harms_nothing(case: Torture, data: st.DataObject) -> None:
    damaged = bytearray(case.data)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        end = min(len(damaged), at + data.draw(st.integers(0, 40)))
        damaged[at:end] = data.draw(
            st.binary(max_size=8) | st.sampled_from([b"\r\n", b"INVITE", b";", b'"', b"<", b"0"])
        )
        damaged = damaged or bytearray(b" ")
    ua = UserAgent()
    _, told = feed(ua, bytes(damaged))
    for event in told:
        if isinstance(event, Invited):
            event.session.accept(b"v=0\r\n", 0.0)
    ua.drain()
    let_time_pass(ua)
    assert ua.sizes() == NOTHING


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_at_all_harm_nothing(data: bytes) -> None:
    ua = UserAgent()
    feed(ua, data)
    assert not [event for event in ua.drain() if isinstance(event, Ended)]
    assert ua.sizes() == NOTHING


def test_a_malformed_via_below_the_first_does_not_keep_a_call_from_being_answered() -> None:
    data = next(case.data for case in TABLE if case.name == "longreq")
    upper, lower = data[: (second := data.lower().index(b"\r\nv", data.lower().index(b"\r\nv") + 3))], data[second:]
    _, told = feed(ua := UserAgent(), upper + lower.replace(b"SIP", b"SIP\x00", 1))
    assert [type(event) for event in told] == [Invited]
    assert ua.counters["malformed"] == 0
