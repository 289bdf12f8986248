"""Offer and answer (RFC 3264): codecs, digits, directions, hold, and what is refused."""

from __future__ import annotations

import pytest

from xconf.sip.errors import LocalProtocolError, RemoteProtocolError
from xconf.sip.offer_answer import PCMA, PCMU, Agreed, Codec, agree, answer, offer
from xconf.sip.sdp import Direction, Origin, SessionDescription

L16 = Codec("L16", 8000)
L16_WIDE = Codec("L16", 16000)
OURS = [PCMU, PCMA, L16_WIDE, L16]
ORIGIN = Origin("-", 11, 1, "192.0.2.7")
HEAD = "v=0\no=- 1 1 IN IP4 192.0.2.1\ns=-\nc=IN IP4 192.0.2.1\nt=0 0\n"


def sdp(*lines: str, head: str = HEAD) -> SessionDescription:
    return SessionDescription.parse((head + "\n".join(lines)).encode())


def answered(*lines: str, head: str = HEAD, direction: Direction = "sendrecv") -> tuple[SessionDescription, Agreed]:
    their_offer = sdp(*lines, head=head)
    return answer(their_offer, codecs=OURS, address="192.0.2.7", port=5000, origin=ORIGIN, direction=direction)


def refused(*lines: str, head: str = HEAD) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        answered(*lines, head=head)
    assert caught.value.status == 488
    return caught.value


def test_a_plain_telephone() -> None:
    description, agreed = answered(
        "m=audio 4000 RTP/AVP 8 0 101", "a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:30"
    )
    assert agreed == Agreed(
        codec=Codec("PCMA", 8000, 1, 8),
        receive_payload_type=8,
        telephone_event=101,
        telephone_event_receive=101,
        remote_address=("192.0.2.1", 4000),
        remote_rtcp=("192.0.2.1", 4001),
        direction="sendrecv",
        ptime=30,
    )
    assert description.to_bytes().decode().splitlines() == [
        "v=0",
        "o=- 11 1 IN IP4 192.0.2.7",
        "s=-",
        "c=IN IP4 192.0.2.7",
        "t=0 0",
        "m=audio 5000 RTP/AVP 8 101",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16",
        "a=ptime:20",
        "a=sendrecv",
    ]


def test_the_first_codec_of_the_offer_that_is_ours_counts() -> None:
    offered = ("m=audio 4000 RTP/AVP 9 18 97 0", "a=rtpmap:97 l16/16000")
    _, agreed = answered(*offered)
    assert (agreed.codec.name, agreed.codec.clock_rate, agreed.codec.payload_type) == ("L16", 16000, 97)


def test_linear_sound_at_another_rate_or_in_stereo_is_another_codec() -> None:
    _, agreed = answered("m=audio 4000 RTP/AVP 10 11 96 97 0", "a=rtpmap:96 L16/16000/2", "a=rtpmap:97 L16/44100")
    assert agreed.codec.name == "PCMU"
    _, agreed = answered("m=audio 4000 RTP/AVP 96 0", "a=rtpmap:96 L16/8000")
    assert agreed.codec == Codec("L16", 8000, 1, 96)


def test_a_static_number_can_be_given_another_meaning() -> None:
    refused("m=audio 4000 RTP/AVP 0", "a=rtpmap:0 GSM/8000")


def test_digits_at_the_clock_of_the_codec_are_preferred() -> None:
    lines = ("a=rtpmap:96 L16/16000", "a=rtpmap:100 telephone-event/8000", "a=rtpmap:101 Telephone-Event/16000")
    assert answered("m=audio 4000 RTP/AVP 96 100 101", *lines)[1].telephone_event == 101
    assert answered("m=audio 4000 RTP/AVP 0 101 100", *lines)[1].telephone_event == 100
    assert answered("m=audio 4000 RTP/AVP 96 100", *lines)[1].telephone_event == 100


def test_no_digits_unless_offered_and_wanted() -> None:
    description, agreed = answered("m=audio 4000 RTP/AVP 0")
    assert (agreed.telephone_event, agreed.telephone_event_receive) == (None, None)
    assert b"telephone-event" not in description.to_bytes()
    theirs = sdp("m=audio 4000 RTP/AVP 0 101", "a=rtpmap:101 telephone-event/8000")
    description, agreed = answer(theirs, codecs=OURS, address="192.0.2.7", port=5, origin=ORIGIN, telephone_event=False)
    assert agreed.telephone_event is None and b"telephone-event" not in description.to_bytes()


