"""The packets of many callers on real sockets of this machine, in virtual time."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from twisted.internet.task import Clock

from xconf.media.codecs import PCMU
from xconf.phone import load_ports
from xconf.phone.load_media import SLICES, LoadMedia
from xconf.phone.metronome import MOST_BEHIND
from xconf.phone.session import PhoneError
from xconf.rtp.packet import RtpPacket

SLICE = 0.02 / SLICES
ADDRESSES = ("127.77.0.1", "127.77.0.2", "127.77.0.3")
CALLERS = 7


@dataclass
class Stage:
    """Callers and a server's socket."""

    clock: Clock
    media: LoadMedia
    server: socket.socket

    def run(self, frames: int) -> None:
        for _ in range(frames * SLICES):
            self.clock.advance(SLICE)

    def start(self, *callers: int) -> None:
        for caller in callers:
            self.media.start(caller, self.server.getsockname(), 0, 0)

    def arrived(self) -> dict[tuple[str, int], list[RtpPacket]]:
        """What came to the server, by where it came from."""
        found: dict[tuple[str, int], list[RtpPacket]] = {}
        while True:
            try:
                data, source = self.server.recvfrom(2048, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            found.setdefault(source, []).append(RtpPacket.parse(data))

    def say(self, caller: int, number: int, sock: socket.socket | None = None) -> None:
        payload = PCMU.encode(np.full(160, 8000, np.int16)).tobytes()
        packet = RtpPacket(0, number, number * 160, 1, payload).serialize()
        (sock or self.server).sendto(packet, self.media.local(caller))


def make(clock: Clock, addresses: tuple[str, ...], *, sends: bool = True, measured: int = 3) -> LoadMedia:
    return LoadMedia(
        clock,
        addresses,
        CALLERS,
        PCMU,
        np.random.default_rng(1),
        speaks=np.arange(CALLERS) < 2,
        expects=np.ones(CALLERS, bool),
        sends=sends,
        measured=measured,
        monotonic=clock.seconds,
    )


@pytest.fixture(params=[ADDRESSES, ADDRESSES[:1]], ids=["several addresses", "one address"])
def addresses(request: pytest.FixtureRequest) -> tuple[str, ...]:
    given: tuple[str, ...] = request.param
    return given


@pytest.fixture
def stage(addresses: tuple[str, ...]) -> Iterator[Stage]:
    clock = Clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.77.0.100", 0))
        media = make(clock, addresses)
        yield Stage(clock, media, server)
        media.close()


def test_every_caller_has_a_place_of_his_own(stage: Stage) -> None:
    places = {stage.media.local(caller) for caller in range(CALLERS)}
    assert len(places) == CALLERS


def test_packets_come_from_where_the_caller_said(stage: Stage) -> None:
    stage.start(*range(CALLERS))
    stage.media.run()
    stage.run(5)
    arrived = stage.arrived()
    assert set(arrived) == {stage.media.local(caller) for caller in range(CALLERS)}
    assert {len(packets) for packets in arrived.values()} <= {5, 6}


def test_each_stream_goes_on_by_one_frame(stage: Stage) -> None:
    stage.start(0)
    stage.media.run()
    stage.run(5)
    packets = stage.arrived()[stage.media.local(0)]
    assert [packet.marker for packet in packets] == [True, *[False] * (len(packets) - 1)]
    assert {(b.sequence - a.sequence) % 65536 for a, b in zip(packets, packets[1:], strict=False)} == {1}
    assert {(b.timestamp - a.timestamp) % 2**32 for a, b in zip(packets, packets[1:], strict=False)} == {160}


def test_speakers_sound_and_listeners_are_silent(stage: Stage) -> None:
    stage.start(1, 2)
    stage.media.run()
    stage.run(2)
    arrived = stage.arrived()
    assert set(arrived[stage.media.local(2)][0].payload) == {0xFF}
    assert len(set(arrived[stage.media.local(1)][0].payload)) > 10


def test_who_has_stopped_sends_no_more(stage: Stage) -> None:
    stage.start(0, 1)
    stage.media.run()
    stage.run(2)
    stage.arrived()
    stage.media.stop(0)
    stage.run(2)
    assert set(stage.arrived()) == {stage.media.local(1)}


def test_listeners_may_send_nothing(addresses: tuple[str, ...]) -> None:
    clock = Clock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.77.0.100", 0))
        stage = Stage(clock, make(clock, addresses, sends=False), server)
        stage.start(*range(CALLERS))
        stage.media.run()
        stage.run(2)
        assert set(stage.arrived()) == {stage.media.local(0), stage.media.local(1)}
        stage.media.close()


def test_all_packets_are_counted_and_some_are_listened_to(stage: Stage) -> None:
    stage.start(*range(CALLERS))
    stage.media.run()
    for number in range(10):
        for caller in range(CALLERS):
            stage.say(caller, number)
        stage.run(1)
    stage.run(1)
    assert stage.media.arrived == 10 * CALLERS
    quality = stage.media.heard.quality()
    assert (quality.received, quality.lost) == (30, 0)
    assert stage.media.overflowed == 0


def test_what_comes_from_elsewhere_is_not_taken_for_the_server(stage: Stage) -> None:
    stage.start(0)
    stage.media.run()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.77.0.100", 0))
        stage.say(0, 1, other)
        stage.run(2)
    assert (stage.media.stray, stage.media.heard.received()) == (1, 0)


def test_what_goes_to_another_address_of_this_machine_is_nobodys(stage: Stage) -> None:
    stage.start(0)
    stage.media.run()
    port = stage.media.local(0)[1]
    stage.server.sendto(b"for somebody else", ("127.77.0.200", port))
    stage.run(2)
    assert (stage.media.stray, stage.media.heard.malformed) == (0, 0)


def test_after_a_stall_the_time_line_has_gone_on_and_what_was_left_out_is_told(stage: Stage) -> None:
    stage.start(0)
    stage.media.run()
    stage.run(2)
    stage.clock.advance(1.0)
    stage.run(2)
    packets = stage.arrived()[stage.media.local(0)]
    assert {(b.sequence - a.sequence) % 65536 for a, b in zip(packets, packets[1:], strict=False)} == {1}
    elapsed = (packets[-1].timestamp - packets[0].timestamp) % 2**32 / 8000
    assert elapsed == pytest.approx(1.08, abs=0.04)
    made_up_for = MOST_BEHIND * SLICE / 0.02
    assert stage.media.sent.left_out == pytest.approx(50 - made_up_for, abs=2)


def test_call_seconds_are_those_between_start_and_stop(stage: Stage) -> None:
    stage.start(0)
    stage.clock.advance(2.0)
    stage.start(1)
    stage.clock.advance(1.0)
    stage.media.stop(0)
    stage.clock.advance(1.0)
    assert stage.media.call_seconds == pytest.approx(5.0)


def test_an_address_that_is_not_ours_is_named() -> None:
    with pytest.raises(PhoneError, match=r"--bind 192\.0\.2\.1"):
        load_ports.open_ports(["192.0.2.1"], 1, 1)


def test_too_many_sockets_are_refused_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_ports.resource, "getrlimit", lambda _: (100, 1000))
    with pytest.raises(PhoneError, match="more own addresses"):
        load_ports.open_ports(["127.77.0.1"], 1000, 1)
