"""Sound over IPv6: phones of both families hear each other, are latched, reported to, and told apart."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from media_world import HOST_SIX, Room, Wire, level

from xconf.rtp.ports import MediaPorts, PortError


@pytest.fixture
def room() -> Iterator[Room]:
    made = Room()
    yield made
    made.close()


def test_phones_of_both_families_hear_each_other(room: Room) -> None:
    four, six, other = room.phone(), room.phone(host=HOST_SIX), room.phone(host=HOST_SIX)
    room.talk({four: 400, six: 1000}, 60)
    assert level(six.heard(40), 400) > 6000
    assert level(four.heard(40), 1000) > 6000
    assert level(six.heard(40), 1000) < 100
    assert min(level(other.heard(40), tone) for tone in (400, 1000)) > 6000
    assert six.leg.local_port != four.leg.local_port


def test_a_phone_behind_a_translator_is_found_by_its_first_packet(room: Room) -> None:
    four, six = room.phone(), room.phone(host=HOST_SIX, addressed=False)
    six.leg.set_media(six.media(), host=HOST_SIX, addressed=False)
    room.talk({four: 400}, 10)
    assert not six.packets
    room.talk({four: 400, six: 1000}, 60)
    assert level(six.heard(40), 400) > 6000
    assert level(four.heard(40), 1000) > 6000


def test_strangers_are_not_heard(room: Room) -> None:
    listener, six = room.phone(), room.phone(host=HOST_SIX)
    stranger = Wire(six.leg, host=HOST_SIX)
    room.phones.append(stranger)
    room.talk({six: 1000, stranger: 2000}, 60)
    assert level(listener.heard(40), 2000) < 100
    assert level(listener.heard(40), 1000) > 6000


def test_reports_go_over_ipv6(room: Room) -> None:
    six = room.phone(host=HOST_SIX)
    control = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    control.bind((HOST_SIX, six.address[1] + 1))
    control.setblocking(False)
    room.talk({six: 1000}, 300)
    report = control.recv(2000)
    assert report[1] == 200  # a sender's
    control.close()


def test_many_join_and_leave(room: Room) -> None:
    phones = [room.phone(host=HOST_SIX) for _ in range(20)]
    speaker = room.phone()
    room.talk({speaker: 700}, 30)
    assert all(level(phone.heard(20), 700) > 6000 for phone in phones)
    for phone in phones:
        phone.leg.close()
    room.quiet(5)
    assert room.engine.ports.hosts.crowded is False
    assert room.engine.ports.unsent == 0


def test_without_an_address_there_is_no_sound_over_ipv6() -> None:
    ports = MediaPorts("127.0.0.1", 20000, 20099)
    with pytest.raises(PortError, match=r"there is no rtp\.address6"):
        ports.open(True)
    ports.close()
