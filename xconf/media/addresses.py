"""Where legs are: the media port of each, the address its packets come from and go to, and whose an unknown packet is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from xconf.media.receive import NEVER, Receiver
from xconf.rtp.filter import SAMPLE
from xconf.rtp.hosts import LENGTH, LENGTH_SIX, is_six, sockaddr
from xconf.rtp.ports import MediaPort, MediaPorts, PortError
from xconf.rtp.sources import Latches

if TYPE_CHECKING:
    from xconf.media.leg import Leg

BASE_PORTS = 2  # legs are spread over so many ports: each has a sender of its own
SILENT = 250  # ticks without a packet after which another source of the same host is believed
# Of who is not heard the kernel passes one packet in SAMPLE alone: that none of so many came is no chance.
SILENT_LISTENER = 12 * SAMPLE

Address = tuple[str, int]


class Addresses:
    """The addresses of an engine's legs.

    relatch: whether a leg whose source fell silent may get a new one; trusts: whether a host may send for a call of another
    host (a phone with two addresses); touch: told of legs whose address changed.
    """

    def __init__(
        self,
        ports: MediaPorts,
        legs: Mapping[int, Leg],
        receiver: Receiver,
        counters: Counter[str],
        touch: Callable[[Leg], None],
        *,
        capacity: int,
        relatch: bool,
        trusts: Callable[[str], bool],
    ) -> None:
        self.trusts = trusts
        self.latches = Latches()
        self.tick = 0
        self._ports, self._legs, self._receiver, self._counters = ports, legs, receiver, counters
        self._touch = touch
        self._relatch = relatch
        # Two arrays: the kernel walks that of IPv4 at each tick, and dense rows are read faster.
        self._names = {six: np.zeros((capacity, LENGTH_SIX if six else LENGTH), np.uint8) for six in (False, True)}
        self._names_address = {six: int(names.ctypes.data) for six, names in self._names.items()}
        self._renamed: dict[int, Address] = {}  # names to be written when nothing is being sent
        self._keys: dict[int, int] = {}  # leg row -> its key in the source table
        self._places: dict[int, tuple[int, int]] = {}  # leg row -> its place in the latches
        self._named: dict[int, int] = {}  # key of the address that a phone named and is believed -> its leg's row
        self._naming: dict[int, int] = {}  # and the other way

    def choose_port(self, remote: Address | None, host: str) -> MediaPort:
        """The least busy of the first ports at which the leg can be told from all others; else the next; else a new one."""
        six = is_six(remote[0] if remote else host)
        ports = self._ports.of_family(six)
        while len(ports) < BASE_PORTS:
            try:
                ports.append(self._ports.open(six))
            except PortError:
                if not ports:
                    raise
                break
        base = sorted(ports[:BASE_PORTS], key=lambda port: port.legs)
        for port in [*base, *ports[BASE_PORTS:]]:
            if self._fits(port, remote, host):
                return port
        try:
            return self._ports.open(six)
        except PortError:
            if remote is None:
                raise
            # Two calls with one media address: both hear, and what comes from there counts as the first one's.
            self._counters["shared_address"] += 1
            return base[0]

    def _fits(self, port: MediaPort, remote: Address | None, host: str) -> bool:
        key = self._ports.hosts.key(remote or (host, 0), port.index)
        free = remote is None or (key not in self._receiver.sources and key not in self._named)
        return free and self.latches.room(port.index, key >> 32, addressed=remote is not None)

    def expect(self, leg: Leg, host: str, claimed: int, *, addressed: bool) -> None:
        """Packets of that host at the leg's port may be the leg's."""
        key = self._ports.hosts.key((host, 0), leg.port.index) >> 32
        self._places[leg.row] = leg.port.index, key
        self.latches.add(leg.port.index, key, leg.row, addressed=addressed, claimed=claimed)

    def place(self, leg: Leg, remote: Address, host: str, *, addressed: bool) -> None:
        """The phone named `remote`, and signals from `host`; addressed: it is believed what it named."""
        if leg.latched is not None and (leg.claimed, leg.host) == (remote, host):
            return  # as before, and its packets are known
        leg.claimed, leg.host = remote, host
        self.forget(leg.row)
        leg.latched = None
        self._receiver.last[leg.row] = NEVER
        if addressed:
            key = self._ports.hosts.key(remote, leg.port.index)
            if self._named.setdefault(key, leg.row) == leg.row:
                self._naming[leg.row] = key
            self._latch(leg, remote)
        self.expect(leg, remote[0] if addressed else host, remote[1], addressed=addressed)
        leg.port.stale = True

    def forget(self, row: int) -> None:
        """Its addresses are free."""
        self._drop_key(row)
        key = self._naming.pop(row, None)
        if key is not None:
            del self._named[key]
        if row in self._places:
            self.latches.remove(*self._places.pop(row), row)

    def heard(self, row: int) -> None:
        """The first packet of a leg came."""
        if row in self._places:
            self.latches.heard(*self._places[row], row)
            leg = self._legs[row]
            leg.port.stale |= leg.voice is not None

    def find(self, port: int, key: int) -> int | None:
        """The leg that a packet of an unknown source belongs to, latched to it; None: nobody's."""
        source = self._ports.hosts.address(key)
        if source is None:
            return None
        host, number = source
        # Where the phone said that it is, it is believed at once, whoever was before it.
        row = self._named.get(key)
        if row is None:
            row = self.latches.find(port, key >> 32, self._silent)
        if row is None and self.trusts(host):
            row = self.latches.find_claim(port, number)
        leg = None if row is None else self._legs.get(row)
        if row is None or leg is None or leg.closed:
            return None
        self.latches.remove(*self._places[row], row)
        self._places[row] = port, key >> 32
        self.latches.add(port, key >> 32, row, addressed=True, claimed=number)
        self.heard(row)
        self._latch(leg, source)
        self._counters["latched"] += 1
        return row

    def name(self, row: int) -> int:
        """The address in memory of the row's sockaddr."""
        six = self._legs[row].port.six
        return self._names_address[six] + row * (LENGTH_SIX if six else LENGTH)

    def write_names(self) -> None:
        """Bring the sockaddrs up to date. Only while nothing is being sent: the kernel reads them."""
        renamed, self._renamed = self._renamed, {}
        for row, remote in renamed.items():
            names = self._names[is_six(remote[0])]
            names[row] = np.frombuffer(sockaddr(remote), np.uint8, names.shape[1])

    def filter_place(self, row: int) -> tuple[int, int]:
        """The row's media port and host, as `latches` has them."""
        return self._places[row]

    def hosts(self) -> set[int]:
        """The numbers of all hosts that legs have to do with."""
        keys = (*self._keys.values(), *self._named)
        return {host for _, host in self._places.values()} | {key >> 32 for key in keys}

    def __len__(self) -> int:
        return len(self.latches)

    def _latch(self, leg: Leg, remote: Address) -> None:
        row = leg.row
        self._drop_key(row)
        key = self._ports.hosts.key(remote, leg.port.index)
        if self._receiver.sources.add(key, row):
            self._keys[row] = key
        self._renamed[row] = leg.latched = remote
        leg.port.stale = True
        self._touch(leg)

    def _drop_key(self, row: int) -> None:
        key = self._keys.pop(row, None)
        if key is not None:
            self._receiver.sources.remove(key)

    def _silent(self, row: int) -> bool:
        bound = SILENT if self._receiver.voice[row] >= 0 else SILENT_LISTENER
        return self._relatch and self.tick - int(self._receiver.last[row]) > bound
