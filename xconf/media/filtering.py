"""Which packets each media port's kernel filter passes, as legs come, go, and become speakers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from xconf.media.addresses import Addresses
from xconf.rtp.filter import Wanted, program
from xconf.rtp.ports import MediaPort, host_number, source_number

if TYPE_CHECKING:
    from xconf.media.leg import Leg
    from xconf.media.plane import Plane

FEW = 8


def attach(
    ports: Iterable[MediaPort],
    planes: Iterable[Plane],
    legs: Mapping[int, Leg],
    addresses: Addresses,
    counters: Counter[str],
) -> None:
    """Have the kernel drop what nobody would listen to. Without its help all is sorted here, with the same result."""
    stale = [port for port in ports if port.stale]
    if not stale:
        return
    latches = addresses.latches
    sources: dict[int, set[tuple[int, int]]] = {port.index: set() for port in stale}
    hosts = {port.index: set(latches.unaddressed(port.index)) for port in stale}
    claims: dict[int, set[int]] = {port.index: set() for port in stale}
    for plane in planes:
        for voice in plane.voices.rows():
            leg = legs[int(plane.voices.leg[voice])]
            if leg.latched is None or not leg.port.stale or leg.port.six:
                continue
            if leg.claimed is not None and (leg.claimed != leg.latched or latches.is_unheard(leg.row)):
                claims[leg.port.index].add(leg.claimed[1])
            place = addresses.filter_place(leg.row)
            # The few calls of one host pass whole, so that a speaker whose NAT moved him is found again at once.
            if latches.count(*place) <= FEW:
                hosts[leg.port.index].add(place[1])
            else:
                sources[leg.port.index].add(source_number(leg.latched))
    for port in stale:
        if port.six:  # the filter compares addresses of IPv4; here all is sorted
            port.stale = False
            continue
        types = frozenset(payload_type for payload_type, count in port.event_types.items() if count > 0)
        whole = frozenset(map(host_number, hosts[port.index]))
        code = program(Wanted(frozenset(sources[port.index]), whole, frozenset(claims[port.index]), types))
        counters["filtered" if port.set_filter(code) and code else "unfiltered"] += 1
        port.stale = False
