"""One-way latency: from a sound in the speaker's packet in, to the same sound in the listener's packet out.

A speaker and a listener call a server of their own, as plain sockets. The speaker's stream is silence with a loud packet
every quarter of a second; the listener's packets are stamped by the kernel. Each pair of calls has its own phase to the
server's tick, so there are many pairs. What lies near a stall of the machine is left out.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import struct
import threading
import time

import numpy as np

from bench.plot import Plot
from bench.server import ADDRESS, server
from bench.stalls import StallMonitor, without_stalls
from bench.table import Figures, Row
from xconf.media.codecs import PCMU

PAIRS, SECONDS = 20, 5.0
EVERY = 13  # packets from one loud packet to the next: no multiple of any period of the server
LIMITS = {"median": 20.0, "99th percentile": 35.0}  # ms


class Caller:
    """A phone of two sockets: as little between the wire and the figure as can be."""

    def __init__(self, address: str, number: str) -> None:
        self.sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.rtp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sip.bind((address, 0))
        self.rtp.bind((address, 0))
        self.sip.settimeout(5)
        self._number, self._address = number, address
        self._call_id = f"{number}-{self.sip.getsockname()[1]}@{address}"
        self.remote = self._invite()

    def _request(self, method: str, sequence: int, to_tag: str, body: str = "") -> bytes:
        host, port = self.sip.getsockname()
        lines = [
            f"{method} sip:{self._number}@{ADDRESS[0]}:{ADDRESS[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{method}{sequence}{port};rport",
            "Max-Forwards: 70",
            f"From: <sip:bench@{host}>;tag=bench{port}",
            f"To: <sip:{self._number}@{ADDRESS[0]}>{to_tag}",
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
        self.sip.sendto(self._request("INVITE", 1, "", body), ADDRESS)
        while True:
            text = self.sip.recv(4096).decode()
            if text.startswith("SIP/2.0 200"):
                break
            if not text.startswith("SIP/2.0 1"):
                raise SystemExit(f"the server refused the call: {text.splitlines()[0]}")
        to = next(line for line in text.splitlines() if line.lower().startswith("to:"))
        self._tag = ";tag=" + to.split("tag=")[1].strip()
        self.sip.sendto(self._request("ACK", 1, self._tag), ADDRESS)
        media = next(line for line in text.splitlines() if line.startswith("m=audio"))
        return ADDRESS[0], int(media.split()[1])

    def close(self) -> None:
        self.sip.sendto(self._request("BYE", 2, self._tag), ADDRESS)
        with contextlib.suppress(TimeoutError):
            self.sip.recv(4096)
        self.sip.close()
        self.rtp.close()


LOUD = PCMU.encode(np.full((1, 160), 12000, np.int16))[0].tobytes()
QUIET = b"\xff" * 160


def listen(caller: Caller, heard: list[float], until: float) -> None:
    """Note when a loud packet comes after a quiet one, by the kernel's clock turned to CLOCK_MONOTONIC."""
    caller.rtp.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
    caller.rtp.settimeout(0.2)
    before = False
    while time.monotonic() < until:
        try:
            packet, ancillary, _, _ = caller.rtp.recvmsg(2048, 64)
        except TimeoutError:
            continue
        seconds, nanoseconds = struct.unpack("qq", ancillary[0][2][:16])
        offset = time.time() - time.monotonic()
        loud = float(np.abs(PCMU.decode(np.frombuffer(packet[12:], np.uint8)[None]).astype(int)).max()) > 5000
        if loud and not before:
            heard.append(seconds + nanoseconds * 1e-9 - offset)
        before = loud


def speak(caller: Caller, phase: float) -> list[float]:
    """Send for SECONDS; when each loud packet was sent."""
    sent = []
    start = time.monotonic() + phase
    for number in range(int(SECONDS * 50)):
        delay = start + number * 0.02 - time.monotonic()
        if delay > 0:
            time.sleep(delay)
        loud = number > 50 and number % EVERY == 0
        head = struct.pack("!BBHII", 0x80, 0, number, number * 160, 4711)
        now = time.monotonic()
        caller.rtp.sendto(head + (LOUD if loud else QUIET), caller.remote)
        if loud:
            sent.append(now)
    return sent


def pair(number: int) -> list[tuple[float, float]]:
    """(when a sound was sent, how many ms later it was heard) of one speaker and one listener."""
    speaker, listener = Caller("127.0.0.21", f"3{number}"), Caller("127.0.0.22", f"4{number}")
    heard: list[float] = []
    thread = threading.Thread(target=listen, args=(listener, heard, time.monotonic() + SECONDS + 0.5))
    thread.start()
    sent = speak(speaker, number * 0.02 / PAIRS)
    thread.join()
    speaker.close()
    listener.close()
    times = np.array(heard)
    found = []
    for moment in sent:
        later = times[(times > moment) & (times < moment + 0.2)]
        if len(later):
            found.append((moment, float(later[0] - moment) * 1000))
    return found


def measure(quick: bool) -> Figures:
    pairs = 3 if quick else PAIRS
    with StallMonitor() as stalls, server():
        measured = [figure for number in range(pairs) for figure in pair(number)]
        time.sleep(0.2)
        calm = set(without_stalls([moment for moment, _ in measured], stalls.stalls(), margin=0.5))
        waits = sorted(wait for moment, wait in measured if moment in calm)
        left_out = f"left out {len(measured) - len(waits)} near stalls: {stalls.describe()}"
    figures = {"median": statistics.median(waits), "99th percentile": waits[int(len(waits) * 0.99)]}
    note = f"{len(waits)} sounds of {pairs} pairs of calls, {waits[0]:.1f} to {waits[-1]:.1f} ms; {left_out}"
    rows = [
        Row(
            f"one-way latency through the server, {name}",
            f"at most {LIMITS[name]:.0f} ms",
            f"{value:.1f} ms",
            value <= LIMITS[name],
            note if name == "median" else "",
        )
        for name, value in figures.items()
    ]
    shares = [(wait, 100 * (number + 1) / len(waits)) for number, wait in enumerate(waits)]
    curve = {"sounds": [(0.0, 0.0), *shares[:: max(1, len(shares) // 100)], shares[-1]]}
    return Figures(rows, [Plot("latency", "One-way latency through the server", "ms", "% heard by then", curve)])