@pytest.mark.parametrize(
    ("theirs", "wanted", "ours"),
    [
        ("sendrecv", "sendrecv", "sendrecv"),
        ("sendonly", "sendrecv", "recvonly"),
        ("recvonly", "sendrecv", "sendonly"),
        ("inactive", "sendrecv", "inactive"),
        ("sendrecv", "sendonly", "sendonly"),
        ("sendonly", "sendonly", "inactive"),
        ("recvonly", "recvonly", "inactive"),
        ("sendrecv", "inactive", "inactive"),
    ],
)
def test_directions(theirs: str, wanted: Direction, ours: Direction) -> None:
    on_media = answered("m=audio 4000 RTP/AVP 0", f"a={theirs}", direction=wanted)
    on_session = answered("m=audio 4000 RTP/AVP 0", head=f"{HEAD}a={theirs}\n", direction=wanted)
    for description, agreed in (on_media, on_session):
        assert agreed.direction == ours
        assert (ours, None) in description.media[0].attributes
        assert (agreed.sends, agreed.receives) == (ours in ("sendrecv", "sendonly"), ours in ("sendrecv", "recvonly"))


@pytest.mark.parametrize(
    ("head", "lines"),
    [
        (HEAD.replace("IP4 192.0.2.1\nt", "IP4 0.0.0.0\nt"), ()),
        (HEAD, ("c=IN IP4 0.0.0.0",)),
        (HEAD, ("c=IN IP4 0.0.0.0", "a=sendonly")),
    ],
)
def test_the_old_way_to_hold(head: str, lines: tuple[str, ...]) -> None:
    _, agreed = answered("m=audio 4000 RTP/AVP 0", *lines, head=head)
    assert agreed.direction == "recvonly"
    assert agreed.remote_address == ("0.0.0.0", 4000)
    _, agreed = answered("m=audio 4000 RTP/AVP 0", *lines[:1], "a=recvonly", head=head)
    assert agreed.direction == "inactive"


def test_everything_but_one_audio_stream_is_refused_in_its_place() -> None:
    description, agreed = answered(
        "m=video 4002 RTP/AVP 31 99",
        "m=audio 4004 RTP/SAVP 0",
        "m=audio 0 RTP/AVP 0",
        "m=audio 4006 RTP/AVP 18",
        "m=audio 4000 RTP/AVPF 0",
        "m=audio 4008 RTP/AVP 0",
        "m=image 4010 udptl t38",
    )
    assert [(media.kind, media.port, media.proto) for media in description.media] == [
        ("video", 0, "RTP/AVP"),
        ("audio", 0, "RTP/SAVP"),
        ("audio", 0, "RTP/AVP"),
        ("audio", 0, "RTP/AVP"),
        ("audio", 5000, "RTP/AVPF"),
        ("audio", 0, "RTP/AVP"),
        ("image", 0, "udptl"),
    ]
    assert agreed.remote_address == ("192.0.2.1", 4000)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=video 4000 RTP/AVP 31",),
        ("m=audio 0 RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP 18 3 101", "a=rtpmap:101 telephone-event/8000"),
        ("m=audio 4000 RTP/SAVP 0",),
        ("m=audio 4000 UDP/TLS/RTP/SAVPF 0",),
        ("m=audio 4000 RTP/AVP x",),
        ("m=audio 4000 RTP/AVP 0", "c=IN IP6 2001:db8::1"),
        ("m=audio 4000 RTP/AVP 0", "c=IN IP4 phone.example.com"),
        ("m=audio 4000 RTP/AVP 0", "c=IN IP4 224.0.0.1"),
        ("m=audio 4000 RTP/AVP 0", "c=IN IP4 255.255.255.255"),
    ],
)
def test_what_cannot_be_agreed_on_is_488(lines: tuple[str, ...]) -> None:
    refused(*lines)


def test_no_address_at_all_is_488() -> None:
    refused("m=audio 4000 RTP/AVP 0", head="v=0\no=- 1 1 IN IP4 192.0.2.1\n")


def test_ipv6() -> None:
    theirs = sdp("m=audio 4000 RTP/AVP 0", head=HEAD.replace("IP4 192.0.2.1", "IP6 2001:db8::1"))
    description, agreed = answer(
        theirs, codecs=OURS, address="2001:db8::7", port=5, origin=Origin("-", 1, 1, "2001:db8::7")
    )
    assert agreed.remote_address == ("2001:db8::1", 4000)
    assert b"c=IN IP6 2001:db8::7\r\n" in description.to_bytes()


def test_rtcp_elsewhere() -> None:
    audio = "m=audio 4000 RTP/AVP 0"
    assert answered(audio, "a=rtcp:4500")[1].remote_rtcp == ("192.0.2.1", 4500)
    assert answered(audio, "a=rtcp:4500 IN IP4 192.0.2.2")[1].remote_rtcp == ("192.0.2.2", 4500)
    assert answered(audio, "a=rtcp:4500 IN IP4 224.0.0.1")[1].remote_rtcp == ("192.0.2.1", 4500)
    assert answered("m=audio 65535 RTP/AVP 0")[1].remote_rtcp == ("192.0.2.1", 65535)


