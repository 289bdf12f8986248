"""rtpengine, a forwarding server: one published stream, subscribers to it, told of by its ng protocol (bencode over UDP).

In user space: its kernel module is for those who may load one, and forwards without the daemon's CPU.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.callers import Address
from bench.peer import Peer, Running, process

_CONTROL = ("127.0.0.1", 29900)
_CALL, _SPEAKER = "bench", "speaker"
_SDP = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={way}\r\n"
)


class Rtpengine:
    """A server that runs. The first who joins is heard by all others."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(_CONTROL)
        self._socket.settimeout(0.2)
        self._cookies = itertools.count()
        for _ in range(50):
            with contextlib.suppress(OSError):
                self._ask(command="ping")
                break
            time.sleep(0.05)
        self._socket.settimeout(10)

    def join(self, place: Address, speaks: bool) -> Address:
        if speaks:
            answer = self._ask(
                command="publish", **{"call-id": _CALL, "from-tag": _SPEAKER, "sdp": _sdp(place, "sendonly")}
            )
        else:
            answer = self._ask(command="subscribe request", **{"call-id": _CALL, "from-tag": _SPEAKER})
            words = {"call-id": _CALL, "to-tag": answer["to-tag"], "sdp": _sdp(place, "recvonly")}
            self._ask(command="subscribe answer", **words)
        port = re.search(r"m=audio (\d+)", answer["sdp"])
        assert port is not None
        return "127.0.0.1", int(port[1])

    def close(self) -> None:
        self._socket.close()

    def _ask(self, **request: str) -> dict[str, Any]:
        cookie = b"%d " % next(self._cookies)
        self._socket.send(cookie + bencode(request))
        while True:
            said = self._socket.recv(1 << 16)
            if said.startswith(cookie):
                break
        answer: dict[str, Any] = bdecode(said[len(cookie) :])
        if answer["result"] not in ("ok", "pong"):
            raise SystemExit(f"rtpengine refused: {answer}")
        return answer


def _sdp(place: Address, way: str) -> str:
    return _SDP.format(host=place[0], port=place[1], way=way)


def bencode(value: str | dict[str, str]) -> bytes:
    """A text, or a dictionary of texts."""
    if isinstance(value, str):
        octets = value.encode()
        return b"%d:%s" % (len(octets), octets)
    return b"d%se" % b"".join(bencode(key) + bencode(value[key]) for key in sorted(value))


def bdecode(octets: bytes) -> Any:
    """One value: text, number, list or dictionary."""
    return _decode(octets, 0)[0]


def _decode(octets: bytes, at: int) -> tuple[Any, int]:
    kind = octets[at : at + 1]
    if kind == b"i":
        end = octets.index(b"e", at)
        return int(octets[at + 1 : end]), end + 1
    if kind in b"ld":
        items, at = [], at + 1
        while octets[at : at + 1] != b"e":
            item, at = _decode(octets, at)
            items.append(item)
        return (items if kind == b"l" else dict(zip(items[::2], items[1::2], strict=True))), at + 1
    colon = octets.index(b":", at)
    end = colon + 1 + int(octets[at:colon])
    return octets[colon + 1 : end].decode(), end


@contextlib.contextmanager
def running() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="rtpengine-") as folder:
        host, port = _CONTROL
        command = ["rtpengine", "--foreground", "--log-stderr", "--log-level=3", "--table=-1", "--config-file=none"]
        command += ["--interface=127.0.0.1", f"--listen-ng={host}:{port}", "--port-min=34000", "--port-max=59998"]
        with process(command, Path(folder) / "log") as started:
            server = Rtpengine(started.pid)
            yield server
            server.close()


PEER = Peer(
    "rtpengine",
    "rtpengine",
    "rtpengine-daemon",
    running,
    ((500,), (500, 1000, 2000, 4000)),
    echoes=False,
    reach=2,
    note="it forwards one stream and mixes nothing; in user space, without its kernel module",
)
