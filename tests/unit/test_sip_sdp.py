"""Session descriptions: what telephones send is understood, what is written is exact (RFC 8866)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xconf.sip.errors import RemoteProtocolError
from xconf.sip.sdp import MOST_MEDIA, Media, Origin, RtpMap, SessionDescription, revised

PHONE = b"""v=0
o=linphone 1234 5678 IN IP4 192.0.2.9
s=Talk
c=IN IP4 192.0.2.9
b=AS:380
t=0 0
a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics
a=record:off
m=audio 7078 RTP/AVP 96 0 8 101 97
a=rtpmap:96 opus/48000/2
a=fmtp:96 useinbandfec=1
a=rtpmap:101 telephone-event/48000
a=rtpmap:97 telephone-event/8000
a=rtcp:7079 IN IP4 192.0.2.10
a=ptime:20
a=maxptime:60
a=rtcp-fb:* trr-int 1000
a=sendonly
m=video 9078 RTP/AVPF 98
c=IN IP6 2001:db8::9
a=rtpmap:98 H264/90000
"""


def parse(text: bytes) -> SessionDescription:
    return SessionDescription.parse(text)


def audio(*attributes: bytes) -> Media:
    text = b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 4000 RTP/AVP 0\n" + b"".join(b"a=%s\n" % each for each in attributes)
    return parse(text).media[0]


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n", b"\r"])
def test_a_telephone(line_end: bytes) -> None:
    description = parse(PHONE.replace(b"\n", line_end))
    assert description.origin == Origin("linphone", 1234, 5678, "192.0.2.9")
    assert (description.name, description.address, description.times) == ("Talk", "192.0.2.9", ["0 0"])
    sound, video = description.media
    assert (sound.kind, sound.port, sound.proto) == ("audio", 7078, "RTP/AVP")
    assert sound.payload_types == [96, 0, 8, 101, 97]
    assert sound.rtpmap[96] == RtpMap("opus", 48000, 2)
    assert sound.rtpmap[97] == RtpMap("telephone-event", 8000)
    assert sound.fmtp == {96: "useinbandfec=1"}
    assert (sound.ptime, sound.maxptime, sound.rtcp) == (20, 60, (7079, "192.0.2.10"))
    assert description.direction_of(sound) == "sendonly"
    assert description.connection_of(sound) == "192.0.2.9"
    assert (video.kind, description.connection_of(video), description.direction_of(video)) == (
        "video",
        "2001:db8::9",
        "sendrecv",
    )


def test_what_is_written() -> None:
    media = Media("audio", 4000, "RTP/AVP", ["0"], attributes=[("rtpmap", "0 PCMU/8000"), ("sendrecv", None)])
    description = SessionDescription(Origin("-", 1, 2, "2001:db8::1"), "2001:db8::1", [media])
    assert description.to_bytes() == (
        b"v=0\r\no=- 1 2 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\n"
        b"m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
    )
    assert parse(description.to_bytes()) == description


def test_a_direction_of_the_session_counts_unless_the_media_has_its_own() -> None:
    text = b"v=0\no=- 1 1 IN IP4 1.2.3.4\na=inactive\nm=audio 1 RTP/AVP 0\nm=audio 2 RTP/AVP 0\na=recvonly\n"
    description = parse(text)
    assert [description.direction_of(media) for media in description.media] == ["inactive", "recvonly"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"hello",
        b"o=- 1 1 IN IP4 1.2.3.4\nv=0\n",
        b"v=1\no=- 1 1 IN IP4 1.2.3.4\n",
        b"v=0\n",
        b"v=0\no=- 1 1 IN IP4\n",
        b"v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP4\n",
        b"v=0\no=- 1 1 IN IP4 1.2.3.4\nc=ATM X 1\n",
        b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio\n",
        b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio 70000 RTP/AVP 0\n",
        b"v=0\no=- 1 1 IN IP4 1.2.3.4\nm=audio x RTP/AVP 0\n",
        b"v=0\no=- 1 1 IN IP4 1.2.3.4\n" + b"m=audio 1 RTP/AVP 0\n" * (MOST_MEDIA + 1),
    ],
)
def test_what_is_no_description_is_refused(text: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(text)
    assert caught.value.status == 400


def test_odd_things_pass() -> None:
    text = (
        b"v=0 \n o=x bad version99999999999999999999999 IN IP4 pc\nk=?\nzzz\n\nm =audio 4000/2 RTP/AVP 0 x 200\na\n\0"
    )
    description = parse(text)
    assert description.origin.address == "pc"
    assert description.address is None
    assert (description.media[0].port, description.media[0].payload_types) == (4000, [0])
    assert description.times == ["0 0"]


def test_malformed_attributes_are_as_if_not_there() -> None:
    media = audio(
        b"rtpmap:0", b"rtpmap:x PCMU/8000", b"rtpmap:1 PCMU", b"rtpmap:2 /8", b"rtpmap:3 X/0", b"rtpmap:128 X/8"
    )
    assert media.rtpmap == {}
    media = audio(b"ptime:", b"maxptime:x", b"rtcp:0", b"fmtp:96")
    assert (media.ptime, media.maxptime, media.rtcp, media.fmtp) == (None, None, None, {})
    assert audio(b"ptime:20.5").ptime == 20
    assert audio(b"rtcp:x").rtcp is None and audio(b"rtcp:70000").rtcp is None and audio(b"rtcp:9").rtcp == (9, None)


def test_an_rtcp_port_of_endless_digits_is_no_port() -> None:
    assert audio(b"rtcp:000001" + b"9" * 5000).rtcp is None
    assert audio(b"rtcp:0000011234567").rtcp is None


def test_a_multicast_address_loses_its_time_to_live() -> None:
    assert parse(b"v=0\no=- 1 1 IN IP4 1.2.3.4\nc=IN IP4 224.2.1.1/127\n").address == "224.2.1.1"


def test_the_version_counts_changes() -> None:
    first = parse(PHONE)
    other = SessionDescription(Origin("-", 9, 9, "x"), "192.0.2.9", [Media("audio", 1, "RTP/AVP", ["0"])])
    second = revised(first, other)
    assert second.origin == replace(first.origin, version=5679)
    assert second.media == other.media
    assert revised(second, replace(other)).origin == second.origin
