"""G.722: what is heard of it, and how outputs change hands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from media_world import Room, level

from xconf.media.codecs import Packet
from xconf.media.g722 import G722, G722Decoder, G722Encoder

CODEC = G722()
DELAY = 22  # samples of encoder and decoder together: the filters of its two bands


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room(16000)
    yield room
    room.close()


def speech(frames: int) -> np.ndarray:
    """Something like it: harmonics that come and go."""
    time = np.arange(frames * 320) / 16000
    wave = sum(np.sin(2 * np.pi * 150 * n * time + n) / n for n in range(1, 20))
    return (4000 * wave * (1.2 + np.sin(2 * np.pi * 3 * time)) / 2).astype(np.int16)


def encode(encoder: G722Encoder, row: int, frame: np.ndarray) -> bytes:
    payloads, lengths = encoder.encode(np.array([row]), frame[None])
    assert lengths is None
    return payloads[0].tobytes()


def noise_ratio(heard: np.ndarray, said: np.ndarray) -> float:
    """Signal to noise in dB."""
    error = heard.astype(float) - said
    return float(10 * np.log10((said.astype(float) ** 2).mean() / (error**2).mean()))


def test_twenty_milliseconds_are_160_octets_and_come_back() -> None:
    encoder, decoder, said = CODEC.encoder(), CODEC.decoder(), speech(50)
    heard = []
    for number, frame in enumerate(said.reshape(-1, 320)):
        payload = encode(encoder, 0, frame)
        assert len(payload) == 160 == CODEC.room(20)
        ((timestamp, sound),) = decoder.decode(0, Packet(number, number * 160, payload))
        assert (timestamp, len(sound)) == (number * 160, 320)
        heard.append(sound)
    assert noise_ratio(np.concatenate(heard)[3200 + DELAY :], said[3200:-DELAY]) > 20


def test_who_changes_to_another_output_hears_no_click() -> None:
    """Decoder and encoder adapt together: one that begins anew in mid-speech was heard as a burst at full scale."""
    encoder, decoder, said = CODEC.encoder(), CODEC.decoder(), speech(60)
    heard = []
    for number, frame in enumerate(said.reshape(-1, 320)):
        if number == 30:
            encoder.follow(1, 0)
        payload = encode(encoder, int(number >= 30), frame)
        heard += [sound for _, sound in decoder.decode(0, Packet(number, 0, payload))]
    change = slice(30 * 320, 40 * 320)
    assert noise_ratio(np.concatenate(heard)[change], said[30 * 320 - DELAY : 40 * 320 - DELAY]) > 12


def test_a_packet_that_comes_twice_is_decoded_once() -> None:
    decoder = CODEC.decoder()
    packet = Packet(65535, 0, bytes(160))
    assert len(decoder.decode(0, packet)) == 1
    assert decoder.decode(0, packet) == []
    assert len(decoder.decode(0, Packet(0, 160, bytes(160)))) == 1


def test_states_are_freed() -> None:
    encoder, decoder = G722Encoder(), G722Decoder()
    encode(encoder, 3, np.zeros(320, np.int16))
    decoder.decode(3, Packet(0, 0, bytes(160)))
    encoder.drop(3)
    decoder.drop(3)
    assert not (encoder._states or encoder._recent or decoder._states or decoder._last)


def test_its_clock_runs_at_8000_though_its_sound_has_16000(room: Room) -> None:
    """RFC 3551, section 4.5.2: the timestamp steps by 160 in 20 ms."""
    a, b = room.phone(codec=CODEC, payload_type=9), room.phone(codec=CODEC, payload_type=9)
    room.talk({a: 6000.0, b: 1000.0}, 60)
    assert level(b.heard(40), 6000, 16000) == pytest.approx(8000, rel=0.1)
    assert level(a.heard(40), 1000, 16000) == pytest.approx(8000, rel=0.1)
    stamps = [int.from_bytes(packet[4:8], "big") for packet in b.packets]
    assert {(after - before) & 0xFFFFFFFF for before, after in zip(stamps, stamps[1:], strict=False)} == {160}
    assert {len(packet) for packet in b.packets} == {172}


def test_timestamps_may_go_over_their_end(room: Room) -> None:
    a, b = room.phone(codec=CODEC, payload_type=9), room.phone(codec=CODEC, payload_type=9)
    a.timestamp = 2**32 - 160 * 20
    room.talk({a: 1000.0}, 70)
    assert level(b.heard(40), 1000, 16000) == pytest.approx(8000, rel=0.05)
    assert a.leg.statistics.concealed == 0


def test_a_lost_packet_is_concealed(room: Room) -> None:
    a, b = room.phone(codec=CODEC, payload_type=9), room.phone(codec=CODEC, payload_type=9)
    room.talk({a: 1000.0}, 40)
    a.lose(np.zeros(320, np.int16))
    room.tick()
    room.talk({a: 1000.0}, 10)
    heard = b.heard(12)
    assert min(level(part, 1000, 16000) for part in heard.reshape(-1, 320)) > 4000


def test_packets_that_changed_places_are_put_in_order(room: Room) -> None:
    a, b = room.phone(codec=CODEC, payload_type=9), room.phone(codec=CODEC, payload_type=9)
    room.talk({a: 1000.0}, 40)
    time = np.arange(320 * 3) / 16000
    frames = (8000 * np.sin(2 * np.pi * 1000 * (time + room.ticks * 0.02))).astype(np.int16).reshape(3, 320)
    payloads = [a._encode(frame) for frame in frames]
    for number in (1, 0, 2):
        a.sequence = a.sequence + number
        a.raw(9, a.timestamp + 160 * number, payloads[number])
        a.sequence -= number + 1
    a.sequence += 3
    a.timestamp += 480
    room.tick()
    room.quiet(2)
    room.talk({a: 1000.0}, 20)
    assert a.leg.statistics.concealed == 0
    assert level(b.heard(20), 1000, 16000) == pytest.approx(8000, rel=0.05)
