"""What phones do with a call that is up: hold, other codecs, other addresses, keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from calls_world import Office, Phone

from xconf.conference import events
from xconf.sip.sdp import SessionDescription

Hold = Callable[[Phone], bytes]
HOLDS: dict[str, tuple[Hold, str]] = {
    "sendonly": (lambda phone: phone.sdp("sendonly"), "recvonly"),
    "inactive": (lambda phone: phone.sdp("inactive"), "inactive"),
    "recvonly": (lambda phone: phone.sdp("recvonly"), "sendonly"),
    "0.0.0.0": (lambda phone: phone.sdp(address="0.0.0.0"), "recvonly"),
    "0.0.0.0, inactive": (lambda phone: phone.sdp("inactive", address="0.0.0.0"), "inactive"),
}


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


@pytest.fixture
def pair(office: Office) -> tuple[Phone, Phone]:
    """Ann says 500 Hz, Bob 900."""
    ann, bob = office.phones_in(2)
    ann.tone, bob.tone = 500.0, 900.0
    office.run(0.5)
    return ann, bob


def heard(office: Office, *phones: Phone) -> list[list[float]]:
    """Which of the tones each phone hears from now on."""
    office.run(0.3)
    for phone in phones:
        phone.forget()
    office.run(0.7)
    return [[tone for tone in (500.0, 900.0) if phone.hears(tone)] for phone in phones]


# Hold


@pytest.mark.parametrize("update", [False, True], ids=["re-INVITE", "UPDATE"])
@pytest.mark.parametrize("form", HOLDS)
def test_hold_and_resume(office: Office, pair: tuple[Phone, Phone], form: str, update: bool) -> None:
    ann, bob = pair
    hold, answered = HOLDS[form]
    assert heard(office, ann, bob) == [[900.0], [500.0]]
    for _ in range(2):  # phones tell it again
        assert ann.change(hold(ann), update=update) == 200
        assert ann.direction == answered
        # Ann's music on hold is not for the conference.
        assert heard(office, ann, bob) == [[900.0] if form == "recvonly" else [], []]
        assert bool(ann.packets) is (form == "recvonly")
    assert ann.change(ann.sdp(), update=update) == 200
    assert ann.direction == "sendrecv"
    assert heard(office, ann, bob) == [[900.0], [500.0]]


@pytest.mark.parametrize("form", HOLDS)
def test_hold_does_not_lose_the_address_of_a_phone_behind_a_translator(office: Office, form: str) -> None:
    ann, bob = office.phone("127.0.0.2", says="10.1.2.3").call(), office.phone("127.0.0.3").call()
    ann.tone, bob.tone = 500.0, 900.0
    office.run(0.5)
    latched = office.engine.counters["latched"]
    ann.tone = None
    for _ in range(2):
        ann.change(HOLDS[form][0](ann))
        office.run(0.5)
    ann.change(ann.sdp())
    assert heard(office, ann) == [[900.0]]  # before it sends anything
    assert office.engine.counters["latched"] == latched


def test_a_phone_that_calls_to_send_only_is_a_speaker_also_after_a_refresh(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call(sdp=ann.sdp("sendonly"))
    bob.call()
    ann.tone, bob.tone = 500.0, 900.0
    assert heard(office, ann, bob) == [[], [500.0]]
    ann.change(ann.sdp("sendonly"))
    assert heard(office, ann, bob) == [[], [500.0]]
    ann.change(ann.sdp("inactive"))
    assert heard(office, bob) == [[]]
    ann.change(ann.sdp("sendonly"))
    assert heard(office, bob) == [[500.0]]


def test_a_phone_that_calls_to_receive_only_hears_and_need_not_send(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call("4000", ann.sdp("recvonly"))
    bob.call()
    bob.tone = 900.0
    assert ann.direction == "sendonly"
    assert heard(office, ann) == [[900.0]]


def test_a_call_that_begins_on_hold_is_resumed(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3").call()
    ann.call(sdp=ann.sdp(address="0.0.0.0"))
    ann.tone, bob.tone = 500.0, 900.0
    assert heard(office, ann, bob) == [[], []]
    ann.change(ann.sdp())
    assert heard(office, ann, bob) == [[900.0], [500.0]]


# Refreshes and other changes


def test_a_refresh_does_not_interrupt_who_speaks(office: Office, pair: tuple[Phone, Phone]) -> None:
    ann, bob = pair
    office.run(1)
    bob.forget()
    for _ in range(5):
        ann.version = 1
        ann.change(ann.sdp())
        office.run(0.1)
    silent = [packet for packet in bob.packets if set(packet[12:]) <= {0xFF, 0x7F}]
    assert len(bob.packets) >= 50 and not silent
    assert len({SessionDescription.parse(m.body).origin.version for m in office.sent("SIP/2.0 200") if m.body}) == 2


def test_another_codec(office: Office, pair: tuple[Phone, Phone]) -> None:
    ann, bob = pair
    version = ann.description.origin.version if ann.description else 0
    assert ann.change(ann.sdp(formats="8 101")) == 200
    assert ann.description is not None
    assert ann.description.media[0].formats == ["8", "101"]
    assert ann.description.origin.version == version + 1
    ann.tone = None
    ann.forget()
    office.run(0.5)
    assert {packet[1] & 0x7F for packet in ann.packets} == {8}


def test_another_port(office: Office, pair: tuple[Phone, Phone]) -> None:
    ann, bob = pair
    other = office.phone("127.0.0.9")
    ann.tone = None
    assert ann.change(ann.sdp(address="127.0.0.2", port=ann.port)) == 200
    assert ann.change(ann.sdp(address="8.8.8.8", port=other.port)) == 200  # as if it had moved there
    assert office.logged(f"phone at 8.8.8.8:{other.port}\n")
    assert heard(office, ann) == [[]]
    assert ann.change(ann.sdp()) == 200
    assert heard(office, ann) == [[900.0]]


@pytest.mark.parametrize(
    ("status", "sdp"),
    [
        (488, "v=0\r\no=- 7 9 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 9 RTP/AVP 18\r\n"),
        (488, "v=0\r\no=- 7 9 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n"),
        (400, "v=0\r\no=broken\r\n"),
    ],
)
@pytest.mark.parametrize("update", [False, True], ids=["re-INVITE", "UPDATE"])
def test_a_change_that_fails_leaves_all_as_it_was(
    office: Office, pair: tuple[Phone, Phone], status: int, sdp: str, update: bool
) -> None:
    ann, bob = pair
    assert ann.change(sdp.encode(), update=update) == status
    assert heard(office, ann, bob) == [[900.0], [500.0]]
    assert ann.change(ann.sdp(), update=update) == 200
    assert heard(office, ann, bob) == [[900.0], [500.0]]


def test_our_offer_in_a_session_keeps_payload_types_and_refused_media(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3").call()
    maps = "a=rtpmap:101 speex/8000\r\na=rtpmap:97 telephone-event/8000\r\na=rtpmap:98 L16/8000\r\n"
    video = "m=video 5000 RTP/AVP 99\r\na=rtpmap:99 H264/90000\r\n"
    first = ann.sdp(formats="0 98 101 97", maps=maps, more=video)
    ann.call(sdp=first)
    assert ann.description is not None
    before = ann.description
    offer = SessionDescription.parse(
        ann.ask_for_offer(ann.sdp(formats="98 97", maps=maps, more=video.replace("5000", "0")))
    )
    assert [(media.kind, bool(media.port)) for media in offer.media] == [("audio", True), ("video", False)]
    numbers = {str(rtpmap): number for number, rtpmap in offer.media[0].rtpmap.items()}
    assert numbers | {"PCMU/8000": 0, "PCMA/8000": 8, "L16/8000": 98, "telephone-event/8000": 97} == numbers
    assert (offer.origin.session_id, offer.origin.version) == (before.origin.session_id, before.origin.version + 1)
    bob.tone = 900.0
    office.run(0.3)
    ann.forget()
    office.run(0.3)
    assert {(packet[1] & 0x7F, len(packet)) for packet in ann.packets} == {(98, 12 + 320)}
    again = SessionDescription.parse(
        ann.ask_for_offer(ann.sdp(formats="0 97", maps=maps, more=video.replace("5000", "0")))
    )
    assert again.origin.version == offer.origin.version  # it says the same
    ann.press("5", payload_type=97)
    office.run(0.1)
    assert pressed(office) == ["5"]


@pytest.mark.parametrize("answer", [None, b"nonsense", b"v=0\r\no=- 1 1 IN IP4 1.1.1.1\r\ns=-\r\nt=0 0\r\n"])
def test_our_offer_that_is_not_answered_leaves_all_as_it_was(
    office: Office, pair: tuple[Phone, Phone], answer: bytes | None
) -> None:
    ann, bob = pair
    ann.ask_for_offer(answer)
    assert heard(office, ann, bob) == [[900.0], [500.0]]
    assert ann.change(ann.sdp("sendonly")) == 200
    assert ann.change(ann.sdp()) == 200
    assert heard(office, ann, bob) == [[900.0], [500.0]]


def test_an_update_without_a_description_changes_nothing(office: Office, pair: tuple[Phone, Phone]) -> None:
    ann, bob = pair
    assert ann.ask(ann.request("UPDATE")) == [200]
    assert heard(office, ann, bob) == [[900.0], [500.0]]


def test_a_phone_that_moves_to_another_network_is_sent_to_where_it_is_now(office: Office) -> None:
    """It names the same private address there; only its signalling tells that it has moved."""
    ann, bob = office.phone("127.0.0.2", says="10.1.2.3").call(), office.phone("127.0.0.3").call()
    ann.tone, bob.tone = 500.0, 900.0
    assert heard(office, ann, bob) == [[900.0], [500.0]]
    ann.move("127.0.0.8")
    assert ann.change(ann.sdp(port=ann.first_port)) == 200
    assert heard(office, ann, bob) == [[900.0], [500.0]]


# Keys


def pressed(office: Office) -> list[str]:
    return [event.digit for event in office.events if isinstance(event, events.DigitPressed)]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/dtmf-relay", b"Signal=5\r\nDuration=160\r\n"),
        ("application/dtmf-relay", b"Signal= 5\nDuration= 160\n"),
        ("application/dtmf", b"5"),
        ("Application/DTMF;charset=utf-8", b"5\r\n"),
    ],
)
def test_a_key_by_info(office: Office, kind: str, body: bytes) -> None:
    phone = office.phone().call()
    phone.info(body, kind)
    office.run(0.1)
    assert pressed(office) == ["5"]
    phone.info(b"no key", kind)
    office.run(0.1)
    assert pressed(office) == ["5"]


def test_keys_by_telephone_event_count_once_each(office: Office) -> None:
    phone = office.phone().call()
    for digit in "5512":
        phone.press(digit)
        office.run(0.1)
    assert pressed(office) == list("5512")


def test_keys_that_are_told_both_ways_count_once(office: Office) -> None:
    phone = office.phone().call()
    for digit in "1251":
        phone.press(digit)
        office.run(0.04)
    for digit in "1251":  # by a slower way
        phone.info(f"Signal={digit}\r\nDuration=100\r\n".encode())
        office.run(0.04)
    assert pressed(office) == list("1251")
    office.run(2)
    phone.info(b"Signal=1\r\nDuration=100\r\n")
    office.run(0.1)
    phone.press("1")
    office.run(0.1)
    assert pressed(office) == list("12511")


def test_a_key_on_hold_counts(office: Office) -> None:
    phone = office.phone().call()
    phone.change(phone.sdp("sendonly"))
    phone.press("5")
    office.run(0.1)
    assert pressed(office) == ["5"]


def test_keys_are_not_in_the_log(office: Office) -> None:
    phone = office.phone().call()
    office.lines.clear()
    phone.press("5")
    phone.info(b"Signal=7\r\nDuration=100\r\n")
    office.run(0.1)
    assert not office.logged("Signal") and not office.logged("digit")
