"""What a node of a new cluster is started with: its configuration, its secret, its unit for systemd."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

FIRST_SIP, FIRST_TUNNEL, FIRST_RTP = 5060, 65021, 16384
SIP_STEP, RTP_STEP = 10, 256  # from one node of a machine to the next
MOST_OF_ONE_ADDRESS = 150  # nodes: more have no ports below those of the tunnel
VISITORS = 2000  # calls that a visitor node takes


@dataclass(frozen=True, slots=True)
class Node:
    """One of them. place: how many nodes with the same address come before it."""

    name: str
    address: str
    place: int

    @property
    def main(self) -> bool:
        return self.name == "main"

    @property
    def sip(self) -> str:
        return f"{self.address}:{FIRST_SIP + SIP_STEP * self.place}"

    @property
    def tunnel(self) -> str:
        return f"{self.address}:{FIRST_TUNNEL + self.place}"

    @property
    def rtp(self) -> str:
        first = FIRST_RTP + RTP_STEP * self.place
        return f"{first}-{first + RTP_STEP - 1}"


def nodes_at(addresses: Sequence[str], visitors: int) -> list[Node]:
    """The main node and its visitors v1, v2 …; addresses: of each of them, or one for all."""
    each = list(addresses) * (visitors + 1) if len(addresses) == 1 else list(addresses)
    seen: Counter[str] = Counter()
    nodes = []
    for number, address in enumerate(each):
        nodes.append(Node(f"v{number}" if number else "main", address, seen[address]))
        seen[address] += 1
    return nodes


@dataclass(frozen=True, slots=True)
class File:
    """path: below the cluster's folder."""

    path: str
    text: str
    mode: int


@dataclass(frozen=True, slots=True)
class Cluster:
    """allow: networks that may call; forward: networks and addresses of callers who do not follow a 302; front: address of the
    kamailio that takes the calls for all nodes, "" for none; folder: where all of it will be; programs: of twistd and xconf; user:
    who runs it.
    """

    nodes: Sequence[Node]
    allow: Sequence[str]
    forward: Sequence[str]
    front: str
    secret: str
    folder: Path
    programs: Path
    user: str

    def files(self) -> Iterator[File]:
        """All that is to be written."""
        for node in self.nodes:
            yield File(f"{node.name}/xconf.yaml", self.configuration(node), 0o600)
            yield File(f"{node.name}/cluster.key", f"{self.secret}\n", 0o600)
            yield File(f"systemd/xconf-{node.name}.service", self.unit(node), 0o644)
        if self.front:
            yield File("front/front.cfg", FRONT.format(address=self.front, allow=",".join(self.allow)), 0o644)
            yield File("front/xconf-dispatcher.service", self.dispatcher(), 0o644)

    def configuration(self, node: Node) -> str:
        peers = "".join(f"\n    - {other.tunnel}  # {other.name}" for other in self.nodes if other is not node)
        return CONFIGURATION.format(
            node=node,
            role="main node" if node.main else f"visitor node {node.name}",
            # Behind a front nobody else calls, and all nodes are alike, for it gives any call to any of them.
            callers=TRUNK.format(address=self.front) if self.front else f"allow: [{', '.join(self.allow)}]",
            calls=10_000 if node.main and not self.front else VISITORS,
            dialplan=SPEAKERS if node.main or self.front else LISTENERS,
            router=self.router(node),
            peers=peers,
        )

    def router(self, node: Node) -> str:
        """Whom the node takes from the others, and whose calls it forwards."""
        forward = f", forward: [{', '.join(self.forward)}]" if self.forward else ""
        if self.front:
            return f"  router: {{enable: true{forward}}}"
        return ROUTER.format(takes="speakers" if node.main else "listeners", forward=forward)

    def dispatcher(self) -> str:
        """The unit that writes the front's list of nodes."""
        alone = len({node.address for node in self.nodes}) == 1
        asks = (
            ("" if alone else f"ssh -o ConnectTimeout=3 {node.address} ")
            + f"{self.programs}/xconf ctl -c {self.folder / node.name}/xconf.yaml"
            for node in self.nodes
        )
        return DISPATCHER.format(asks=" \\\n    ".join(f"'{ask}'" for ask in asks))

    def unit(self, node: Node) -> str:
        return UNIT.format(node=node, programs=self.programs, folder=self.folder / node.name, user=self.user)


CONFIGURATION = """\
# The {role} of a cluster, as `xconf cluster-init` wrote it. All keys: docs/operator.md.

node: {{name: {node.name}}}

sip:
  listen: [udp://{node.sip}, tcp://{node.sip}]
  {callers}
  limits: {{calls: {calls}}}

rtp: {{address: {node.address}, ports: {node.rtp}}}

control: {{listen: unix:xconf.sock}}

history: {{file: history.db, keep_days: 90}}

{dialplan}
# The same on all nodes: a conference takes its profile from the node where it is joined.
profiles:
  default:
    sample_rate: 8000
    vad: {{enable: true, level: 300}}

cluster:
  enable: true
  secret: !file cluster.key
  listen: {node.tunnel}
  peers:{peers}
{router}
"""

ROUTER = """\
  # A call to any node goes where there is room: who speaks to main, who listens to a visitor node.
  router: {{enable: true, takes: {takes}{forward}}}"""

TRUNK = """\
allow: []
  trunks:
    # kamailio; sound comes from the telephones themselves, and who is moved to another node calls kamailio again
    front: {{address: {address}, media: [0.0.0.0/0], front: true}}"""

FRONT = """\
# What kamailio.cfg is to know of this cluster, as `xconf cluster-init` wrote it: put it beside kamailio.cfg.
#!trydef FRONT udp:{address}:5060
#!trydef FRONT_TCP tcp:{address}:5060
#!trydef CALLERS "{allow}"
"""

DISPATCHER = """\
# Writes the list of nodes for kamailio once, as xconf-dispatcher.timer has it done again and again. The next node is asked where
# one does not answer.
[Unit]
Description=list of the xconf nodes for kamailio
After=kamailio.service

[Service]
Type=oneshot
ExecStart=/etc/kamailio/xconf-dispatcher \\
    {asks}
TimeoutStartSec=60
"""

SPEAKERS = """\
dialplan:
  - {number: '(30\\d\\d)', conference: '\\1', profile: default, flags: +speaker}
  - {number: '40(\\d\\d)', conference: '30\\1', profile: default}      # listens to 30xx, on a visitor node
"""

LISTENERS = """\
# Visitors listen, whichever of its numbers they dial.
dialplan:
  - {number: '(30\\d\\d)', conference: '\\1', profile: default}
  - {number: '40(\\d\\d)', conference: '30\\1', profile: default}
"""

UNIT = """\
# As `xconf cluster-init` wrote it. `systemctl enable --now` with the path of this file links, enables and starts it.

[Unit]
Description=xconf, node {node.name} of a conference cluster
Wants=network-online.target
After=network-online.target

[Service]
User={user}
WorkingDirectory={folder}
ExecStartPre={programs}/xconf check-config {folder}/xconf.yaml
ExecStart={programs}/twistd -n --pidfile= xconf -c {folder}/xconf.yaml
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
TimeoutStopSec=15
LimitNOFILE=65536
LimitNICE=-10
LimitMEMLOCK=infinity
NoNewPrivileges=true
ProtectSystem=strict
ReadWritePaths={folder}
PrivateTmp=true

[Install]
WantedBy=multi-user.target
"""
