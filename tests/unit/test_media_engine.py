"""The whole media path, tick by tick: phones are sockets on the loopback, time is the tick's."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from media_world import EVENTS, Room, Wire, level

from xconf.media.codecs import LINEAR, PCMU
from xconf.media.engine import Engine
from xconf.media.leg import LegMedia
from xconf.media.sources import Clip
from xconf.media.tones import tone
from xconf.rtp.ports import MediaPorts
from xconf.rtp.telephone_event import event_packets


@pytest.fixture
def room() -> Iterator[Room]:
    room = Room()
    yield room
    room.close()


def test_everybody_hears_the_others_and_nobody_himself(room: Room) -> None:
    a, b, c = (room.phone() for _ in range(3))
    listener = room.phone(speaker=False)
    room.talk({a: 500.0, b: 900.0, c: 1700.0, listener: 2500.0}, 60)
    for phone, own, others in ((a, 500, (900, 1700)), (b, 900, (500, 1700)), (c, 1700, (500, 900))):
        heard = phone.heard(50)
        for frequency in others:
            assert level(heard, frequency) == pytest.approx(8000, rel=0.05)
        assert level(heard, own) < 80
        assert level(heard, 2500) < 80
    heard = listener.heard(50)
    assert [round(level(heard, f) / 8000, 1) for f in (500, 900, 1700, 2500)] == [1, 1, 1, 0]


@pytest.mark.parametrize("rate", [8000, 16000])
def test_who_goes_to_another_conference_gets_a_packet_at_each_tick_and_hears_the_other_one_at_once(
    room: Room, rate: int
) -> None:
    other = room.engine.create_mix(rate)
    a, here, there = room.phone(), room.phone(), room.phone(at=other)
    tones = {a: 300.0, here: 500.0, there: 900.0}
    room.talk(tones, 30)
    begin = len(a.packets)
    a.leg.attach(None)
    a.leg.attach(other)
    room.talk(tones, 30)
    assert len(a.packets) - begin == 30, "no gap"
    assert level(a.heard()[begin * 160 : (begin + 5) * 160], 900) == pytest.approx(8000, rel=0.1)
    assert level(a.heard(20), 500) < 100
    assert level(there.heard(10), 300) == pytest.approx(8000, rel=0.1)
    for phone in (a, there):
        phone.leg.close()
    room.tick()
    other.close()


def test_listeners_share_one_encoded_packet(room: Room) -> None:
    speaker = room.phone()
    listeners = [room.phone(speaker=False) for _ in range(20)]
    room.talk({speaker: 500.0}, 10)
    (bank,) = room.engine._banks.values()
    assert bank.outputs == 2
    assert len({phone.packets[-1] for phone in listeners}) == 1


def test_the_time_line_of_a_leg_has_no_jump_whatever_it_hears(room: Room) -> None:
    a, b = room.phone(), room.phone()
    room.talk({b: 700.0}, 5)
    a.leg.play(Clip(tone([1000], 0.1, 8000), 8000))
    room.talk({b: 700.0}, 10)
    a.leg.deaf = True
    room.talk({a: 300.0, b: 700.0}, 5)
    a.leg.deaf = False
    a.leg.speaker = False
    room.talk({b: 700.0}, 5)
    fields = [struct.unpack("!BBHII", packet[:12]) for packet in a.packets]
    assert len(fields) == room.ticks
    assert {(y[2] - x[2]) & 0xFFFF for x, y in pairwise(fields)} == {1}
    assert {(y[3] - x[3]) & 0xFFFFFFFF for x, y in pairwise(fields)} == {160}
    assert len({f[4] for f in fields}) == 1


def test_missed_ticks_advance_the_time_line(room: Room) -> None:
    a = room.phone()
    room.tick()
    room.tick(missed=4)
    before, after = (struct.unpack("!BBHII", packet[:12]) for packet in a.packets[-2:])
    assert ((after[2] - before[2]) & 0xFFFF, (after[3] - before[3]) & 0xFFFFFFFF) == (5, 5 * 160)


def test_ticks_that_happen_right_after_one_another_lose_nothing_of_what_was_said_meanwhile(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    room.talk({a: 400.0}, 20)
    for tick in range(room.ticks, room.ticks + 3):
        a.speak((8000 * np.sin(2 * np.pi * 400 * (tick * 160 + np.arange(160)) / 8000)).astype(np.int16))
    room.quiet(3)
    room.talk({a: 400.0}, 20)
    heard = b.heard(35)
    assert level(heard, 400) == pytest.approx(8000, rel=0.02)
    assert np.abs(heard.reshape(-1, 20).astype(int)).max(axis=1).min() > 7000
    sequences = [struct.unpack_from("!H", packet, 2)[0] for packet in b.packets]
    assert {(y - x) & 0xFFFF for x, y in pairwise(sequences)} == {1}


def test_the_sum_saturates_and_does_not_wrap(room: Room) -> None:
    speakers = [room.phone() for _ in range(4)]
    listener = room.phone(speaker=False)
    room.talk(dict.fromkeys(speakers, 400.0), 20, amplitude=30000.0)
    heard = listener.heard(10).astype(int)
    assert heard.max() > 31000
    assert heard.min() < -31000
    assert np.abs(np.diff(heard)).max() < 40000  # a sum that wraps steps by 60,000


def test_a_lost_packet_is_concealed(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    room.talk({a: 400.0}, 20)
    a.skip(160)
    room.tick()
    room.talk({a: 400.0}, 20)
    heard = b.heard(35)
    frames = np.abs(heard.reshape(-1, 40).astype(int)).max(axis=1)
    assert frames.min() > 2500


def test_reordered_and_doubled_packets_change_nothing(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    wave = tone([400], 2.0, 8000, -12)
    order = [0, 1, 3, 2, 4, 4, 5, 7, 6, 8]
    room.talk({a: 400.0}, 0)
    start = a.timestamp
    for base in range(0, 50, 10):
        for n in order:
            at = (base + n) * 160
            a.raw(0, start + at, a.codec.encode(wave[None, at : at + 160])[0].tobytes())
            if n not in (3, 7):
                room.tick()
        a.raw(
            0, start + (base + 9) * 160, a.codec.encode(wave[None, (base + 9) * 160 : (base + 10) * 160])[0].tobytes()
        )
    heard = b.heard()
    loud = np.flatnonzero(np.abs(heard.astype(int)) > 1000)
    steps = np.abs(np.diff(heard[loud[0] : loud[-1]].astype(int)))
    assert steps.max() < 3500


def test_a_mute_speaker_and_a_quiet_one_are_not_heard(room: Room) -> None:
    a, b = room.phone(), room.phone()
    b.leg.vad_level = 300
    a.leg.mute = True
    room.talk({a: 500.0, b: 900.0}, 20, amplitude=200)
    assert np.abs(room.phones[1].heard(10).astype(int)).max() < 20
    assert np.abs(room.phones[0].heard(10).astype(int)).max() < 20
    a.leg.mute = False
    room.talk({a: 500.0}, 20)
    assert level(b.heard(10), 500) == pytest.approx(8000, rel=0.05)


def test_volume_steps_are_three_decibels(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    a.leg.talk_gain = -2
    room.talk({a: 500.0}, 20)
    assert level(b.heard(10), 500) == pytest.approx(8000 / 2, rel=0.03)
    b.leg.listen_gain = 2
    room.talk({a: 500.0}, 20)
    assert level(b.heard(10), 500) == pytest.approx(8000, rel=0.03)


def test_playback_to_one_and_to_all(room: Room) -> None:
    a, b = room.phone(), room.phone()
    over: list[str] = []
    a.leg.play(Clip(tone([1000], 0.2, 8000), 8000), lambda: over.append("one"))
    room.mix.play(Clip(tone([2000], 0.4, 8000), 8000), lambda: over.append("all"))
    for _ in range(25):
        room.tick()
    assert over == ["one", "all"]
    assert level(a.heard()[:1600], 1000) > 7000
    assert level(a.heard()[:1600], 2000) < 50
    assert level(a.heard()[1600:3200], 2000) > 7000
    assert level(b.heard()[:3200], 2000) > 7000
    assert level(b.heard()[:3200], 1000) < 50


def test_comfort_noise_is_heard_while_nobody_speaks(room: Room) -> None:
    a, b = room.phone(), room.phone()
    room.mix.comfort_noise = 120
    for _ in range(20):
        room.tick()
    assert np.abs(b.heard(15).astype(int)).mean() == pytest.approx(120, rel=0.15)
    room.talk({a: 500.0}, 20)
    assert level(b.heard(10), 500) == pytest.approx(8000, rel=0.03)


def test_who_wants_other_noise_than_the_conference_has_hears_all_else_with_the_others(room: Room) -> None:
    a, b, c = room.phone(), room.phone(), room.phone()
    room.mix.comfort_noise = 120
    b.leg.own_noise = 0
    for _ in range(20):
        room.tick()
    assert not b.heard(15).any()
    assert np.abs(c.heard(15).astype(int)).mean() == pytest.approx(120, rel=0.15)
    room.talk({a: 500.0}, 20)
    assert level(b.heard(10), 500) == pytest.approx(8000, rel=0.03)
    assert level(c.heard(10), 500) == pytest.approx(8000, rel=0.03)
    room.mix.comfort_noise = 0
    b.leg.own_noise = 120
    room.talk({}, 80)
    assert np.abs(b.heard(15).astype(int)).mean() == pytest.approx(120, rel=0.15)
    assert not c.heard(15).any()
    assert room.mix.plane.used == 3, "what was left out for a, b and c"


def test_a_digit_is_told_once(room: Room) -> None:
    a = room.phone(speaker=False)
    digits: list[str] = []
    a.leg.on_digit = digits.append
    for digit in "5#":
        for packet in event_packets(digit, 800):
            a.raw(EVENTS, a.timestamp + packet.offset, packet.payload, packet.marker)
            room.tick()
        a.timestamp += 1600
    assert digits == ["5", "#"]


def test_a_digit_is_not_heard_by_the_others_though_the_phone_sends_its_tone_as_sound_too(room: Room) -> None:
    a, b = room.phone(), room.phone()
    room.talk({a: 500.0}, 20)
    begin = len(b.packets)
    for packet in event_packets("5", 1600):
        # Some phones send sound and event side by side, some begin with the sound.
        room.talk({a: 1336.0}, 1)
        a.raw(EVENTS, a.timestamp + packet.offset, packet.payload, packet.marker)
    room.talk({a: 500.0}, 40)
    assert all(level(b.heard()[at : at + 320], 1336) < 200 for at in range(begin * 160, len(b.heard()) - 320, 80))
    assert level(b.heard(10), 500) == pytest.approx(8000, rel=0.05), "one is heard again"


def test_talk_events_and_a_failing_listener(room: Room, caplog: pytest.LogCaptureFixture) -> None:
    a, b = room.phone(), room.phone()
    told: list[tuple[str, bool]] = []

    def fail(_: bool) -> None:
        raise RuntimeError("a member's fault")

    a.leg.on_talk = fail
    b.leg.on_talk = lambda on: told.append(("b", on))
    b.leg.vad_level = 300
    room.talk({a: 500.0, b: 700.0}, 10)
    for _ in range(100):
        room.tick()
    assert told == [("b", True), ("b", False)]
    assert "a member's fault" in caplog.text


def test_stray_short_and_hostile_packets_change_nothing_and_are_counted(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stranger.bind(("127.0.0.9", 0))
    rng = np.random.default_rng(3)
    for _ in range(25):
        for length in (0, 1, 11, 12, 100, 172, 1400):
            junk = rng.integers(0, 256, length, np.uint8).tobytes()
            stranger.sendto(junk, ("127.0.0.1", a.leg.local_port))
            stranger.sendto(b"\x80\x00" + junk, ("127.0.0.1", a.leg.local_port))
            a.socket.sendto(junk[:11], ("127.0.0.1", a.leg.local_port))
        a.raw(0, a.timestamp, b"\x55" * 33)
        room.talk({a: 500.0}, 1)
    stranger.close()
    assert level(b.heard(20), 500) == pytest.approx(8000, rel=0.05)
    counters = room.engine.receiver.counters
    assert counters["stray"] > 20
    assert counters["malformed"] > 20
    assert counters["odd_length"] >= 25


def test_two_rates_in_one_conference() -> None:
    room = Room(16000)
    wide = room.phone(codec=LINEAR[16000, 1], payload_type=97)
    narrow = room.phone()
    room.talk({wide: 700.0, narrow: 1200.0}, 60)
    assert level(narrow.heard(40), 700) == pytest.approx(8000, rel=0.03)
    assert level(narrow.heard(40), 1200) < 80
    assert level(wide.heard(40), 1200, 16000) == pytest.approx(8000, rel=0.03)
    room.close()


def test_packets_of_ten_and_of_thirty_milliseconds(room: Room) -> None:
    a, b, c = room.phone(), room.phone(), room.phone(speaker=False)
    wave_a = (8000 * np.sin(2 * np.pi * 500 * np.arange(8000) / 8000)).astype(np.int16)
    wave_b = (8000 * np.sin(2 * np.pi * 900 * np.arange(9600) / 8000)).astype(np.int16)
    for tick in range(50):
        a.speak(wave_a[tick * 160 : tick * 160 + 80])
        a.speak(wave_a[tick * 160 + 80 : tick * 160 + 160])
        for n in range(tick * 160 // 240, (tick + 1) * 160 // 240):
            b.speak(wave_b[n * 240 : n * 240 + 240])
        room.tick()
    heard = c.heard(30)
    assert level(heard, 500) == pytest.approx(8000, rel=0.03)
    assert level(heard, 900) == pytest.approx(8000, rel=0.05)


def test_a_phone_behind_nat_is_latched_on_its_first_packet(room: Room) -> None:
    leg = room.engine.create_leg(room.mix, None, "127.0.0.5")
    wire = Wire(leg)
    leg.set_media(wire.media(), host="127.0.0.5", addressed=False)
    leg.attach(room.mix)
    room.tick()
    assert leg.latched is None
    wire.socket.close()
    wire.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    wire.socket.bind(("127.0.0.5", 0))
    wire.socket.setblocking(False)
    room.phones.append(wire)
    room.talk({wire: 400.0}, 3)
    assert leg.latched == wire.socket.getsockname()
    assert len(wire.packets) >= 2


def test_phones_behind_one_nat_wait_at_different_ports(room: Room) -> None:
    legs = []
    for _ in range(5):
        leg = room.engine.create_leg(room.mix, None, "127.0.0.5")
        media = LegMedia(PCMU, 0, 0, None, ("10.0.0.1", 4000), ("10.0.0.1", 4001))
        leg.set_media(media, host="127.0.0.5", addressed=False)
        legs.append(leg)
    assert len({leg.local_port for leg in legs}) == 5
    for leg in legs:
        leg.close()


def test_thousands_of_calls_of_one_trunk_share_a_port() -> None:
    engine = Engine(MediaPorts("127.0.0.1", 20000, 20999), 3000, np.random.default_rng(1))
    mix = engine.create_mix(8000)
    legs = []
    for number in range(2500):
        remote = ("127.0.0.6", 10000 + 2 * number)
        leg = engine.create_leg(mix, remote, "127.0.0.6")
        leg.set_media(LegMedia(PCMU, 0, 0, None, remote, (remote[0], remote[1] + 1)), host=remote[0], addressed=True)
        legs.append(leg)
    assert len(engine.ports.ports) == 2
    for leg in legs:
        leg.close()
    engine.tick(0, 1e9)
    mix.close()
    assert not any(engine.sizes().values())
    engine.close()


def test_a_source_is_replaced_only_after_it_fell_silent(room: Room) -> None:
    a, b = room.phone(), room.phone(speaker=False)
    room.talk({a: 500.0}, 10)
    other = Wire(a.leg)
    other.ssrc = 99
    room.phones.append(other)
    room.talk({other: 900.0, a: 500.0}, 20)
    assert level(b.heard(15), 900) < 80
    for _ in range(260):
        room.tick()
    room.talk({other: 900.0}, 20)
    assert level(b.heard(10), 900) == pytest.approx(8000, rel=0.05)
    assert len(other.packets) > 10


def test_a_leg_on_hold_is_sent_nothing(room: Room) -> None:
    a, b = room.phone(), room.phone()
    room.talk({b: 500.0}, 5)
    a.leg.set_media(a.media(sends=False, receives=False), host="127.0.0.1", addressed=True)
    count = len(a.packets)
    room.talk({a: 700.0, b: 500.0}, 10)
    assert len(a.packets) == count
    assert level(b.heard(8), 700) < 80
    a.leg.set_media(a.media(), host="127.0.0.1", addressed=True)
    room.talk({a: 700.0, b: 500.0}, 20)
    assert level(a.heard(10), 500) == pytest.approx(8000, rel=0.05)
    assert level(b.heard(10), 700) == pytest.approx(8000, rel=0.05)


def test_a_fan_out_that_grows_keeps_every_address(room: Room) -> None:
    """Growing once packed the array's fields: all legs of a port after the 64th were sent nothing."""
    speaker = room.phone()
    listeners = [room.phone(speaker=False) for _ in range(200)]
    room.talk({speaker: 500.0}, 3)
    assert {len(phone.packets) for phone in listeners} == {3}
    assert room.engine.ports.unsent == 0


def test_a_phone_that_sends_from_its_other_address_is_heard_when_that_is_trusted(room: Room) -> None:
    """A phone named the address of one interface in its session description, and its packets left by another."""
    room.engine.trusts = lambda host: host == "127.0.0.5"
    a, b = room.phone(), room.phone(speaker=False)
    number = a.socket.getsockname()[1]
    for address in ("127.0.0.6", "127.0.0.5"):
        a.socket.close()
        a.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        a.socket.bind((address, number))
        a.socket.setblocking(False)
        room.talk({a: 500.0}, 20)
        heard = level(b.heard(10), 500)
        assert (heard > 7000) is (address == "127.0.0.5")
    assert a.leg.latched == ("127.0.0.5", number)
