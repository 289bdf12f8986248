"""kamailio as the front of a cluster, with conf/kamailio as shipped; and a node that says what a test wants."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bed_cluster import Cluster, cluster
from bed_kamailio import PROGRAM, answers_options
from bed_nat import Home
from bed_phones import end_process, need, own_address, wait_for
from bed_server import BIN, ROOT, Server

SHIPPED = ROOT / "conf/kamailio"
ASK_EVERY = 1  # s between two questions whether a node is there


class Front:
    """It starts with the given lines as its list of nodes; `take` has one of these write it, as its operator would."""

    def __init__(self, folder: Path, address: str, lines: Sequence[str] = (), **more: str) -> None:
        """more: what is set at the top of kamailio.cfg."""
        need(PROGRAM, "kamailio")
        folder.mkdir()
        self.folder, self.address = folder, address
        self.list, self._control = folder / "dispatcher.list", f"unix:{folder}/ctl"
        self.list.write_text("".join(f"{line}\n" for line in lines))
        settings = more | {
            "FRONT": f"udp:{address}:5060",
            "FRONT_TCP": f"tcp:{address}:5060",
            "NODES": f'"{self.list}"',
            "CONTROL": f'"{self._control}"',
            "ASK_EVERY": ASK_EVERY,
            "PATIENCE": 1000,
        }
        command = [PROGRAM, "-f", str(SHIPPED / "kamailio.cfg"), "-DD", "-E", "-m", "64", "-M", "8"]
        command += ["-Y", str(folder), "-P", str(folder / "pid")]
        for name, value in settings.items():
            command += ["-A", f"{name}={value}"]
        self._log = (folder / "log").open("wb")
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        try:
            wait_for(self._answers, 15, "kamailio answers")
        except BaseException:
            self.stop()
            raise

    def _answers(self) -> bool:
        assert self._process.poll() is None, f"kamailio ended at start:\n{self.log()[-3000:]}"
        return answers_options(self.address, f"{self.address}:5060")

    def uri(self, number: str) -> str:
        return f"sip:{number}@{self.address}"

    def log(self) -> str:
        return (self.folder / "log").read_text(errors="replace")

    def take(self, *nodes: Server) -> str:
        """Has these nodes asked, in turns, for the list; the list."""
        asks = [shlex.join([str(BIN / "xconf"), "ctl", "--socket", str(node.socket)]) for node in nodes]
        wait_for(lambda: self.written_by(*asks) == 0, 5, "kamailio has read the list")  # it reads one a second
        return self.list.read_text()

    def written_by(self, *asks: str, control: str = "") -> int:
        """The exit status of the shipped script."""
        settings = {"LIST": str(self.list), "CONTROL": control or self._control}
        environment = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin", **settings}
        command = [str(SHIPPED / "xconf-dispatcher"), *asks]
        return subprocess.run(command, env=environment, stderr=self._log, timeout=20, check=False).returncode

    def give_to(self, chosen: Collection[Server], among: Collection[Server]) -> None:
        """New calls go to these alone, as if an operator had disabled the others by hand. Meanwhile no node is asked, for an
        answer that is under way would take that back.
        """
        self._kamcmd("dispatcher.ping_active", "1" if len(chosen) == len(among) else "0")
        wanted = {f"sip:{one.target}": one in chosen for one in among}

        def given() -> bool:
            for uri, on in wanted.items():
                self._kamcmd("dispatcher.set_state", "ap" if on else "d", "1", uri)
            time.sleep(0.3)
            return {uri: flags.startswith("A") for uri, flags in self.flags().items()} == wanted

        wait_for(given, 5, "kamailio does as it is told")

    def flags(self) -> dict[str, str]:
        """What kamailio thinks of the nodes: A active, I inactive, D disabled; P asked, X not."""
        told = self._kamcmd("dispatcher.list")
        return dict(re.findall(r"URI: (\S+)\s+FLAGS: (\S+)", told))

    def _kamcmd(self, *words: str) -> str:
        command = ["/usr/sbin/kamcmd", "-s", self._control, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout

    def stop(self) -> None:
        end_process(self._process, 5)
        self._log.close()


class FakeNode:
    """Answers INVITE with what it `says`: status and reason, then header fields; all else with 200. Keeps what it `heard`."""

    def __init__(self, status: str, more: str = "") -> None:
        self.address = own_address()
        self.heard: list[str] = []
        self.says = status, more
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 5060))
        self._socket.settimeout(0.05)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def line(self) -> str:
        """In a dispatcher list."""
        return f"1 sip:{self.address}:5060 8 0 rweight=1"

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                data, source = self._socket.recvfrom(65536)
            except TimeoutError:
                continue
            text = data.decode(errors="replace")
            method = text.partition(" ")[0]
            self.heard.append(text)
            if method == "ACK":
                continue
            status, more = self.says if method == "INVITE" else ("200 OK", "")
            echoed = re.findall(r"(?im)^(?:Via|From|To|Call-ID|CSeq):.*\r\n", text)
            lines = [line.replace("\r\n", ";tag=1\r\n") if line.lower().startswith("to:") else line for line in echoed]
            answer = f"SIP/2.0 {status}\r\n{''.join(lines)}{more}Content-Length: 0\r\n\r\n"
            self._socket.sendto(answer.encode(), source)

    def count(self, method: str) -> int:
        return sum(text.startswith(f"{method} ") for text in tuple(self.heard))

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        self._socket.close()


@contextlib.contextmanager
def front_and_nodes(
    folder: Path,
    names: str,
    home: Home | None = None,
    set_: Mapping[str, str] | None = None,
    address: str = "",
    **more: Any,
) -> Iterator[tuple[Front, Cluster]]:
    """Nodes that know a front, which has the list that one of them has written. home: whose telephones they are for; set_: what
    is set at the top of kamailio.cfg; address: the front's, else any; more: of the nodes' configuration.
    """
    address = address or (home.front if home is not None else own_address())
    trunks = {"front": {"address": address, "media": ["0.0.0.0/0"], "front": True}}
    settings = {"sip": {"trunks": trunks}, **more}
    router = {"router": {"enable": True}}
    with cluster(folder, names, router, home, settings) as nodes, contextlib.ExitStack() as stack:
        front = Front(folder / "front", address, **(set_ or {}))
        stack.callback(front.stop)
        wait_for(lambda: front.take(*nodes.nodes.values()).count("\n1 ") == len(names), 10, "all nodes are in the list")
        wait_for(lambda: set(front.flags().values()) == {"AP"}, 5, "all take calls")
        yield front, nodes
