"""One-way latency: from a sound in the speaker's packet in, to the same sound in the listener's packet out.

A speaker and a listener call a server of their own, as plain sockets. The speaker's stream is silence with a loud packet
every quarter of a second; the listener's packets are stamped by the kernel. Each pair of calls has its own phase to the
server's tick, so there are many pairs. What lies near a stall of the machine is left out, until its delay is gone again.
"""

from __future__ import annotations

import statistics
import struct
import threading
import time

import numpy as np

from bench.caller import Caller
from bench.plot import Plot
from bench.server import server
from bench.stalls import StallMonitor, without_stalls
from bench.table import Figures, Row
from xconf.media.codecs import PCMU

PAIRS, SECONDS = 20, 5.0
RECOVERED = 1.5  # s around a stall that count as stalled: a ring that had to wait is as short as before a second later
EVERY = 13  # packets from one loud packet to the next: no multiple of any period of the server
LIMITS = {"median": 20.0, "99th percentile": 35.0}  # ms


LOUD = PCMU.encode(np.full((1, 160), 12000, np.int16))[0].tobytes()
QUIET = b"\xff" * 160


def listen(caller: Caller, heard: list[float], until: float) -> None:
    """Note when a loud packet comes after a quiet one, by the kernel's clock turned to CLOCK_MONOTONIC."""
    caller.rtp.settimeout(0.2)
    before = False
    while time.monotonic() < until:
        try:
            came, packet = caller.received()
        except TimeoutError:
            continue
        loud = float(np.abs(PCMU.decode(np.frombuffer(packet[12:], np.uint8)[None]).astype(int)).max()) > 5000
        if loud and not before:
            heard.append(came)
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
        calm = set(without_stalls([moment for moment, _ in measured], stalls.stalls(), margin=RECOVERED))
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
