"""Nodes of a cluster on loopback addresses, and `xconf phone`s that call them."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bed_audio import read_wav
from bed_phones import end_process, own_address
from bed_server import BIN, Server, merged

SECRET = "a secret of the live tests"
PORT = 65021
# A listener hears the mix also when he is the only one on his node, and no prompt is in the recordings.
SILENT = {
    "member_welcome": "",
    "member_join": "",
    "member_leave": "",
    "member_alone": "",
    "member_bye": "",
    "alone_sound": False,
    "vad": {"enable": True, "level": 100},
}


def overrides(name: str, address: str, peers: Sequence[str], cluster: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of one node, over the shipped one."""
    its = {
        "enable": True,
        "secret": SECRET,
        "listen": f"{address}:{PORT}",
        "peers": [f"{peer}:{PORT}" for peer in peers],
    }
    return {"node": {"name": name}, "cluster": merged(its, cluster), "profiles": {"default": SILENT}}


class Cluster:
    """names: of nodes, one character each."""

    def __init__(self, folder: Path, names: str, cluster: Mapping[str, Any] | None = None) -> None:
        addresses = {name: own_address() for name in names}
        self.folder = folder
        self.nodes: dict[str, Server] = {}
        self.phones: dict[str, Phone] = {}
        try:
            for name in names:
                peers = [address for other, address in addresses.items() if other != name]
                its = overrides(name, addresses[name], peers, cluster or {})
                self.nodes[name] = Server(folder / name, its, addresses[name])
        except BaseException:
            self.stop()
            raise

    def call(self, name: str, node: str, number: str, *, seconds: float, tone: float | None = None) -> Phone:
        """A phone on that node, for so long."""
        target = self.nodes[node]
        self.phones[name] = Phone(self.folder, name, target.uri(number), seconds, tone)
        return self.phones[name]

    def stop(self) -> None:
        for phone in self.phones.values():
            end_process(phone.process)
        for node in self.nodes.values():
            node.kill()


class Phone:
    """One call of `xconf phone`, recorded."""

    def __init__(self, folder: Path, name: str, uri: str, seconds: float, tone: float | None) -> None:
        self.record, self.arrivals = folder / f"{name}.wav", folder / f"{name}.csv"
        words = ["--record", str(self.record), "--arrivals", str(self.arrivals), "--duration", f"{seconds}s"]
        if tone is not None:
            words += ["--tone", str(tone)]
        self.process = subprocess.Popen(
            [str(BIN / "xconf"), "phone", uri, "--bind", own_address(), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait(self, timeout: float = 30.0) -> None:
        """Until its call is over, as it should be."""
        said, _ = self.process.communicate(timeout=timeout)
        assert self.process.returncode == 0, said

    def heard(self) -> np.ndarray:
        """8 kHz, -1..1."""
        samples, rate = read_wav(self.record)
        assert rate == 8000
        return samples


@contextlib.contextmanager
def cluster(folder: Path, names: str, settings: Mapping[str, Any] | None = None) -> Any:
    """Nodes that are stopped at the end; their logs must be clean."""
    nodes = Cluster(folder, names, settings)
    try:
        yield nodes
        for node in nodes.nodes.values():
            node.check_log()
    finally:
        nodes.stop()
