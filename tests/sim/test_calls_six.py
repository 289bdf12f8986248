"""Which family a call's sound is of: the one that the phone offers, where we have it."""

from __future__ import annotations

import pytest
from calls_world import Office

from xconf.calls.media_addresses import MediaAddresses
from xconf.rtp.ports import PortError
from xconf.sip.sdp import SessionDescription

SIX = (
    b"v=0\r\no=- 7 1 IN IP6 ::1\r\ns=-\r\nc=IN IP6 2001:DB8:0:0::1\r\nt=0 0\r\n"
    b"m=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"
)
FOUR = SIX.replace(b"IP6 2001:DB8:0:0::1", b"IP4 127.0.0.2")


def offer(text: bytes) -> SessionDescription:
    return SessionDescription.parse(text)


@pytest.mark.parametrize(
    ("six", "body", "status", "answered"),
    [
        ("::1", SIX, 200, "IN IP6 ::1"),
        ("::1", FOUR, 200, "IN IP4 127.0.0.1"),
        ("", FOUR, 200, "IN IP4 127.0.0.1"),
        ("", SIX, 488, ""),
    ],
)
def test_the_answer_is_of_the_offers_family(six: str, body: bytes, status: int, answered: str) -> None:
    office = Office(six=six)
    request = office.invite_by_hand(body=body, kind="application/sdp")
    assert set(office.answers_to(request)) == {status}
    accepted = [message for message in office.sent("SIP/2.0 200") if message.body]
    assert {f"c={answered}".encode() in message.body for message in accepted} == ({True} if answered else set())
    office.close()


@pytest.mark.parametrize(
    ("six", "host", "text", "wanted"),
    [
        ("::1", "127.0.0.1", SIX, True),
        ("::1", "::1", FOUR, False),
        ("", "::1", SIX, False),
        ("::1", "::1", None, True),
        ("::1", "127.0.0.1", None, False),
        ("", "::1", None, False),
    ],
)
def test_the_family(six: str, host: str, text: bytes | None, wanted: bool) -> None:
    assert MediaAddresses("127.0.0.1", six).family(host, offer(text) if text else None) is wanted


def test_with_all_addresses_each_phone_is_told_the_one_that_leads_to_it() -> None:
    every = MediaAddresses("0.0.0.0", "::")
    assert every.ours("127.0.0.9", False) == "127.0.0.1"
    assert every.ours("::1", True) == "::1"
    assert every.ours("127.0.0.9", True, offer(SIX.replace(b"2001:DB8:0:0::1", b"::1"))) == "::1"
    with pytest.raises(PortError, match=r"no IPv4 way to ::1 for sound .* name one rtp\.address"):
        every.ours("::1", False)


def test_one_address_is_one_text() -> None:
    assert offer(SIX).address == "2001:db8::1"
