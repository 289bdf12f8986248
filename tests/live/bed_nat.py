"""Telephones at home, behind a router that translates their addresses (NAT), as the kernel does it; this machine is outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

import pytest

INSIDE = "192.168.77"
FORGETS = 14  # s without a packet, after which the router lets nothing in any more


class Home:
    """Two namespaces: the home, whose telephones have `phones` as addresses, and its router. names: of nodes, which get addresses
    outside, as does the `front`; `outside`: whose address all telephones have there, and each port is another one. Skips the test where that cannot be had.
    """

    def __init__(self, names: str) -> None:
        if os.geteuid():
            pytest.skip("network namespaces need root")
        network = f"198.18.{os.getpid() % 250}"  # RFC 2544: of nobody
        self.network = f"{network}.0/24"
        self.addresses = {name: f"{network}.{number}" for number, name in enumerate(names, 2)}
        self.of: dict[str, str | None] = dict.fromkeys(names)  # the nodes are in no namespace
        self.front, self.outside = f"{network}.1", f"{network}.200"
        self.phones = [f"{INSIDE}.{number}" for number in range(2, 6)]
        number = os.getpid() % 100_000
        self._router, self._home, self._device = f"xconf-{number}-router", f"xconf-{number}-home", f"xn{number}"
        self.within: Sequence[str] = ["ip", "netns", "exec", self._home]
        try:
            self._make()
        except OSError as error:
            self.close()
            pytest.skip(f"no translator: {error}")

    def _make(self) -> None:
        router, home = self._router, self._home
        for space in (router, home):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
        _ip("link", "add", self._device, "type", "veth", "peer", "name", "out", "netns", router)
        for address in (self.front, *self.addresses.values()):
            _ip("addr", "add", f"{address}/24", "dev", self._device)
        _ip("link", "set", self._device, "up")
        _ip("-n", router, "addr", "add", f"{self.outside}/24", "dev", "out")
        _ip("-n", router, "link", "add", "in", "type", "veth", "peer", "name", "eth0", "netns", home)
        _ip("-n", router, "addr", "add", f"{INSIDE}.1/24", "dev", "in")
        for address in self.phones:
            _ip("-n", home, "addr", "add", f"{address}/24", "dev", "eth0")
        for space, device in ((router, "out"), (router, "in"), (home, "eth0")):
            _ip("-n", space, "link", "set", device, "up")
        _ip("-n", home, "route", "add", "default", "via", f"{INSIDE}.1")
        # iptables first, for it has the kernel load what counts connections
        masquerade = ("-t", "nat", "-A", "POSTROUTING", "-o", "out", "-p", "udp", "-j", "MASQUERADE", "--random")
        _run("ip", "netns", "exec", router, "iptables", *masquerade)
        for setting, value in (
            ("ipv4/ip_forward", 1),
            ("netfilter/nf_conntrack_udp_timeout", FORGETS),
            ("netfilter/nf_conntrack_udp_timeout_stream", FORGETS),
        ):
            _run("ip", "netns", "exec", router, "sh", "-c", f"echo {value} > /proc/sys/net/{setting}")

    def close(self) -> None:
        for space in (self._home, self._router):  # their devices go with them
            subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)


def _ip(*words: str) -> None:
    _run("ip", *words)


def _run(*words: str) -> None:
    """Raises OSError."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
