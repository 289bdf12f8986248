"""Hosts as numbers: those of IPv4 are their addresses, those of IPv6 get one when a call has to do with them."""

from __future__ import annotations

import random
import socket

import numpy as np
import pytest

from xconf.rtp import hosts
from xconf.rtp.hosts import LENGTH, LENGTH_SIX, Hosts, sockaddr


def name(host: str, port: int) -> np.ndarray:
    """A row of what the kernel writes."""
    return np.frombuffer(sockaddr((host, port)) + bytes(4), np.uint64)


@pytest.mark.parametrize("host", ["192.0.2.1", "255.0.0.1", "2001:db8::1", "::1"])
@pytest.mark.parametrize("port", [0, 1, 255, 256, 40_001, 65_535])
def test_a_key_holds_an_address(host: str, port: int) -> None:
    table = Hosts()
    assert table.address(table.key((host, port), 7)) == (host, port)
    assert table.key((host, port), 7) & 0xFFFF == 7


def test_what_arrives_has_the_key_of_where_it_comes_from() -> None:
    table = Hosts()
    random_ = random.Random(1)
    addresses = [
        (socket.inet_ntop(socket.AF_INET6, random_.randbytes(16)), random_.randrange(1, 65_536)) for _ in range(500)
    ]
    keys = [table.key(address, 3) for address in addresses]
    names = np.array([name(*address) for address in addresses])
    assert table.keys(names, np.full(len(names), 3, np.uint64)).tolist() == keys
    assert [table.address(key) for key in keys] == addresses


def test_nobody_expects_packets_of_an_unknown_host() -> None:
    table = Hosts()
    names = np.array([name("2001:db8::2", 5000)])
    port = np.array([3], np.uint64)
    assert table.address(int(table.keys(names, port)[0])) is None
    table.key(("2001:db8::1", 5000), 3)
    assert table.address(int(table.keys(names, port)[0])) is None
    assert len(table) == 1


def test_hosts_that_nobody_needs_lose_their_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "MOST", 10)
    table = Hosts()
    keys = {host: table.key((f"2001:db8::{host:x}", 1), 0) for host in range(1, 12)}
    assert table.crowded
    table.keep({keys[3] >> 32, keys[7] >> 32})
    assert len(table) == 2
    names = np.array([name(f"2001:db8::{host:x}", 1) for host in range(1, 12)])
    found = table.keys(names, np.zeros(len(names), np.uint64)).tolist()
    assert [host for host, key in enumerate(found, 1) if table.address(key)] == [3, 7]
    fresh = table.key(("2001:db8::99", 1), 0)
    assert fresh not in keys.values()


def test_one_host_is_one_number_however_it_is_written() -> None:
    table = Hosts()
    assert table.key(("2001:DB8:0::1", 1), 0) == table.key(("2001:db8::1", 1), 0)


def test_the_kernels_addresses() -> None:
    four, six = sockaddr(("192.0.2.1", 0x1234)), sockaddr(("2001:db8::1", 0x1234))
    assert len(four) == len(six) == LENGTH_SIX
    assert four[:LENGTH] == b"\x02\x00\x12\x34\xc0\x00\x02\x01" + bytes(8)
    assert six == b"\x0a\x00\x12\x34" + bytes(4) + socket.inet_pton(socket.AF_INET6, "2001:db8::1") + bytes(4)
