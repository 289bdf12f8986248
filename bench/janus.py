"""Janus with its AudioBridge, a mixing server: participants by plain RTP, told of over its Unix socket."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.callers import Address
from bench.peer import Peer, Running, process

_USED = ("libjanus_audiobridge.so", "libjanus_pfunix.so")
_ROOM = 1
_CONFIGURATION = """
general: {{ debug_level = 2, session_timeout = 0, configs_folder = "{folder}", server_name = "bench" }}
media: {{ ipv6 = false }}
plugins: {{ disable = "{unused}" }}
transports: {{ disable = "{unused}" }}
loggers: {{ disable = "{unused}" }}
"""
_SOCKET = 'general: {{ enabled = true, json = "compact", path = "{path}" }}\nadmin: {{ admin_enabled = false }}\n'
_BRIDGE = 'general: { local_ip = "127.0.0.1", rtp_port_range = "40000-59999" }\n'


class JanusAudioBridge:
    """A server that runs, with one room at 8 kHz; listeners are muted there, as they are with xconf."""

    def __init__(self, pid: int, path: Path) -> None:
        self.pid = pid
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(10)
        self._transactions = itertools.count()
        for _ in range(100):
            with contextlib.suppress(OSError):
                self._socket.connect(str(path))
                break
            time.sleep(0.05)
        self._session = self._ask(janus="create")["data"]["id"]
        room = {"request": "create", "room": _ROOM, "sampling_rate": 8000, "allow_rtp_participants": True}
        self._tell(self._attach(), room)

    def join(self, place: Address, speaks: bool) -> Address:
        rtp = {"ip": place[0], "port": place[1], "payload_type": 0}
        body = {"request": "join", "room": _ROOM, "codec": "pcmu", "muted": not speaks, "rtp": rtp}
        answer = self._tell(self._attach(), body)
        return answer["rtp"]["ip"], answer["rtp"]["port"]

    def close(self) -> None:
        self._socket.close()

    def _attach(self) -> int:
        handle = self._ask(janus="attach", session_id=self._session, plugin="janus.plugin.audiobridge")
        return int(handle["data"]["id"])

    def _tell(self, handle: int, body: dict[str, Any]) -> dict[str, Any]:
        said = self._ask(janus="message", session_id=self._session, handle_id=handle, body=body)
        data: dict[str, Any] = said["plugindata"]["data"]
        if "error" in data:
            raise SystemExit(f"Janus refused: {data['error']}")
        return data

    def _ask(self, **request: Any) -> dict[str, Any]:
        """The answer to a request. News of other participants come between, and are of no interest."""
        number = str(next(self._transactions))
        self._socket.send(json.dumps(request | {"transaction": number}).encode())
        while True:
            answer: dict[str, Any] = json.loads(self._socket.recv(1 << 20))
            if answer.get("transaction") == number and answer["janus"] != "ack":
                if answer["janus"] == "error":
                    raise SystemExit(f"Janus refused: {answer['error']}")
                return answer


@contextlib.contextmanager
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="janus-") as name:
        folder = Path(name)
        unused = [file.name for file in Path("/usr/lib").glob("*/janus/*/*.so") if file.name not in _USED]
        main = _CONFIGURATION.format(folder=folder, unused=",".join(unused))
        (folder / "janus.jcfg").write_text(main)
        (folder / "janus.transport.pfunix.jcfg").write_text(_SOCKET.format(path=folder / "api"))
        (folder / "janus.plugin.audiobridge.jcfg").write_text(_BRIDGE)
        command = ["janus", "-F", str(folder), "-C", str(folder / "janus.jcfg")]
        with process(command, folder / "log") as started:
            server = JanusAudioBridge(started.pid, folder / "api")
            yield server
            server.close()


PEER = Peer(
    "Janus AudioBridge",
    "janus",
    "janus",
    running,
    ((100,), (100, 300, 500)),
    echoes=True,
    reach=5,
    note="it mixes, and encodes for each listener; the listeners are muted there, so it decodes the speaker alone",
)