def test_packets_are_no_longer_than_the_peer_can_take() -> None:
    audio = "m=audio 4000 RTP/AVP 0"
    assert answered(audio)[1].ptime == 20
    assert answered(audio, "a=ptime:40", "a=maxptime:30")[1].ptime == 30
    assert answered(audio, "a=maxptime:10")[1].ptime == 10


def test_the_times_of_the_offer_are_those_of_the_answer() -> None:
    description, _ = answered("m=audio 4000 RTP/AVP 0", head=HEAD.replace("t=0 0", "t=3149328700 0"))
    assert description.times == ["3149328700 0"]


def test_our_offer() -> None:
    description = offer([L16_WIDE, PCMU, PCMA], "192.0.2.7", 5000, origin=ORIGIN, direction="sendonly")
    assert description.media[0].lines() == [
        "m=audio 5000 RTP/AVP 96 0 8 101 102",
        "a=rtpmap:96 L16/16000",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=rtpmap:101 telephone-event/16000",
        "a=fmtp:101 0-16",
        "a=rtpmap:102 telephone-event/8000",
        "a=fmtp:102 0-16",
        "a=ptime:20",
        "a=sendonly",
    ]


def test_what_was_refused_once_keeps_its_place_in_our_next_offer() -> None:
    before, _ = answered("m=video 4002 RTP/AVP 31", "m=audio 4000 RTP/AVP 0", "m=image 4010 udptl t38")
    description = offer([PCMA], "192.0.2.7", 5000, origin=ORIGIN, previous=before)
    assert [(media.kind, media.port) for media in description.media] == [("video", 0), ("audio", 5000), ("image", 0)]
    theirs = sdp("m=video 0 RTP/AVP 31", "m=audio 4000 RTP/AVP 8", "m=image 0 udptl t38")
    assert agree(description, theirs).codec == Codec("PCMA", 8000, 1, 8)


def test_an_offer_of_nothing_or_of_one_number_twice_is_our_mistake() -> None:
    for codecs in ([], [PCMU, Codec("L16", 8000, payload_type=0)]):
        with pytest.raises(LocalProtocolError):
            offer(codecs, "192.0.2.7", 5000, origin=ORIGIN)


def test_an_answer_to_our_offer_with_numbers_of_its_own() -> None:
    ours = offer([PCMU, L16_WIDE], "192.0.2.7", 5000, origin=ORIGIN)
    theirs = sdp(
        "m=audio 4000 RTP/AVP 110 111",
        "a=rtpmap:110 L16/16000",
        "a=rtpmap:111 telephone-event/16000",
        "a=recvonly",
        "a=ptime:40",
    )
    agreed = agree(ours, theirs)
    assert (agreed.codec.name, agreed.codec.clock_rate) == ("L16", 16000)
    assert (agreed.codec.payload_type, agreed.receive_payload_type) == (110, 96)
    assert (agreed.telephone_event, agreed.telephone_event_receive) == (111, 102)
    assert (agreed.direction, agreed.ptime) == ("sendonly", 40)


def test_an_answer_without_maps_means_our_numbers() -> None:
    agreed = agree(offer([L16_WIDE, PCMU], "192.0.2.7", 5000, origin=ORIGIN), sdp("m=audio 4000 RTP/AVP 96 101"))
    assert (agreed.codec.name, agreed.codec.payload_type, agreed.telephone_event) == ("L16", 96, 101)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("m=audio 0 RTP/AVP 0",),
        ("m=video 4000 RTP/AVP 0",),
        ("m=audio 4000 RTP/AVP 8",),
        ("m=audio 4000 RTP/SAVP 0",),
    ],
)
def test_an_answer_that_refuses_or_does_not_fit(lines: tuple[str, ...]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        agree(offer([PCMU], "192.0.2.7", 5000, origin=ORIGIN), sdp(*lines))
    assert caught.value.status == 488


@pytest.mark.parametrize("codecs", [[PCMU], [L16_WIDE, PCMA], [L16, L16_WIDE, PCMA, PCMU]])
@pytest.mark.parametrize("events", [True, False])
def test_both_sides_agree_on_the_same(codecs: list[Codec], events: bool) -> None:
    ours = offer(codecs, "192.0.2.1", 4000, origin=ORIGIN, telephone_event=events)
    theirs, here = answer(ours, codecs=OURS, address="192.0.2.7", port=5000, origin=ORIGIN)
    there = agree(ours, SessionDescription.parse(theirs.to_bytes()))
    assert here.codec.payload_type == there.receive_payload_type
    assert there.codec.payload_type == here.receive_payload_type
    assert here.codec.rtpmap == there.codec.rtpmap == codecs[0].rtpmap
    assert here.telephone_event == there.telephone_event_receive
    assert (here.telephone_event is not None) is events
    assert here.remote_address == ("192.0.2.1", 4000) and there.remote_address == ("192.0.2.7", 5000)
