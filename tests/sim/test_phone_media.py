"""Two phones' media in virtual time, on a network that the test decides about."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import numpy as np
import pytest
from phone_world import Address, FakePorts, Net
from twisted.internet.task import Clock

from xconf.media.codecs import LINEAR, PCMU, Codec
from xconf.phone.audio import Recorder, Tone, silence
from xconf.phone.metronome import MOST_BEHIND, Metronome
from xconf.phone.receiver import Receiver
from xconf.phone.sender import Sender
from xconf.phone.session import MediaSession
from xconf.rtp.packet import RtpPacket
from xconf.rtp.rtcp import Bye, ReceiverReport, SenderReport, SourceDescription, parse

WALL = 1_700_000_000.0


@dataclass
class Phone:
    media: MediaSession
    ports: FakePorts
    recorder: Recorder
    digits: list[str] = field(default_factory=list)


def phone(net: Net, address: Address, sound: object, seed: int, codec: Codec = PCMU) -> Phone:
    ports = FakePorts(net, address)
    recorder = Recorder(codec.rate, net.clock.seconds())
    sender = Sender(codec, sound, random.Random(seed))  # type: ignore[arg-type]
    receiver = Receiver(codec, recorder)
    sender.event_type = receiver.event_type = 101
    media = MediaSession(
        net.clock,
        ports,  # type: ignore[arg-type]
        sender,
        receiver,
        monotonic=net.clock.seconds,
        wall=lambda: WALL + net.clock.seconds(),
    )
    made = Phone(media, ports, recorder)
    receiver.on_digit = made.digits.append
    return made


def connect(net: Net, a: Phone, b: Phone) -> None:
    for one, other in ((a, b), (b, a)):
        target = other.ports.address, other.ports.port
        one.media.direct(target, (target[0], target[1] + 1), sends=True)
        one.media.start()


def pair(net: Net) -> tuple[Phone, Phone]:
    a = phone(net, ("127.0.0.1", 4000), Tone((440.0,), -18.0, 8000), 1)
    b = phone(net, ("127.0.0.2", 4000), silence(8000), 2)
    connect(net, a, b)
    return a, b


def test_a_tone_arrives_whole_and_in_time() -> None:
    net = Net()
    a, b = pair(net)
    net.run(10)
    heard = b.recorder.samples
    assert len(heard) == pytest.approx(80_000, abs=200)
    assert b.media.receiver.level.level == pytest.approx(-18, abs=0.2)
    loudness = np.abs(heard[80:][: len(heard) // 160 * 160 - 160].reshape(-1, 80)).max(axis=1)
    assert loudness.min() > 5000
    assert not a.media.receiver.level.sounding
    times = [at for at, _ in a.ports.sent]
    assert len(times) == 501 and np.diff(times) == pytest.approx(0.02)


def test_loss_is_counted_reported_and_seen_as_a_gap() -> None:
    net = Net()
    net.lose = lambda data, source: source == "127.0.0.1" and 100 <= len(net.ports[source, 4000].sent) < 110
    _, b = pair(net)
    net.run(6)
    totals = b.media.receiver.totals()
    assert totals.lost == 10 and totals.received == pytest.approx(291, abs=1)
    frames = b.recorder.samples[: 280 * 160].reshape(-1, 160)
    assert sum(not frame.any() for frame in frames) in (9, 10)
    assert b.media.receiver.reports(0)[0].cumulative_lost == 10


def test_keys_arrive_once_each_and_in_order_when_a_third_of_the_packets_is_lost() -> None:
    net = Net()
    rng = random.Random(5)
    net.lose = lambda data, source: rng.random() < 0.33
    a, b = pair(net)
    for digit in "0123456789*#ABCD55":
        a.media.sender.press(digit)
    net.run(8)
    assert "".join(b.digits) == "0123456789*#ABCD55"


def test_a_key_is_sent_as_the_standard_wants_and_in_place_of_sound() -> None:
    net = Net()
    a, _ = pair(net)
    net.run(0.1)
    a.media.sender.press("5")
    net.run(0.4)
    packets = [RtpPacket.parse(data) for _, data in a.ports.sent]
    events = [packet for packet in packets if packet.payload_type == 101]
    assert [packet.marker for packet in events] == [True] + [False] * 6
    assert len({packet.timestamp for packet in events}) == 1
    assert [packet.payload[1] >> 7 for packet in events] == [0, 0, 0, 0, 1, 1, 1]
    assert np.diff([packet.sequence for packet in packets]).tolist() == [1] * (len(packets) - 1)


def test_no_key_is_sent_to_who_takes_none() -> None:
    net = Net()
    a, b = pair(net)
    a.media.sender.event_type = None
    a.media.sender.press("5")
    net.run(1)
    assert not b.digits and {RtpPacket.parse(data).payload_type for _, data in a.ports.sent} == {0}


def test_on_hold_nothing_is_sent_and_the_time_line_goes_on() -> None:
    net = Net()
    a, b = pair(net)
    net.run(1)
    count, remote = len(a.ports.sent), (b.ports.address, b.ports.port)
    a.media.direct(remote, remote, sends=False)
    net.run(1)
    assert len(a.ports.sent) == count
    a.media.direct(("0.0.0.0", 4000), ("0.0.0.0", 4001), sends=True)
    net.run(1)
    assert len(a.ports.sent) == count
    a.media.direct(remote, (remote[0], remote[1] + 1), sends=True)
    net.run(1)
    before, after = RtpPacket.parse(a.ports.sent[count - 1][1]), RtpPacket.parse(a.ports.sent[count][1])
    assert (after.timestamp - before.timestamp) % 2**32 == pytest.approx(2 * 8000, abs=320)
    assert (after.sequence - before.sequence) % 2**16 == 1 and after.marker


def test_reports_tell_both_sides_of_loss_and_round_trip() -> None:
    net = Net(delay=0.03)
    a, b = pair(net)
    net.run(12)
    first, name = parse(a.ports.rtcp_sent[0])
    assert isinstance(first, SenderReport) and isinstance(name, SourceDescription)
    assert first.packet_count == pytest.approx(250, abs=2) and first.octet_count == first.packet_count * 160
    assert first.reports[0].ssrc == b.media.sender.ssrc
    assert a.media.round_trip == pytest.approx(0.06, abs=0.001)
    assert a.media.remote_view is not None and a.media.remote_view.cumulative_lost == 0


def test_who_sends_nothing_reports_as_a_receiver_and_says_goodbye() -> None:
    net = Net()
    a, b = pair(net)
    b.media.direct(("127.0.0.1", 4000), ("127.0.0.1", 4001), sends=False)
    net.run(11)
    b.media.stop()
    a.media.stop()
    kinds = [[type(packet) for packet in parse(data)] for data in b.ports.rtcp_sent]
    assert kinds[-1] == [ReceiverReport, SourceDescription, Bye]
    assert b.ports.closed and not [
        call for call in net.clock.getDelayedCalls() if call.getTime() > net.clock.seconds() + 1
    ]


def test_strangers_and_rubbish_are_counted_and_change_nothing() -> None:
    net = Net()
    _, b = pair(net)
    net.run(0.5)
    level = b.media.receiver.level.frames
    rng = random.Random(3)
    b.ports.on_rtp(RtpPacket(0, 1, 1, 1, bytes(160)).serialize(), ("127.0.0.9", 5))
    b.ports.on_rtcp(b"\x81\xc8", ("127.0.0.9", 5))
    for _ in range(500):
        b.ports.on_rtp(rng.randbytes(rng.randrange(40)), ("127.0.0.1", 4000))
        b.ports.on_rtcp(rng.randbytes(rng.randrange(40)), ("127.0.0.1", 4001))
    b.ports.on_rtp(RtpPacket(99, 1, 1, 1, bytes(160)).serialize(), ("127.0.0.1", 4000))
    assert b.media.stray == 2 and b.media.receiver.malformed > 300 and b.media.receiver.unwanted >= 1
    assert b.media.receiver.level.frames - level < 20


def test_wideband_sound() -> None:
    net = Net()
    a = phone(net, ("127.0.0.1", 4000), Tone((3900.0,), -20.0, 16000), 1, LINEAR[16000, 1])
    b = phone(net, ("127.0.0.2", 4000), silence(16000), 2, LINEAR[16000, 1])
    connect(net, a, b)
    net.run(2)
    assert b.media.receiver.level.level == pytest.approx(-20, abs=0.05)
    b.ports.on_rtp(RtpPacket(0, 1, 1, 1, bytes(3)).serialize(), ("127.0.0.1", 4000))
    assert b.media.receiver.malformed == 1


def test_a_source_that_changes_is_counted_on() -> None:
    receiver = Receiver(PCMU, None)
    for ssrc in (1, 2):
        for sequence in (0, 1, 3):
            receiver.datagram(RtpPacket(0, sequence, sequence * 160, ssrc, bytes(160)).serialize(), sequence * 0.02)
    totals = receiver.totals()
    assert (totals.received, totals.lost, totals.sources) == (6, 2, 2)


def test_beats_do_not_drift_and_stalls_are_made_up_for() -> None:
    clock, beats = Clock(), []
    metronome = Metronome(clock, clock.seconds, 0.02, lambda missed: beats.append((clock.seconds(), missed)))
    metronome.start()
    for _ in range(1000):
        clock.advance(0.0137)
    assert len(beats) == int(13.7 / 0.02) + 1
    clock.advance(0.2)
    assert len(beats) == int(13.9 / 0.02) + 1 and not any(missed for _, missed in beats)
    beats.clear()
    clock.advance(100.0)
    assert len(beats) == pytest.approx(MOST_BEHIND, abs=1) and beats[0][1] == pytest.approx(5000 - MOST_BEHIND, abs=1)
    metronome.stop()
    metronome.stop()
    assert not clock.getDelayedCalls()


def test_a_beat_may_stop_the_beat() -> None:
    clock, beats = Clock(), []

    def beat(missed: int) -> None:
        beats.append(missed)
        metronome.stop()

    metronome = Metronome(clock, clock.seconds, 0.02, beat)
    metronome.start()
    clock.advance(1.0)
    assert beats == [0] and not clock.getDelayedCalls()
