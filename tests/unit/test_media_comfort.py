"""Comfort noise as packets (RFC 3389): a silent conference is hardly sent to telephones that make the noise themselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pytest
from media_world import Room, Wire, level

from xconf.media.catalogue import with_noise
from xconf.media.codecs import PCMU
from xconf.media.levels import noise_level
from xconf.media.pauses import AFTER, EVERY
from xconf.media.sources import Clip
from xconf.media.tones import tone

COMFORT = with_noise(PCMU)


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def heads(phone: Wire, last: int = 0) -> list[tuple[int, int, int, int]]:
    """Payload type, marker, sequence number and timestamp of its packets."""
    read = [struct.unpack("!BBHI", packet[:8]) for packet in phone.packets[-last:]]
    return [(second & 127, second >> 7, sequence, timestamp) for _, second, sequence, timestamp in read]


def test_silence_is_told_by_a_packet_of_one_octet_now_and_then(room: Room) -> None:
    room.mix.comfort_noise = 120
    ann, bob = room.phone(), room.phone(speaker=False, codec=COMFORT)
    room.talk({ann: 500.0}, 20)
    ann.leg.mute = True
    room.quiet(5)
    before = len(bob.packets)
    room.quiet(200)
    silent = bob.packets[before:]
    assert len(silent) <= AFTER + 200 // EVERY + 1
    noise = [packet for packet in silent if packet[1] & 127 == 13]
    assert len(noise) == pytest.approx(200 // EVERY, abs=1)
    assert {len(packet) for packet in noise} == {13}
    assert {packet[12] for packet in noise} == {47}  # 120 is -46.8 dBov: 20 lg(120 sqrt(pi/2) / 32768)
    sequence = [head[2] for head in heads(bob)]
    assert all((b - a) & 0xFFFF == 1 for a, b in zip(sequence, sequence[1:], strict=False)), "taken for a loss"


def test_speech_goes_on_with_a_marker_in_its_place_in_time(room: Room) -> None:
    ann, bob = room.phone(), room.phone(speaker=False, codec=COMFORT)
    room.talk({ann: 500.0}, 20)
    ann.leg.mute = True
    room.quiet(100)
    ann.leg.mute = False
    begin = len(bob.packets)
    stamp, ticks = heads(bob)[-1][3], room.ticks
    room.talk({ann: 500.0}, 60)
    told = heads(bob, len(bob.packets) - begin)
    first = next(head for head in told if head[0] == 0)
    assert first[1] == 1
    assert [head[1] for head in told if head[0] == 0][1:] == [0] * (sum(head[0] == 0 for head in told) - 1)
    assert (told[-1][3] - stamp) // 160 >= room.ticks - ticks
    assert level(bob.heard(40), 500.0) == pytest.approx(8000, rel=0.05)
    assert {len(packet) for packet in bob.packets[-40:]} == {172}


def test_who_did_not_agree_to_it_is_sent_sound_as_ever(room: Room) -> None:
    room.mix.comfort_noise = 120
    ann, bob, cyd = room.phone(), room.phone(speaker=False, codec=COMFORT), room.phone(speaker=False)
    room.talk({ann: 500.0}, 20)
    ann.leg.mute = True
    room.quiet(100)
    assert len(cyd.packets) == room.ticks - 1 or len(cyd.packets) == room.ticks
    assert {packet[1] & 127 for packet in cyd.packets} == {0}
    assert np.abs(cyd.heard(50)).mean() == pytest.approx(120, rel=0.1)
    assert len(bob.packets) < 50


def test_comfort_noise_from_a_telephone_is_no_loss_and_no_sound(room: Room) -> None:
    ann, bob = room.phone(codec=COMFORT), room.phone(speaker=False)
    room.talk({ann: 500.0}, 30)
    for _ in range(50):
        ann.raw(13, ann.timestamp, b"\x30")
        ann.timestamp += 160
        room.tick()
    statistics = ann.leg.statistics
    assert (statistics.packets, statistics.lost) == (80, 0)
    assert room.engine.receiver.counters["other_payload_type"] == 0
    assert np.abs(bob.heard(20)).max() < 10
    room.talk({ann: 500.0}, 40)
    assert level(bob.heard(20), 500.0) == pytest.approx(8000, rel=0.05)


@pytest.mark.parametrize(("mean", "octet"), [(0.0, 127), (26144.0, 0), (120.0, 47), (1.0, 88)])
def test_the_level_is_in_dbov(mean: float, octet: int) -> None:
    assert noise_level(np.array([mean], np.float32)).tolist() == [octet]


def test_before_a_pause_and_during_a_prompt_to_another_the_noise_is_sent_as_sound(room: Room) -> None:
    room.mix.comfort_noise = 120
    ann, bob, cyd = room.phone(), room.phone(speaker=False, codec=COMFORT), room.phone(speaker=False, codec=COMFORT)
    room.talk({ann: 500.0}, 20)
    ann.leg.mute = True
    room.quiet(1)
    bob.packets.clear()
    room.quiet(AFTER - 1)
    assert np.abs(bob.heard()).mean() == pytest.approx(120, rel=0.15)
    room.quiet(50)
    bob.packets.clear()
    cyd.leg.play(Clip(tone([900.0], 0.5, 8000), 8000))
    room.quiet(20)
    bob.packets = [packet for packet in bob.packets if packet[1] & 127 == 0]
    assert len(bob.packets) >= 18
    assert np.abs(bob.heard()).mean() == pytest.approx(120, rel=0.15)


@pytest.mark.parametrize("ptime", [10, 30, 60])
def test_no_word_is_cut_off_in_packets_of_other_lengths(room: Room, ptime: int) -> None:
    ann, bob = room.phone(), room.phone(speaker=False, codec=COMFORT, ptime=ptime)
    room.quiet(60)
    bob.packets.clear()
    room.talk({ann: 500.0}, 50)
    ann.leg.mute = True
    room.quiet(100)
    bob.packets = [packet for packet in bob.packets if packet[1] & 127 == 0]
    assert int((np.abs(bob.heard()) > 4000).sum()) == pytest.approx(
        47 * 160 * 2 / 3, rel=0.06
    )  # the last ones were muted on their way
