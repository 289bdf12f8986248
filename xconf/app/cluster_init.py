"""`xconf cluster-init N`: writes what a main node and N visitor nodes need to be started, and overwrites nothing."""

from __future__ import annotations

import argparse
import getpass
import ipaddress
import os
import pwd
import re
import secrets
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from xconf.app.config import load
from xconf.app.node_files import MOST_OF_ONE_ADDRESS, Cluster, Node, nodes_at
from xconf.app.problems import ConfigError

MOST = 255  # visitor nodes
_PLAIN = re.compile(r"[\w./+@:-]+")  # what systemd takes for itself in a path


class InitError(Exception):
    """Nothing was written; the text says why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Runs the command; the result is the exit status."""
    options = _parser().parse_args(arguments)
    try:
        cluster = plan(options)
        write(cluster)
    except (InitError, ConfigError) as error:
        print(f"xconf: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"xconf: nothing written: {error}", file=sys.stderr)
        return 1
    print(*_told(cluster), sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="xconf cluster-init",
        description="Writes the configurations, secrets and systemd units of a main node and N visitor nodes.",
    )
    parser.add_argument("visitors", metavar="N", type=int, help=f"how many visitor nodes, 1 to {MOST}")
    parser.add_argument("--folder", type=Path, default=Path("/etc/xconf"), help="where to (default: /etc/xconf)")
    parser.add_argument(
        "--address",
        action="append",
        metavar="ADDRESS",
        help="IPv4 address of all nodes, on one machine (default: 127.0.0.1); or, N + 1 times, of main, v1, v2 …",
    )
    parser.add_argument(
        "--allow", action="append", metavar="NETWORK", help="who may call (default: the nodes' machines alone)"
    )
    parser.add_argument(
        "--forward",
        action="append",
        metavar="NETWORK",
        help="who does not follow a 302, so that the nodes forward his calls to one another (default: nobody)",
    )
    parser.add_argument(
        "--front", metavar="ADDRESS", help="of a kamailio that takes the calls for all nodes, see conf/kamailio"
    )
    parser.add_argument("--user", help="who runs the nodes (default: you; xconf, if you are root)")
    return parser


def plan(options: argparse.Namespace) -> Cluster:
    """What is to be written. Raises InitError."""
    if not 1 <= options.visitors <= MOST:
        raise InitError(f"{options.visitors} visitor nodes; 1 to {MOST} are possible")
    addresses = [_address(text) for text in options.address or ["127.0.0.1"]]
    if len(addresses) not in (1, options.visitors + 1):
        raise InitError(f"{len(addresses)} addresses; give one for all, or {options.visitors + 1}: of main, v1, v2 …")
    nodes = nodes_at(addresses, options.visitors)
    ((address, count),) = Counter(node.address for node in nodes).most_common(1)
    if count > MOST_OF_ONE_ADDRESS:
        raise InitError(f"{count} nodes at {address}; {MOST_OF_ONE_ADDRESS} have enough ports; give more addresses")
    folder, programs = options.folder.absolute(), Path(sys.executable).parent
    for path in (folder, programs):
        if not _PLAIN.fullmatch(str(path)):
            raise InitError(f"{path} has characters that systemd takes for others; choose another folder")
    front = _address(options.front) if options.front else ""
    if front in addresses:
        raise InitError(f"--front {front} is a node's, too; give kamailio an address of its own")
    user = _user(options.user)
    allow = _networks("--allow", options.allow) or _machines(nodes)
    forward = _networks("--forward", options.forward)
    return Cluster(nodes, allow, forward, front, secrets.token_hex(32), folder, programs, user)


def _address(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        address = ipaddress.IPv4Address(0)
    if address.is_unspecified or address.is_multicast:
        raise InitError(f"'{text}' is not the IPv4 address of a machine, like 192.0.2.10")
    return str(address)


def _machines(nodes: Sequence[Node]) -> list[str]:
    return ["127.0.0.0/8", *sorted({f"{node.address}/32" for node in nodes if not node.address.startswith("127.")})]


def _networks(option: str, given: Sequence[str] | None) -> list[str]:
    try:
        return [str(ipaddress.ip_network(text)) for text in given or ()]
    except ValueError as error:
        raise InitError(f"{option}: {error}; give a network like 192.0.2.0/24") from None


def _user(given: str | None) -> str:
    name = given or ("xconf" if os.geteuid() == 0 else getpass.getuser())
    try:
        pwd.getpwnam(name)
    except KeyError:
        raise InitError(f"there is no user {name}; `useradd --system {name}` makes one, --user names another") from None
    return name


def write(cluster: Cluster) -> None:
    """All files, or none. Raises InitError, ConfigError and OSError."""
    tops = dict.fromkeys(file.path.partition("/")[0] for file in cluster.files())
    for top in tops:
        if os.path.lexists(cluster.folder / top):
            raise InitError(
                f"{cluster.folder / top} exists; nothing is overwritten: remove it, or give another --folder"
            )
    cluster.folder.mkdir(parents=True, exist_ok=True)
    # Made and checked aside, then moved: who is interrupted leaves no half a cluster.
    draft = Path(tempfile.mkdtemp(prefix=".new-", dir=cluster.folder))
    moved: list[Path] = []
    try:
        _draft(cluster, draft)
        for top in tops:
            os.rename(draft / top, cluster.folder / top)
            moved.append(cluster.folder / top)
    except BaseException:
        for path in moved:
            shutil.rmtree(path, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _draft(cluster: Cluster, draft: Path) -> None:
    for file in cluster.files():
        path = draft / file.path
        path.parent.mkdir(mode=0o755 if path.parent.name in ("systemd", "front") else 0o700, exist_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, file.mode), "w") as out:
            out.write(file.text)
    for node in cluster.nodes:
        load(draft / node.name / "xconf.yaml")
    if os.geteuid() == 0:
        _hand_over(cluster, draft)


def _hand_over(cluster: Cluster, draft: Path) -> None:
    """What root has written must be readable by who runs it."""
    user = pwd.getpwnam(cluster.user)
    for node in cluster.nodes:
        folder = draft / node.name
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)


def _told(cluster: Cluster) -> list[str]:
    folder = cluster.folder
    front = [f"kamailio at {cluster.front} takes {folder}/front, see conf/kamailio/README.md"] if cluster.front else []
    return [
        *(f"{node.name:5} sip:{node.sip}  tunnel {node.tunnel}  {folder / node.name}" for node in cluster.nodes),
        f"start them: systemctl enable --now {folder}/systemd/*.service",
        f"or one of them by hand: twistd -n xconf -c {folder}/main/xconf.yaml",
        *front,
        f"a main node that you have already takes the section `cluster` of {folder}/main/xconf.yaml, and cluster.key",
    ]
