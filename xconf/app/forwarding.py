"""Calls that are forwarded between the nodes, as the configuration has it."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Sequence

from xconf.app.cluster_settings import Cluster
from xconf.app.settings import Settings
from xconf.calls.forwarding import Forwarding
from xconf.calls.inbound import Calls
from xconf.calls.moved import Moves
from xconf.calls.names import Names
from xconf.calls.next_hops import FoundHops
from xconf.calls.placed import Placements
from xconf.cluster.seal import key_for
from xconf.sip.proxy import Proxy
from xconf.sip.transport import SIPService

_MOVES = b"members that move to another node"


def make_forwarding(settings: Settings, sip: SIPService, names: Names) -> Forwarding | None:
    """None where there is no router. Where nothing is forwarded, what other nodes forward is taken."""
    cluster = settings.cluster
    if not cluster.router.enable:
        return None
    proxy = Proxy(sip.user_agent, _keys(b"the way of forwarded calls", cluster.secrets))
    placements = Placements(settings.node.name, _keys(b"calls that are forwarded", cluster.secrets), time.time)
    hops = FoundHops(sip, names)
    return Forwarding(proxy, placements, hops, lambda host, trunk: listed(cluster, host, trunk), sip.seconds)


def make_moves(settings: Settings) -> Moves | None:
    """None for a node that is alone."""
    cluster = settings.cluster
    return Moves(_keys(_MOVES, cluster.secrets), time.time) if cluster.enable else None


def adopt_secrets(calls: Calls, secrets: Sequence[bytes]) -> None:
    """Other secrets, from now on; calls of the former one that goes on to be accepted stay as they are."""
    if calls.moves is not None:
        calls.moves.keys = _keys(_MOVES, secrets)
    forwarding = calls.forwarding
    if forwarding is not None:
        forwarding.proxy.tickets.keys = _keys(b"the way of forwarded calls", secrets)
        forwarding.placements.keys = _keys(b"calls that are forwarded", secrets)


def listed(cluster: Cluster, host: str, trunk: str) -> bool:
    """Whether cluster.router.forward has this address, or this trunk ("" for none)."""
    forward = cluster.router.forward
    address = ipaddress.ip_address(host)
    return any(one.trunk == trunk if one.network is None else address in one.network for one in forward)


def _keys(purpose: bytes, secrets: Sequence[bytes]) -> list[bytes]:
    return [key_for(purpose, secret) for secret in secrets]
