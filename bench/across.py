"""How much later a sound leaves another node than its speaker's own, to the millisecond.

Somebody on one of two nodes says a noise; a listener on each is a plain socket of this process, whose packets are stamped by the
kernel. Where a piece of what one hears is in what the other hears tells how much later it was said there: by when packets of
that time came (their median, so that a tick that is late for once does not count) and by where in them the piece begins.
"""

from __future__ import annotations

import contextlib
import selectors
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.caller import Address, Caller
from bench.nodes import cluster
from bench.server import ADDRESS
from bench.stalls import Stall, StallMonitor, without_stalls
from bench.table import Figures, Row
from xconf.media.codecs import PCMU

RATE, FRAME = 8000, 160
PIECE, LONGEST = 0.5, 0.3  # s that are compared, and by which sound may be later
LOUD = 300  # from which on something is heard
MEDIAN = 0.040  # s
HEADER = 12
OLD_ENOUGH = 1 << 31


@dataclass
class Ear:
    """What a listener heard: when each packet came (s of CLOCK_MONOTONIC), its timestamp, its samples."""

    arrivals: list[float] = field(default_factory=list)
    timestamps: list[int] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)

    def take(self, at: float, packet: bytes) -> None:
        """One came."""
        if len(packet) == HEADER + FRAME:
            self.arrivals.append(at)
            self.timestamps.append(struct.unpack_from("!I", packet, 4)[0])
            self.frames.append(packet[HEADER:])

    def heard(self) -> Heard:
        """All of it, laid out by the timestamps."""
        places = (np.array(self.timestamps, np.int64) - self.timestamps[0] + OLD_ENOUGH) % (1 << 32) - OLD_ENOUGH
        places -= places.min()
        sound = np.zeros(int(places.max()) + FRAME, np.float32)
        decoded = PCMU.decode(np.frombuffer(b"".join(self.frames), np.uint8).reshape(-1, FRAME))
        sound[places[:, None] + np.arange(FRAME)] = decoded
        return Heard(sound, places, np.array(self.arrivals))


@dataclass(frozen=True)
class Heard:
    """sound: 8 kHz; places, arrivals: of each packet, where in it, and when it came (s)."""

    sound: npt.NDArray[np.float32]
    places: npt.NDArray[np.int64]
    arrivals: npt.NDArray[np.float64]

    def when(self, place: int) -> float:
        """s of CLOCK_MONOTONIC, of the sample there."""
        near = np.abs(self.places - place) <= PIECE * RATE
        return float(np.median(self.arrivals[near] - self.places[near] / RATE)) + place / RATE

    def place(self, at: float) -> int:
        """The sample of that time, nearly."""
        return int(self.places[np.argmin(np.abs(self.arrivals - at))])


def lags(here: Heard, there: Heard) -> Iterator[tuple[float, float]]:
    """When something was said, and by how much later it was heard there than here (s), from the first sound to the last."""
    size = round(PIECE * RATE)
    loud = np.flatnonzero(np.abs(here.sound) > LOUD)
    for place in range(int(loud[0]), int(loud[-1]) - size, size):
        said, at = here.sound[place : place + size], here.when(place)
        start = max(0, there.place(at) - round(LONGEST * RATE))
        heard = there.sound[start : start + size + round(2 * LONGEST * RATE)]
        if len(heard) <= size:
            return
        found = int(np.argmax(_likeness(said, heard)))
        yield at, there.when(start + found) - at


