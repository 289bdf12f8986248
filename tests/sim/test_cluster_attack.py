"""An attacker who hears and sends whatever he likes, while a call is on."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from cluster_attacker import Attacker
from cluster_world import SoundNode, Wire, tone

from xconf.cluster.tunnel import MOST_NEW

DATAGRAMS = 100_000
SECONDS = 10


def call(attacked: bool, address: str) -> tuple[SoundNode, list[int]]:
    """b hears a tone of a. Sizes of b's tables, before and after."""
    wire = Wire()
    SoundNode(wire, "a", say=tone(8000, 437.0))
    b = SoundNode(wire, "b", phase=0.007)
    wire.run(2.0)
    recorded: list[bytes] = []
    attacks = Attacker(recorded).datagrams(DATAGRAMS)
    sizes = [held(b)]
    for _ in range(SECONDS * 50):
        wire.run(0.02)
        recorded[:] = [datagram for _, datagram in wire.recorded[-500:]]
        for datagram in islice(attacks, DATAGRAMS // (SECONDS * 50) if attacked else 0):
            wire.send("b", b.tunnel.receive(datagram, (address, 65021), wire.now))
    sizes.append(held(b))
    return b, sizes


def held(node: SoundNode) -> int:
    return sum(node.tunnel.sizes().values()) + node.conferences.streams


# From an address of his own he meets the bound for strangers; with that of a node, what a node does, too.
@pytest.mark.parametrize("address", ["attacker", "a"])
def test_of_100_000_hostile_datagrams_nothing_is_heard_and_nothing_grows(address: str) -> None:
    quiet, _ = call(False, address)
    b, sizes = call(True, address)
    assert np.array_equal(b.heard(SECONDS), quiet.heard(SECONDS))
    assert sizes[0] == sizes[1] < MOST_NEW
    assert set(b.tunnel.peers) == {"a"}
    dropped = b.tunnel.drops.total
    expected = {"flood"} if address == "attacker" else {"forged", "replayed", "truncated", "foreign", "version"}
    assert expected <= set(dropped)
    assert sum(dropped.values()) > 0.9 * DATAGRAMS  # b's own datagrams, that come back, are no attack
