"""How calls end. Whatever it was, `Office.close` finds that each ended once, and that nothing is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from calls_world import SERVER, SIP, Office, Phone

from xconf.conference.conference import Conference
from xconf.conference.member import Member
from xconf.media.engine import Engine
from xconf.media.leg import Leg
from xconf.media.rows import OutOfRows
from xconf.sip.events import Answered, Transmit
from xconf.sip.flow import Flow
from xconf.sip.message import parse
from xconf.sip.session import Session
from xconf.sip.settings import Settings
from xconf.sip.useragent import UserAgent


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


def reason(phone: Phone) -> str | None:
    """Why the server hung up."""
    assert phone.ending is not None and phone.ending.request is not None
    return phone.ending.request.headers.get("Reason")


def lose(office: Office, start: bytes) -> None:
    office.reactor.lose = lambda data, port: data.startswith(start)


def lose_nothing(office: Office) -> None:
    office.reactor.lose = lambda data, port: False


# The phone ends it


def test_a_phone_hangs_up(office: Office) -> None:
    ann, bob = office.phones_in(2)
    ann.hang_up()
    office.run(0.1)
    assert len(office.calls) == 1
    assert office.did("3000 show members").count("Ann <1001>") == 1
    assert office.logged(f"[{ann.up.call_id}] ended: bye by remote")
    assert bob.is_up


@pytest.mark.parametrize("after", [0.0, 0.011, 0.021, 0.031])
def test_a_phone_cancels_at_any_moment(office: Office, after: float) -> None:
    phone = office.phone()
    phone.dial()
    office.reactor.run(after)
    phone.hang_up()
    office.run(1)
    assert phone.up.ended
    assert len(office.calls) == 0


def test_a_cancel_of_no_call_is_481(office: Office) -> None:
    invite = office.invite_by_hand()
    invite.method = "CANCEL"
    invite.headers.set("CSeq", "1 CANCEL")
    assert office.answers_to(invite) == [481]


def test_the_ack_never_comes(office: Office) -> None:
    phone = office.phone()
    lose(office, b"ACK")
    phone.dial()
    office.sleep(31, 0.5)
    assert len(office.calls) == 1
    assert len(office.conferences.get("3000").members) == 0  # type: ignore[union-attr]
    office.sleep(2, 0.5)
    assert len(office.calls) == 0
    assert len(office.sent("BYE")) == 1
    assert office.logged(f"[{phone.up.call_id}] ended: no_ack by local")
    lose_nothing(office)


def test_the_ack_comes_at_the_third_try(office: Office) -> None:
    phone = office.phone()
    lose(office, b"ACK")
    phone.dial()
    office.sleep(2, 0.5)
    lose_nothing(office)
    office.sleep(5, 0.5)
    assert phone.is_up
    assert len(office.conferences.get("3000").members) == 1  # type: ignore[union-attr]


# The phone is gone


def test_a_silent_phone_is_asked_and_stays(office: Office) -> None:
    office.phone().call()
    office.sleep(200)
    asked = office.sent("OPTIONS")
    assert 2 <= len(asked) <= 4  # about once a minute
    assert len(office.calls) == 1


def test_a_phone_that_speaks_is_not_asked(office: Office) -> None:
    phone = office.phone().call()
    for _ in range(15):
        phone.tone = 500.0
        office.run(0.1)
        phone.tone = None
        office.sleep(10)
    assert not office.sent("OPTIONS")


def test_who_only_listens_or_is_on_hold_is_asked_and_stays(office: Office) -> None:
    listener, held = office.phone("127.0.0.2"), office.phone("127.0.0.3").call()
    listener.call("4000", listener.sdp("recvonly"))
    held.change(held.sdp("inactive"))
    office.sleep(150)
    assert len(office.sent("OPTIONS")) >= 4
    assert len(office.calls) == 2


def test_a_phone_that_lost_its_power_is_hung_up(office: Office) -> None:
    ann, bob = office.phones_in(2)
    bob.vanish()
    office.sleep(60)
    assert len(office.calls) == 2
    office.sleep(45)
    assert len(office.calls) == 1
    assert ann.is_up
    assert office.logged(f"[{bob.up.call_id}] ended: timeout by local")


def test_a_phone_that_forgot_the_call_is_not_kept(office: Office) -> None:
    phone = office.phone().call()
    phone.sip.user_agent._dialogs.clear()
    office.sleep(70)
    assert office.logged(f"[{phone.up.call_id}] ended: timeout by remote")
    assert len(office.calls) == 0


def test_nobody_is_asked_where_that_is_switched_off() -> None:
    office = Office(media_timeout=0)
    office.phone().call()
    office.sleep(200)
    assert not office.sent("OPTIONS")
    office.close()


def test_a_session_that_is_not_refreshed_ends() -> None:
    office = Office(media_timeout=0, settings=Settings(session_expires=90))
    phone = office.phone(settings=Settings(session_expires=90)).call()
    office.sleep(300)
    assert len(office.calls) == 1
    phone.vanish()
    office.sleep(130)
    assert len(office.calls) == 0
    assert office.logged(f"[{phone.up.call_id}] ended: ")
    office.close()


def test_a_connection_that_is_gone_ends_its_call_when_it_is_needed(office: Office) -> None:
    """A phone on TCP, by a user agent of its own; the connection is ours to break."""
    ua, theirs = UserAgent(), Flow("tcp", ("127.0.0.2", 40000), (SERVER, SIP), 1)
    ours = Flow("tcp", (SERVER, SIP), ("127.0.0.2", 40000), 1)
    office.sip.connections.send = lambda flow, data, reconnect: ua.receive(data, theirs, office.now)  # type: ignore[method-assign]
    session = ua.invite("sip:3000@127.0.0.1", sdp=office.phone().sdp(), from_="sip:1@a", flow=theirs, now=office.now)
    up = False
    for _ in range(5):
        for effect in ua.drain():
            up |= isinstance(effect, Answered)
            if isinstance(effect, Transmit):
                office.sip.received(parse(effect.data), ours)
    assert up and session.up and len(office.conferences.get("3000").members) == 1  # type: ignore[union-attr]
    office.sip.connections.send = lambda flow, data, reconnect: office.sip.flow_failed(flow)  # type: ignore[method-assign]
    office.sip.flow_failed(ours)
    assert len(office.calls) == 1
    office.sleep(70)
    assert office.logged("ended: transport by local")


# We end it


def test_a_member_is_kicked_and_told_why(office: Office) -> None:
    ann, bob = office.phones_in(2, "8000")
    member = next(iter(office.conferences.get("8000").members))  # type: ignore[union-attr]
    office.did(f"8000 member {member} kick")
    office.run(0.2)
    assert ann.is_up and ann.packets  # hears why
    office.run(1)
    assert reason(ann) == 'SIP;cause=200;text="kicked"'
    assert office.logged(f"[{ann.up.call_id}] ended: kicked")
    assert bob.is_up


def test_a_key_ends_it(office: Office) -> None:
    phone = office.phone().call()
    phone.press("#")
    office.run(0.2)
    assert reason(phone) == 'SIP;cause=200;text="left by keypad"'


def test_a_conference_is_ended(office: Office) -> None:
    phones = office.phones_in(5)
    office.did("3000 term")
    office.run(0.5)
    assert {reason(phone) for phone in phones} == {'SIP;cause=200;text="conference ended"'}


def test_the_phone_hangs_up_while_it_hears_why_we_do(office: Office) -> None:
    ann, _ = office.phones_in(2, "8000")
    office.did(f"8000 member {next(iter(office.conferences.get('8000').members))} kick")  # type: ignore[union-attr]
    office.run(0.2)
    ann.hang_up()
    office.run(1)
    assert not office.sent("BYE")
    assert office.logged(f"[{ann.up.call_id}] ended: bye by remote")


def test_both_hang_up_at_once(office: Office) -> None:
    phone = office.phone().call()
    office.did("3000 term")
    phone.hang_up()
    office.run(0.5)
    assert phone.up.ended and len(office.calls) == 0


def test_the_server_stops(office: Office) -> None:
    phones = office.phones_in(100)
    legs = [call.leg for call in office.calls._calls.values()]
    stopped: list[None] = []
    office.calls.shutdown().addCallback(stopped.append)
    assert len(office.calls) == 90  # some in a turn: the others' sound goes on meanwhile
    office.reactor.advance(0)
    assert stopped and len(office.calls) == 0 and all(leg.closed for leg in legs)  # the ports are closed next
    office.run(0.1)
    assert {reason(phone) for phone in phones} == {'SIP;cause=200;text="server stopped"'}


def test_a_stop_that_would_take_too_long_is_cut_short(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    phones = office.phones_in(30)
    with monkeypatch.context() as patch:
        patch.setattr("xconf.calls.leaving.HANG_UP_WITHIN", 0.0)
        stopped = office.calls.shutdown()
    assert stopped.called and office.logged("no time to hang up 20 calls")
    office.run(0.1)
    assert sum(phone.up.ended for phone in phones) == 10


def stop_signalling(office: Office, seconds: float) -> bool:
    """Whether it has stopped within that time. It goes on afterwards, for what the test finds at its end."""
    stopped: list[None] = []
    office.sip.stopService().addCallback(stopped.append)
    office.reactor.run(seconds)
    office.sip.startService()
    office.sip.pump()
    return bool(stopped)


def test_the_server_stops_before_an_ack_has_come(office: Office) -> None:
    phone = office.phone()
    phone.dial()
    office.reactor.run(0.025)  # our 200 is on its way
    office.calls.shutdown()
    assert stop_signalling(office, 0.1)
    assert phone.up.ended and reason(phone) == 'SIP;cause=200;text="server stopped"'


def test_the_server_does_not_wait_for_phones_that_are_gone(office: Office) -> None:
    for phone in office.phones_in(3):
        phone.vanish()
    office.reactor.run(2)
    office.calls.shutdown()
    assert stop_signalling(office, 1.1)


# Between our 200 and the ACK


@pytest.mark.parametrize("number", ["3000", "7000"])
def test_a_conference_that_ends_before_the_ack_is_begun_anew(office: Office, number: str) -> None:
    phone = office.phone()
    lose(office, b"ACK")
    phone.dial(number)
    office.run(0.2)
    first = office.conferences.get(number)
    office.did(f"{number} term")
    lose_nothing(office)
    office.sleep(3, 0.5)
    second = office.conferences.get(number)
    assert phone.is_up and second is not None and second is not first
    assert len(second.members) == 1
    phone.tone = 500.0
    other = office.phone("127.0.0.9").call(number)
    office.run(1)
    assert other.hears(500.0)


def test_a_profile_that_is_gone_before_the_ack_ends_the_call(office: Office) -> None:
    phone = office.phone()
    lose(office, b"ACK")
    phone.dial()
    office.run(0.2)
    office.did("3000 term")
    profiles = office.conferences._profiles
    office.conferences.reload({}, {})
    lose_nothing(office)
    office.sleep(3, 0.5)
    office.conferences.reload(profiles, {})
    assert reason(phone) == "SIP;cause=200;text=\"no profile 'default'\""


# Faults of ours end one call and touch no other

BREAK: dict[str, tuple[type, str]] = {
    "leg": (Engine, "create_leg"),
    "media": (Leg, "set_media"),
    "join": (Conference, "join"),
    "member": (Member, "start"),
    "entering": (Member, "enter"),
}


def broken(*arguments: Any, **more: Any) -> Any:
    raise RuntimeError("broken")


def full(*arguments: Any, **more: Any) -> Any:
    raise OutOfRows("no more than 1 speakers")


@pytest.mark.parametrize("place", BREAK)
def test_a_fault_while_a_call_is_set_up(office: Office, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = office.phone("127.0.0.2").call()
    bob = office.phone("127.0.0.3")
    with monkeypatch.context() as patch:
        patch.setattr(*BREAK[place], broken)
        bob.dial()
        office.run(0.5)
    assert bob.up.ended and ann.is_up
    refused = bob.refusal
    assert (refused is not None and refused.status == 500) is (place in ("leg", "media"))
    assert office.faults == ["a fault in a call; it is ended"]
    assert office.logged(f"[{bob.up.call_id}] a fault in a call; it is ended")
    office.faults.clear()
    bob.call()


@pytest.mark.parametrize("place", ["leg", "entering"])
def test_no_room_while_a_call_is_set_up(office: Office, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = office.phone()
    with monkeypatch.context() as patch:
        patch.setattr(*BREAK[place], full)
        phone.dial()
        office.run(0.5)
    if place == "leg":
        assert phone.refusal is not None and phone.refusal.status == 503
    else:
        assert phone.ending is not None and phone.ending.cause.value == "bye"
    assert office.faults == []


def test_a_fault_at_the_end_frees_the_call_all_the_same(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = office.phones_in(2)
    with monkeypatch.context() as patch:
        patch.setattr(Member, "stop_playback", broken)
        ann.hang_up()
        office.run(0.2)
    assert len(office.calls) == 1 and office.engine.sizes()["legs"] == 1
    assert office.faults == ["a fault in a call; it is ended"]
    office.faults.clear()
    assert bob.is_up
    office.did("3000 term")


def test_a_fault_in_one_call_does_not_keep_the_others_from_being_hung_up(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob, cem = office.phones_in(3)
    hangup = Session.hangup

    def one_breaks(session: Session, now: float, headers: Any = ()) -> None:
        if session.call_id == bob.up.call_id:
            raise RuntimeError("broken")
        hangup(session, now, headers)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "hangup", one_breaks)
        office.calls.shutdown()
    office.run(0.2)
    assert ann.up.ended and cem.up.ended and len(office.calls) == 0
    assert office.faults == ["a fault in a call; it is ended"]
    office.faults.clear()


def test_a_fault_in_asking_one_phone_does_not_keep_others_from_being_asked(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann, bob = office.phones_in(2)
    options = Session.options

    def one_breaks(session: Session, now: float) -> None:
        if session.call_id == ann.up.call_id:
            raise RuntimeError("broken")
        options(session, now)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "options", one_breaks)
        office.sleep(150)
    assert len(office.sent("OPTIONS")) == 2
    assert bob.is_up
    assert office.faults == ["a fault in a call; it is ended"]
    office.faults.clear()
