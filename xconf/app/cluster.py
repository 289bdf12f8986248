"""The tunnel to other nodes, as the configuration has it."""

from __future__ import annotations

from typing import Any

from xconf.app.cluster_settings import Cluster
from xconf.app.settings import Settings
from xconf.cluster.coding import Compressed, Plain
from xconf.cluster.service import TunnelService, Ways, new_epoch
from xconf.cluster.tunnel import Tunnel


def make_tunnel(reactor: Any, settings: Settings) -> TunnelService | None:
    """None where there is no cluster."""
    its = settings.cluster
    if not its.enable:
        return None
    ways = ways_of(its)
    tunnel = Tunnel(settings.node.name, its.secrets, new_epoch(), encrypt=its.encrypt, sources=ways.peers)
    return TunnelService(reactor, tunnel, ways, Compressed() if its.payload == "opus" else Plain())


def ways_of(cluster: Cluster) -> Ways:
    listen = cluster.listen.host, cluster.listen.port
    if cluster.mode == "multicast":
        return Ways(listen, group=cluster.multicast_group.host, ttl=cluster.ttl)
    return Ways(listen, peers=[(peer.host, peer.port) for peer in cluster.peers])
