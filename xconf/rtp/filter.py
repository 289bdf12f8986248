"""A kernel filter for a media port: what nobody would listen to is dropped before it costs a system call.

Classic BPF (Linux's Documentation/networking/filter): the program passes packets of given sources (speakers), of given
hosts (legs whose address is not known yet), of given payload types (telephone-events), and a sample of all the rest, by which
legs are known to be alive. In a filter on a UDP socket the UDP header comes first: the RTP header is at octet 8.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

SAMPLE = 64  # one packet in so many passes whatever it is
LONGEST = 4096  # instructions of a program; a port with more sources goes without a filter
_PASS, _DROP = 0xFFFFFFFF, 0
_LD_HALF, _LD_BYTE, _LD_WORD = 0x28, 0x30, 0x20
_JA, _JEQ, _JGT, _JGE, _AND, _RET = 0x05, 0x15, 0x25, 0x35, 0x54, 0x06
_TAX, _TXA = 0x07, 0x87
_NETWORK = 0xFFF00000  # SKF_NET_OFF: offsets from the IP header
_RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
_SOURCE_PORT, _PAYLOAD_TYPE, _IP_SOURCE = 0, 9, 12

Instruction = tuple[int, int, int, int]  # code, jump if true, jump if false, constant


@dataclass(frozen=True)
class Wanted:
    """What a port's legs want to receive. sources: (IPv4 address as a number, port); hosts: addresses, any port;
    ports: source ports of any address.
    """

    sources: frozenset[tuple[int, int]] = frozenset()
    hosts: frozenset[int] = frozenset()
    ports: frozenset[int] = frozenset()
    payload_types: frozenset[int] = frozenset()


def program(wanted: Wanted) -> bytes | None:
    """The filter as an array of `struct sock_filter`; None when it would be too long for the kernel."""
    code: list[Instruction] = [(_LD_BYTE, 0, 0, _PAYLOAD_TYPE), (_AND, 0, 0, 0x7F)]
    for payload_type in sorted(wanted.payload_types):
        code += [(_JEQ, 0, 1, payload_type), (_RET, 0, 0, _PASS)]
    code += [(_LD_WORD, 0, 0, _RANDOM), (_AND, 0, 0, SAMPLE - 1), (_JEQ, 0, 1, 0), (_RET, 0, 0, _PASS)]
    if wanted.ports:
        code.append((_LD_HALF, 0, 0, _SOURCE_PORT))
    for port in sorted(wanted.ports):
        code += [(_JEQ, 0, 1, port), (_RET, 0, 0, _PASS)]
    by_host: dict[int, list[int]] = {host: [] for host in wanted.hosts}
    for host, port in wanted.sources:
        if host not in wanted.hosts:
            by_host.setdefault(host, []).append(port)
    code += [(_LD_WORD, 0, 0, _NETWORK + _IP_SOURCE), *_hosts(sorted(by_host.items()))]
    if len(code) > LONGEST:
        return None
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _hosts(hosts: Sequence[tuple[int, Iterable[int]]]) -> list[Instruction]:
    """With the source address in the accumulator: a binary tree over hosts, each leaf a tree over its ports."""
    if not hosts:
        return [(_RET, 0, 0, _DROP)]
    if len(hosts) > 1:
        middle = len(hosts) // 2
        return _branch(hosts[middle][0], _hosts(hosts[:middle]), _hosts(hosts[middle:]))
    host, ports = hosts[0]
    numbers = sorted(ports)
    inner = [(_LD_HALF, 0, 0, _SOURCE_PORT), *_ports(numbers)] if numbers else [(_RET, 0, 0, _PASS)]
    return [(_JEQ, 1, 0, host), (_RET, 0, 0, _DROP), *inner]


def _ports(ports: Sequence[int]) -> list[Instruction]:
    if len(ports) > 1:
        middle = len(ports) // 2
        return _branch(ports[middle], _ports(ports[:middle]), _ports(ports[middle:]))
    return [(_JEQ, 0, 1, ports[0]), (_RET, 0, 0, _PASS), (_RET, 0, 0, _DROP)]


def _branch(bound: int, below: list[Instruction], above: list[Instruction]) -> list[Instruction]:
    """Values from `bound` on go to `above`. Conditional jumps reach 255 instructions: a long way is jumped without one."""
    return [(_JGE, 0, 1, bound), (_JA, 0, 0, len(below)), *below, *above]
