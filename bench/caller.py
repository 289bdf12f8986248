"""A phone of two sockets, one call each: as little between the wire and a figure as can be."""

from __future__ import annotations

import contextlib
import socket
import struct
import time

from bench.server import ADDRESS

Address = tuple[str, int]

_TIMESTAMPS = 35  # SO_TIMESTAMPNS of Linux


class Caller:
    """A call with PCMU, up when this is made. server: whom it calls; remote: where its packets go."""

    def __init__(self, address: str, number: str, server: Address = ADDRESS) -> None:
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((address, 0))
        self.rtp.bind((address, 0))
        self.sip.settimeout(5)
        self.rtp.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self._number, self._address, self._server = number, address, server
        self._call_id = f"{number}-{self.sip.getsockname()[1]}@{address}"
        self.remote = self._invite()

    def _request(self, method: str, sequence: int, to_tag: str, body: str = "") -> bytes:
        host, port = self.sip.getsockname()
        lines = [
            f"{method} sip:{self._number}@{self._server[0]}:{self._server[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{method}{sequence}{port};rport",
            "Max-Forwards: 70",
            f"From: <sip:bench@{host}>;tag=bench{port}",
            f"To: <sip:{self._number}@{self._server[0]}>{to_tag}",
            f"Call-ID: {self._call_id}",
            f"CSeq: {sequence} {method}",
            f"Contact: <sip:bench@{host}:{port}>",
            *(["Content-Type: application/sdp"] if body else []),
            f"Content-Length: {len(body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    def _invite(self) -> tuple[str, int]:
        port = self.rtp.getsockname()[1]
        body = (
            f"v=0\r\no=- 1 1 IN IP4 {self._address}\r\ns=-\r\nc=IN IP4 {self._address}\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
        )
        self.sip.sendto(self._request("INVITE", 1, "", body), self._server)
        while True:
            text = self.sip.recv(4096).decode()
            if text.startswith("SIP/2.0 200"):
                break
            if not text.startswith("SIP/2.0 1"):
                raise SystemExit(f"the server refused the call: {text.splitlines()[0]}")
        to = next(line for line in text.splitlines() if line.lower().startswith("to:"))
        self._tag = ";tag=" + to.split("tag=")[1].strip()
        self.sip.sendto(self._request("ACK", 1, self._tag), self._server)
        media = next(line for line in text.splitlines() if line.startswith("m=audio"))
        return self._server[0], int(media.split()[1])

    def close(self) -> None:
        self.sip.sendto(self._request("BYE", 2, self._tag), self._server)
        with contextlib.suppress(TimeoutError):
            self.sip.recv(4096)
        self.sip.close()
        self.rtp.close()

    def received(self) -> tuple[float, bytes]:
        """When the next packet came, as the kernel noted it (s of CLOCK_MONOTONIC), and what it is. Raises what `recvmsg` does."""
        packet, ancillary, _, _ = self.rtp.recvmsg(2048, 64)
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
        return seconds + nanoseconds * 1e-9 - (time.time() - time.monotonic()), packet
