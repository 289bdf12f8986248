"""Codecs as they are agreed on in calls, and as they then are on the wire."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from calls_world import Office, Phone

from xconf.media.catalogue import codec_of
from xconf.media.codecs import Packet, SampleCodec
from xconf.sip.offer_answer import Codec as Format
from xconf.sip.sdp import Media, SessionDescription

ALL = (
    "a=rtpmap:107 opus/48000/2\r\na=fmtp:107 {opus}\r\na=rtpmap:9 G722/8000\r\na=rtpmap:97 L16/16000\r\n"
    "a=rtpmap:98 L16/16000/2\r\na=rtpmap:101 telephone-event/8000\r\na=rtpmap:102 telephone-event/48000\r\n"
)


@pytest.fixture
def office() -> Iterator[Office]:
    office = Office()
    yield office
    office.close()


def offer(phone: Phone, formats: str, opus: str = "useinbandfec=1", more: str = "") -> bytes:
    return phone.sdp(formats=formats, maps=ALL.format(opus=opus), more=more)


def answered(phone: Phone) -> Media:
    assert phone.description is not None
    return phone.description.media[0]


def level(phone: Phone, format: Format, frequency: float, rate: int = 16000) -> float:
    """Amplitude of a tone in what came since `forget`."""
    codec = codec_of(format, rate, 1)
    packets = [packet for packet in phone.packets if packet[1] & 0x7F == format.payload_type]
    if isinstance(codec, SampleCodec):
        wave = codec.decode(np.frombuffer(b"".join(packet[12:] for packet in packets), np.uint8))
    else:
        decoder = codec.decoder()
        assert decoder is not None
        parts = [decoder.decode(0, Packet(int.from_bytes(p[2:4], "big"), 0, p[12:])) for p in packets]
        wave = np.concatenate([sound for part in parts for _, sound in part])
    turn = np.exp(-2j * np.pi * frequency * np.arange(len(wave)) / codec.rate)
    window = np.hanning(len(wave))
    return float(2 * abs((wave * window * turn).sum()) / window.sum())


@pytest.mark.parametrize(
    ("formats", "number", "format"),
    [
        ("9 0 101", "1600", Format("G722", 8000, payload_type=9)),
        ("107 9 0 101 102", "1600", Format("opus", 48000, 2, 107)),
        ("97 107 101", "1600", Format("L16", 16000, payload_type=97)),
        ("0 107 101", "1700", Format("opus", 48000, 2, 107)),  # which takes no PCMU
        ("107 9 0 101", "3000", Format("PCMU", 8000, payload_type=0)),  # where others sound no better
        ("107 9 101", "3000", Format("opus", 48000, 2, 107)),
        ("9 101", "3000", Format("G722", 8000, payload_type=9)),
        ("98 101", "1700", Format("L16", 16000, 2, 98)),
    ],
)
def test_the_first_of_the_offer_that_the_conference_takes(
    office: Office, formats: str, number: str, format: Format
) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call(number, offer(ann, formats))
    bob.call(number, bob.sdp(formats="0 8 101"))
    assert answered(ann).formats[0] == str(format.payload_type)
    assert answered(ann).rtpmap[format.payload_type or 0] == format.rtpmap
    if number != "1700":
        bob.tone = 700.0
        office.run(1.5)
        ann.forget()
        office.run(0.8)
        assert level(ann, format, 700.0, 8000 if number == "3000" else 16000) == pytest.approx(8000, rel=0.1)


def test_keys_go_by_the_clock_of_the_codec(office: Office) -> None:
    """RFC 4733, section 2.1: with Opus telephone-events of 48000 Hz are agreed on."""
    phone = office.phone()
    phone.call("1600", offer(phone, "107 101 102"))
    assert answered(phone).formats == ["107", "102"]


@pytest.mark.parametrize(
    ("formats", "taken"),
    [("0 13 101", ["0", "13", "101"]), ("13 0 101", ["0", "13", "101"]), ("0 101", ["0", "101"]), ("107 13", ["107"])],
)
def test_comfort_noise_goes_with_a_codec_of_its_clock(office: Office, formats: str, taken: list[str]) -> None:
    phone = office.phone()
    phone.call("1600" if "107" in formats else "3000", offer(phone, formats))
    assert answered(phone).formats == taken


def test_a_silent_conference_is_hardly_sent_to_who_makes_the_noise_himself(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call("3000", offer(ann, "0 13 101"))
    bob.call("3000", offer(bob, "0 101"))
    office.run(4.0)
    ann.forget()
    bob.forget()
    office.run(4.0)
    assert 8 <= len(ann.packets) <= 12
    assert {packet[1] & 0x7F for packet in ann.packets} == {13}
    assert len(bob.packets) == pytest.approx(200, abs=3)


def test_what_opus_is_to_be_like_is_answered(office: Office) -> None:
    phone = office.phone()
    phone.call("1600", offer(phone, "107 101", "useinbandfec=1;usedtx=1;stereo=1"))
    assert answered(phone).fmtp[107] == "useinbandfec=1;maxplaybackrate=16000;usedtx=1"
    phone.change(offer(phone, "107 101", "useinbandfec=1"))
    assert answered(phone).fmtp[107] == "useinbandfec=1;maxplaybackrate=16000"


def test_the_list_of_the_configuration_is_the_order_of_our_offer(office: Office) -> None:
    phone = office.phone()
    phone.answer = lambda event: phone.sdp(formats="107", maps="a=rtpmap:107 opus/48000/2\r\n")
    phone.dial("1700", None)
    office.run(0.1)
    offered = next(
        SessionDescription.parse(message.body).media[0] for message in office.sent("SIP/2.0 200") if message.body
    )
    names = [str(offered.rtpmap[number]) for number in offered.payload_types[:4]]
    assert names == ["PCMA/8000", "opus/48000/2", "L16/16000/2", "G722/8000"]
    assert offered.fmtp[offered.payload_types[1]] == "useinbandfec=1;stereo=1;sprop-stereo=1"
    assert offered.ptime == 40


@pytest.mark.parametrize(
    ("more", "milliseconds"),
    [
        ("a=ptime:10\r\n", 10),
        ("a=ptime:30\r\n", 30),
        ("a=ptime:60\r\n", 60),
        ("a=ptime:60\r\na=maxptime:40\r\n", 40),
        ("a=ptime:35\r\n", 30),
        ("a=ptime:200\r\n", 60),
        ("a=ptime:1\r\n", 10),
        ("", 20),
    ],
)
def test_packets_have_as_much_sound_as_the_phone_asks_for(office: Office, more: str, milliseconds: int) -> None:
    phone = office.phone()
    phone.call("3000", phone.sdp(more=more))
    phone.forget()
    office.run(1.2)
    assert {len(packet) for packet in phone.packets} == {12 + milliseconds * 8}
    assert abs(len(phone.packets) - 1200 // milliseconds) <= 1
    uuid = office.did("3000 show members").splitlines()[1].split()[0]
    assert ["ptime", str(milliseconds)] in [
        line.split() for line in office.did(f"3000 member {uuid} status").splitlines()
    ]


def test_who_does_not_say_gets_packets_as_the_profile_has_them(office: Office) -> None:
    phone = office.phone()
    phone.call("1700", phone.sdp(formats="8 101"))
    phone.forget()
    office.run(1)
    assert {len(packet) for packet in phone.packets} == {12 + 320}
    assert answered(phone).ptime == 40


def test_codecs_are_shown(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call("1600", offer(ann, "107 101"))
    bob.call("1600", offer(bob, "0 101"))
    office.phone("127.0.0.4").call("1700", office.phones[0].sdp(formats="8 101"))
    heading, *members = office.did("1600 show members").splitlines()
    column = heading.index("CODEC")
    assert [member[column:].split()[0] for member in members] == ["opus/48000", "PCMU/8000"]
    assert "opus,g722,l16/16000,l16/8000,pcmu,pcma" in office.did("1600 show status")
    assert "pcma,opus,l16/16000/2,g722" in office.did("1700 show status")


def test_a_codec_that_changes_in_the_call(office: Office) -> None:
    """As a phone does that is put through: its SSRC and time line go on, sound goes on in the other codec."""
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call("1600", offer(ann, "0 101"))
    bob.call("1600", offer(bob, "0 101"))
    bob.tone = 700.0
    for formats, format in (
        ("9 101", Format("G722", 8000, payload_type=9)),
        ("107 101", Format("opus", 48000, 2, 107)),
        ("0 101", Format("PCMU", 8000, payload_type=0)),
        ("97 101", Format("L16", 16000, payload_type=97)),
    ):
        assert ann.change(offer(ann, formats)) == 200
        office.run(1)
        ann.forget()
        office.run(0.8)
        assert level(ann, format, 700.0) == pytest.approx(8000, rel=0.1)
    assert not office.faults


def test_without_transcoding_packets_are_passed_on_as_they_came(office: Office) -> None:
    ann, bob = office.phone("127.0.0.2"), office.phone("127.0.0.3")
    ann.call("1800", offer(ann, "0 107 101"))
    bob.call("1800", offer(bob, "107 0 101"))
    assert answered(ann).formats[0] == answered(bob).formats[0] == "107"
    encoder = codec_of(Format("opus", 48000, 2), 16000, 1).encoder()
    office.run(4)  # prompts are over
    sent: list[bytes] = []
    for number in range(50):
        wave = (8000 * np.sin(2 * np.pi * 703.7 * (np.arange(320) + 320 * number) / 16000)).astype(np.int16)
        payloads, lengths = encoder.encode(np.zeros(1, np.int64), wave[None])
        assert lengths is not None
        sent.append(payloads[0, : lengths[0]].tobytes())
        ann.send(107, 960 * number, sent[-1])
        office.run(0.02)
    heard = [packet[12:] for packet in bob.packets[-30:]]
    assert heard == sent[(at := sent.index(heard[0])) : at + 30]
    plain = office.phone("127.0.0.4")
    plain.dial("1800", offer(plain, "0 101"))
    office.run(0.1)
    assert plain.refusal is not None and plain.refusal.status == 488


def test_an_offer_of_nothing_that_the_conference_takes_is_refused(office: Office) -> None:
    phone = office.phone()
    phone.dial("1700", offer(phone, "0 3 101"))
    office.run(0.1)
    assert phone.refusal is not None and phone.refusal.status == 488