def _likeness(said: npt.NDArray[np.float32], heard: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Of what was said to what is heard from each place on."""
    length = len(said) + len(heard)
    product = np.fft.irfft(np.fft.rfft(heard, length) * np.conj(np.fft.rfft(said, length)), length)
    return product[: len(heard) - len(said) + 1]


@contextlib.contextmanager
def listening(callers: Sequence[Caller]) -> Iterator[list[Ear]]:
    """What each of them hears meanwhile."""
    ears = [Ear() for _ in callers]
    over = threading.Event()

    def run() -> None:
        with selectors.DefaultSelector() as ready:
            for caller, ear in zip(callers, ears, strict=True):
                ready.register(caller.rtp, selectors.EVENT_READ, (caller, ear))
            while not over.is_set():
                for key, _ in ready.select(0.1):
                    key.data[1].take(*key.data[0].received())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield ears
    finally:
        over.set()
        thread.join()


def speak(callers: Sequence[Caller], seconds: float) -> None:
    """Each says a noise of his own, beginning at times that are spread evenly over a tick."""
    noise = np.random.default_rng(1).normal(0, 3000, (len(callers), round(seconds * 50), FRAME)).clip(-32768, 32767)
    start = time.monotonic()
    for frame in range(noise.shape[1]):
        for number, caller in enumerate(callers):
            due = start + (frame + number / len(callers)) * 0.02
            time.sleep(max(0.0, due - time.monotonic()))
            payload = PCMU.encode(noise[number, frame : frame + 1].astype(np.int16))[0].tobytes()
            head = struct.pack("!BBHII", 0x80, 0, frame, frame * FRAME, 4711 + number)
            caller.rtp.sendto(head + payload, caller.remote)


def between(here: Address, there: Address, conferences: int, seconds: float) -> list[tuple[float, float]]:
    """`lags` of so many conferences on two nodes, on the first of which somebody speaks for so long; of their profile nobody
    hears a prompt. here, there: where their SIP is.
    """
    with contextlib.ExitStack() as stack:

        def call(node: Address, number: str) -> Caller:
            return stack.enter_context(contextlib.closing(Caller("127.0.0.31", number, node)))

        speakers = [call(here, f"300{number}") for number in range(conferences)]
        callers = [call(node, f"400{number}") for number in range(conferences) for node in (here, there)]
        with listening(callers) as ears:
            time.sleep(0.5)
            speak(speakers, seconds)
            time.sleep(LONGEST)
    heard = [ear.heard() for ear in ears]
    return [found for number in range(conferences) for found in lags(heard[2 * number], heard[2 * number + 1])]


def found(conferences: int, seconds: float, runs: int) -> tuple[list[float], str]:
    """s, sorted, of clusters of two nodes that are started so many times, and what was left out."""
    later: list[float] = []
    every = 0
    with StallMonitor() as stalls:
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as folder, cluster(2, Path(folder)) as nodes:
                here, there = ((node.host, ADDRESS[1]) for node in nodes)
                pieces = between(here, there, conferences, seconds)
            later += calm(pieces, stalls.sure())
            every += len(pieces)
        return sorted(later), f"{every - len(later)} near stalls left out: {stalls.describe()}"


def calm(pieces: list[tuple[float, float]], stalls: list[Stall]) -> list[float]:
    """By how much later, of the pieces that no stall of the machine has touched."""
    kept = {*without_stalls([at for at, _ in pieces], stalls, margin=2 * PIECE)}
    return [lag for at, lag in pieces if at in kept]


def measure(quick: bool) -> Figures:
    conferences, seconds, runs = (3, 4.0, 1) if quick else (5, 10.0, 4)
    later, left_out = found(conferences, seconds, runs)
    if not later:
        raise SystemExit("the machine stood still all the while")
    median, high = statistics.median(later), later[int(0.99 * len(later))]
    return Figures(
        [
            Row(
                "a sound leaves another node later than the speaker's own, median",
                f"at most {1000 * MEDIAN:.0f} ms",
                f"{1000 * median:.1f} ms",
                median <= MEDIAN,
                f"99 % at most {1000 * high:.1f} ms, all {1000 * later[0]:.1f} to {1000 * later[-1]:.1f}; {len(later)} pieces of "
                f"{PIECE} s of {conferences} conferences, two nodes started {runs} times; {left_out}",
            )
        ]
    )
