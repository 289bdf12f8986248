"""The kernel's filter on a real socket: what passes, what does not."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from xconf.rtp.filter import SAMPLE, Wanted, program
from xconf.rtp.hosts import Hosts
from xconf.rtp.ports import MediaPort, MediaPorts, host_number, source_number


@pytest.fixture
def port() -> Iterator[MediaPort]:
    ports = MediaPorts("127.0.0.1", 21000, 21999)
    yield ports.open()
    ports.close()


def passed(port: MediaPort, sender: socket.socket, payload_type: int, count: int) -> int:
    """How many of `count` packets of a type from a sender come through."""
    packet = bytes([0x80, payload_type]) + bytes(170)
    for _ in range(count):
        sender.sendto(packet, ("127.0.0.1", port.number))
    received = 0
    while True:
        try:
            port.rtp.recv(2048, socket.MSG_DONTWAIT)
            received += 1
        except BlockingIOError:
            return received


def sender(address: str) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    return made


def test_speakers_events_and_a_sample_pass(port: MediaPort) -> None:
    speakers = [sender(f"127.0.0.{2 + n % 7}") for n in range(60)]
    others = [sender(f"127.0.0.{2 + n % 9}") for n in range(5)]
    wanted = frozenset(source_number(s.getsockname()) for s in speakers)
    assert port.set_filter(program(Wanted(wanted, payload_types=frozenset({101, 96}))))
    for speaker in speakers:
        assert passed(port, speaker, 0, 20) == 20
    for other in others:
        assert passed(port, other, 101, 20) == passed(port, other, 96 | 0x80, 20) == 20
    sampled = sum(passed(port, other, 0, 200) for other in others)
    assert 0 < sampled < 1000 / SAMPLE * 4
    for s in speakers + others:
        s.close()


def test_hosts_that_wait_to_be_latched_pass_from_any_port(port: MediaPort) -> None:
    one, two = sender("127.0.0.3"), sender("127.0.0.4")
    host = host_number(Hosts().key(("127.0.0.3", 0), 0) >> 32)
    assert port.set_filter(program(Wanted(hosts=frozenset({host}))))
    assert passed(port, one, 0, 50) == 50
    assert passed(port, two, 0, 50) < 20
    one.close()
    two.close()


def test_a_filter_is_replaced_and_taken_off(port: MediaPort) -> None:
    one = sender("127.0.0.3")
    assert port.set_filter(None)
    assert port.set_filter(program(Wanted()))
    assert passed(port, one, 0, 100) < 20
    assert port.set_filter(program(Wanted(frozenset({source_number(one.getsockname())}))))
    assert passed(port, one, 0, 100) == 100
    assert port.set_filter(program(Wanted()))
    assert port.set_filter(None)
    assert passed(port, one, 0, 100) == 100
    one.close()


def test_a_program_that_is_too_long_takes_all(port: MediaPort) -> None:
    one = sender("127.0.0.3")
    for hosts, most in ((1, 800), (20, 780), (500, 500)):
        many = frozenset((0x7F000000 + n % hosts, 10000 + n) for n in range(most))
        code = program(Wanted(many, payload_types=frozenset(range(96, 128))))
        assert code is not None
        if not port.set_filter(code):
            assert passed(port, one, 0, 100) == 100  # the kernel's bound is lower here: then all is taken
    assert program(Wanted(frozenset((0x7F000000, 10000 + n) for n in range(2000)))) is None
    one.close()
