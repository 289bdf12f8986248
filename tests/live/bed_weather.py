"""A network that does harm: a switch between network namespaces that loses, delays, reorders and doubles what is sent by UDP.

Each host's `eth0` is a TAP device whose other end a process of its own holds (this file, as a program): so it works where the
kernel has no netem. All it does is drawn from a seeded generator. Names are resolved (ARP), and joins are told (IGMP), unharmed.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import json
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

TUN = "/dev/net/tun"
_SET_DEVICE, _TAP, _NO_HEADER = 0x400454CA, 0x0002, 0x1000
_NEW_NETWORK = 0x40000000  # CLONE_NEWNET
MOST_FLYING = 100_000  # frames; what is beyond is lost


@dataclass(frozen=True, slots=True)
class Weather:
    """What happens to a datagram on its way to each host. Shares are 0..1, times s.

    jitter: it takes as much more, at most, each by chance; ordered: none overtakes another; late: share that takes 20 ms more;
    doubled: share that comes twice; cut: hosts that nobody reaches and that reach nobody; mirror: a host that gets all.
    """

    loss: float = 0.0
    jitter: float = 0.0
    ordered: bool = False
    late: float = 0.0
    doubled: float = 0.0
    cut: Sequence[int] = ()
    mirror: int = -1


FAIR = Weather()


@dataclass
class Passage:
    """When what is sent comes."""

    weather: Weather = FAIR
    random: random.Random = field(default_factory=lambda: random.Random(1))
    _last: dict[tuple[int, int], float] = field(default_factory=dict)

    def arrivals(self, sender: int, receiver: int, now: float) -> list[float]:
        """Of one datagram; none: it is lost."""
        its, chance = self.weather, self.random.random
        if {sender, receiver} & {*its.cut} or chance() < its.loss:
            return []
        times = [
            now + chance() * its.jitter + 0.02 * (chance() < its.late) for _ in range(1 + (chance() < its.doubled))
        ]
        if its.ordered:
            times = [max(at, self._last.get((sender, receiver), 0.0)) for at in times]
            self._last[sender, receiver] = max(times)
        return times


class Switch:
    """Between the ends of TAP devices, hosts 0, 1, …; `turn` until the time it returns."""

    def __init__(self, ends: Sequence[int], passage: Passage) -> None:
        self.ends, self.passage = ends, passage
        self._flying: list[tuple[float, int, int, bytes]] = []
        self._number = itertools.count()
        self._homes: dict[bytes, int] = {}

    def frame(self, sender: int, frame: bytes, now: float) -> None:
        """One came from a host."""
        self._homes[frame[6:12]] = sender
        home = self._homes.get(frame[:6])
        others = [host for host in range(len(self.ends)) if host != sender]
        mirror = self.passage.weather.mirror
        for host in others if home is None else [home]:
            harmed = frame[12:14] == b"\x08\x00" and frame[23] == socket.IPPROTO_UDP
            for at in self.passage.arrivals(sender, host, now) if harmed else [now]:
                self._fly(at, host, frame)
        if mirror in others and home not in (None, mirror):
            self._fly(now, mirror, frame)

    def _fly(self, at: float, host: int, frame: bytes) -> None:
        if len(self._flying) < MOST_FLYING:
            heapq.heappush(self._flying, (at, next(self._number), host, frame))

    def deliver(self, now: float) -> float | None:
        """What is due. Returns s until more is."""
        while self._flying and self._flying[0][0] <= now:
            _, _, host, frame = heapq.heappop(self._flying)
            try:
                os.write(self.ends[host], frame)
            except OSError:  # its device is down
                continue
        return self._flying[0][0] - now if self._flying else None


def open_tap(name: str) -> int:
    """One end of a new device, which is gone when that is closed. Raises OSError."""
    end = os.open(TUN, os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(end, _SET_DEVICE, struct.pack("16sH22x", name.encode(), _TAP | _NO_HEADER))
    return end


def serve(names: Sequence[str]) -> None:
    """Until standard input ends; each line of it is another weather."""
    switch = Switch([open_tap(name) for name in names], Passage())
    hosts = {end: host for host, end in enumerate(switch.ends)}
    print("ready", flush=True)
    while True:
        wait = switch.deliver(time.monotonic())
        ready, _, _ = select.select([0, *hosts], [], [], wait)
        for end in ready:
            if end == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                switch.passage.weather = Weather(**json.loads(line))
                print("set", flush=True)
                continue
            for _ in range(64):
                try:
                    frame = os.read(end, 2048)
                except OSError:
                    break
                switch.frame(hosts[end], frame, time.monotonic())


class WeatherProcess:
    """That program. names: of its devices. Raises OSError where devices cannot be had."""

    def __init__(self, names: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__)), *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        if self._said() != "ready":
            self.close()
            raise OSError(f"no TAP devices by {TUN}")

    def _said(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def set(self, weather: Weather) -> None:
        """From now on."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(weather)) + "\n")
        self.process.stdin.flush()
        assert self._said() == "set"

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(5)


def made_within(space: str, make: Callable[[], Any]) -> Any:
    """What `make` returns in a network namespace: a socket stays in the one where it was made. Only a thread goes there."""
    made: list[Any] = []

    def run() -> None:
        with open(f"/run/netns/{space}") as its:
            if ctypes.CDLL(None, use_errno=True).setns(its.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), f"namespace {space}")
        made.append(make())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return made[0]


if __name__ == "__main__":
    serve(sys.argv[1:])
