"""Opus: what is heard of it, and what becomes of packets that are lost or not sent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
import soxr
from media_world import Room, level

from xconf.app.paths import SOUNDS
from xconf.media.catalogue import missing
from xconf.media.codecs import Packet
from xconf.media.opus import Opus, OpusDecoder, OpusEncoder
from xconf.media.opus_parameters import declared, encoded, replied

RATES = (8000, 16000, 48000)
pytestmark = pytest.mark.skipif(missing("opus") is not None, reason=str(missing("opus")))


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room(48000)
    yield room
    room.close()


def speech(rate: int) -> np.ndarray:
    """A prompt, in frames of 20 ms."""
    wave, own_rate = soundfile.read(SOUNDS / "16000" / "enter-pin.wav")
    samples = (soxr.resample(wave, own_rate, rate) * 32767).astype(np.int16)
    return samples[: len(samples) // (rate // 50) * (rate // 50)].reshape(-1, rate // 50)


def payloads(codec: Opus, frames: np.ndarray) -> list[bytes]:
    encoder = codec.encoder()
    made = []
    for frame in frames:
        octets, lengths = encoder.encode(np.zeros(1, np.int64), frame[None])
        assert lengths is not None
        made.append(octets[0, : lengths[0]].tobytes())
    return made


def decode(codec: Opus, packets: list[bytes], lost: tuple[int, ...] = ()) -> dict[int, np.ndarray]:
    """The sound of each frame, by its number."""
    decoder = codec.decoder()
    heard = {}
    for number, payload in enumerate(packets):
        if number not in lost:
            for timestamp, sound in decoder.decode(0, Packet(number & 0xFFFF, number * 960, payload)):
                heard[timestamp // 960] = sound.astype(float)
    return heard


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10((one**2).mean() / max((other**2).mean(), 1e-9)))


@pytest.mark.parametrize("rate", RATES)
def test_speech_comes_back(rate: int) -> None:
    """At the level at which it went, and alike: what is encoded is not the wave, so its spectrum is compared."""
    codec, frames = encoded(rate, 1, "useinbandfec=1"), speech(rate)
    heard = np.concatenate(list(decode(codec, payloads(codec, frames)).values()))
    said = frames.reshape(-1).astype(float)
    assert abs(decibels(heard, said)) < 1
    spectra = [np.abs(np.fft.rfft(wave.reshape(-1, rate // 50))).mean(axis=0) for wave in (heard, said)]
    for low in range(200, min(rate // 2, 4000) - 400, 400):
        band = slice(low // 50, (low + 400) // 50)
        assert abs(decibels(spectra[0][band], spectra[1][band])) < 4


@pytest.mark.parametrize("rate", RATES)
def test_a_lost_packet_is_had_from_the_next_one(rate: int) -> None:
    """With the data for that; without it libopus can only make something up."""
    frames = speech(rate)
    lost = tuple(range(10, len(frames) - 2, 7))
    likeness = {}
    for parameters in ("useinbandfec=1", "useinbandfec=0"):
        codec = encoded(rate, 1, parameters)
        packets = payloads(codec, frames)
        whole, mended = decode(codec, packets), decode(codec, packets, lost)
        loud = [number for number in lost if (whole[number] ** 2).mean() > 300**2]
        assert len(loud) > 5
        likeness[parameters] = np.median([decibels(whole[n], whole[n] - mended[n]) for n in loud])
    assert likeness["useinbandfec=1"] > 12
    assert likeness["useinbandfec=0"] < 8


def test_three_lost_packets_are_made_up_for_and_more_are_a_pause() -> None:
    codec = encoded(16000, 1, None)
    packets = payloads(codec, speech(16000))[:40]
    assert sorted(decode(codec, packets, (20, 21, 22))) == list(range(40))
    assert sorted(decode(codec, packets, (20, 21, 22, 23))) == [*range(20), *range(24, 40)]


def test_packets_that_come_late_or_twice_are_not_decoded_again() -> None:
    codec = encoded(16000, 1, None)
    first, second, third = payloads(codec, speech(16000)[:3])
    decoder = codec.decoder()
    decoder.decode(0, Packet(65534, 0, first))
    assert [timestamp for timestamp, _ in decoder.decode(0, Packet(0, 1920, third))] == [960, 1920]
    assert decoder.decode(0, Packet(65535, 960, second)) == []
    assert decoder.decode(0, Packet(0, 1920, third)) == []


def test_any_octets_are_decoded_or_refused() -> None:
    rng = np.random.default_rng(5)
    decoder = encoded(48000, 1, None).decoder()
    refused = 0
    for number in range(2000):
        payload = rng.bytes(int(rng.integers(0, 60)))
        packet = Packet(int(rng.integers(1 << 16)) if number % 9 == 0 else number & 0xFFFF, number * 960, payload)
        try:
            for _, sound in decoder.decode(number % 3, packet):
                assert 0 < len(sound) <= 5760
        except ValueError:
            refused += 1
    assert refused


def test_an_output_goes_on_for_who_heard_another_one() -> None:
    """The state is copied: not a sample tells that it is another encoder."""
    codec, frames = encoded(16000, 1, None), speech(16000)
    one, two = codec.encoder(), codec.encoder()
    for number, frame in enumerate(frames):
        if number == 40:
            two.follow(7, 3)
        expected, length = one.encode(np.array([3]), frame[None])
        got, its_length = two.encode(np.array([7 if number >= 40 else 3]), frame[None])
        assert length is not None and its_length is not None
        assert got[0, : its_length[0]].tobytes() == expected[0, : length[0]].tobytes()


def test_many_outputs_are_encoded_by_several_threads_and_are_the_same() -> None:
    codec, frames = encoded(16000, 1, None), speech(16000)[:20]
    encoder, rows = codec.encoder(), np.arange(23)
    alone = payloads(codec, frames)
    for frame, expected in zip(frames, alone, strict=True):
        octets, lengths = encoder.encode(rows, np.tile(frame, (23, 1)))
        assert lengths is not None
        assert {octets[row, : lengths[row]].tobytes() for row in rows} == {expected}


def test_states_are_freed() -> None:
    codec = encoded(16000, 1, None)
    encoder, decoder = OpusEncoder(codec), OpusDecoder(16000, 1)
    encoder.encode(np.array([2]), np.zeros((1, 320), np.int16))
    decoder.decode(2, Packet(0, 0, payloads(codec, np.zeros((1, 320), np.int16))[0]))
    encoder.drop(2)
    decoder.drop(2)
    assert not (encoder._states or decoder._voices)


def test_what_the_other_side_says_of_itself_is_kept_to() -> None:
    """RFC 7587, section 6.1."""
    codec = encoded(48000, 1, "maxplaybackrate=16000; usedtx=1;stereo=1;maxaveragebitrate=17000;cbr=1")
    assert (codec.bandwidth, codec.dtx, codec.channels, codec.bitrate, codec.constant) == (16000, True, 1, 16000, True)
    assert not codec.fec
    assert encoded(48000, 2, "stereo=1").channels == 2
    assert encoded(48000, 2, None).channels == 1
    assert encoded(48000, 2, None).heard == (48000, 48000, 2)
    assert encoded(32000, 1, "useinbandfec=1").rate == 48000
    for odd in ("maxaveragebitrate=0", "maxaveragebitrate=99999999999", "maxplaybackrate=x;;=;stereo", "\x00"):
        assert 6000 <= encoded(8000, 1, odd).bitrate <= 510_000


def test_reports_tell_octets_by_the_bit_rate() -> None:
    """Sender reports told the largest packet that Opus knows, ten times as much as was sent."""
    codec = encoded(48000, 1, None)
    sent = sum(map(len, payloads(codec, speech(48000))))
    told = codec.typical(20) * len(speech(48000))
    assert sent / 2 < told < sent * 2


def test_what_we_say_of_ourselves() -> None:
    assert declared(48000, 1) == "useinbandfec=1"
    assert declared(8000, 1) == "useinbandfec=1;maxplaybackrate=8000"
    assert declared(48000, 2) == "useinbandfec=1;stereo=1;sprop-stereo=1"
    assert replied("useinbandfec=1", "usedtx=1") == "useinbandfec=1;usedtx=1"
    assert replied("useinbandfec=1", "usedtx=0") == "useinbandfec=1"


def test_the_most_that_a_listener_plays_is_not_exceeded() -> None:
    rng = np.random.default_rng(1)
    hiss = rng.normal(0, 3000, (50, 960)).astype(np.int16)
    for limit in (8000, 16000):
        codec = encoded(48000, 1, f"maxplaybackrate={limit}")
        heard = np.concatenate(list(decode(codec, payloads(codec, hiss)).values())[10:])
        spectrum = np.abs(np.fft.rfft(heard)) ** 2
        above = int(len(spectrum) * (limit * 1.1) / 48000)
        assert spectrum[above:].sum() < spectrum.sum() / 1000


def test_conversation_in_opus(room: Room) -> None:
    codec = encoded(48000, 1, "useinbandfec=1")
    a, b = room.phone(codec=codec, payload_type=107), room.phone(codec=codec, payload_type=107)
    room.talk({a: 700.0, b: 1100.0}, 80)
    assert level(b.heard(40), 700, 48000) == pytest.approx(8000, rel=0.1)
    assert level(a.heard(40), 1100, 48000) == pytest.approx(8000, rel=0.1)
    assert level(a.heard(40), 700, 48000) < 100
    stamps = [int.from_bytes(packet[4:8], "big") for packet in b.packets]
    assert {(after - before) & 0xFFFFFFFF for before, after in zip(stamps, stamps[1:], strict=False)} == {960}


def test_a_lost_packet_of_a_call_is_recovered(room: Room) -> None:
    codec = encoded(48000, 1, "useinbandfec=1")
    a, b = room.phone(codec=codec, payload_type=107), room.phone()
    for number, frame in enumerate(speech(48000)):
        if number % 10 == 9:
            a.lose(frame)
        else:
            a.speak(frame)
        room.tick()
    assert room.engine.receiver.counters["recovered"] == len(speech(48000)) // 10
    assert b.packets
