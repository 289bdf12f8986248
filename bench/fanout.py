"""What a listener costs: the server's CPU for one speaker and many listeners who send too, over the floor's in the same run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass, field

from bench import floor
from bench.calm import calm, watch
from bench.crowd import SETTLE, crowd
from bench.plot import Plot, Points
from bench.server import server
from bench.stalls import Stall, StallMonitor
from bench.table import Figures, Row

RATIO, PER_CORE, PER_CORE_UNFILTERED, EXTRA = 1.25, 10_000, 8_000, 0.05
SPEAKERS = 50
FRAMES = 50  # packets a second
TOLERANCE = 0.5  # of these: what is not delivered, and does not spoil a figure
ENOUGH = 0.4  # of the time without stalls: a figure of less is none


@dataclass(slots=True, frozen=True)
class Size:
    """How much is measured: listeners, calls/s to get there, seconds until what the set-up left behind is gone (RFC 3261
    keeps transactions for 32 s), seconds, how often.
    """

    listeners: int
    rate: float
    settle: float
    seconds: float
    rounds: int


QUICK, FULL = Size(2000, 300.0, SETTLE, 4.0, 1), Size(5000, 200.0, 33.0, 10.0, 3)


@dataclass(slots=True, frozen=True)
class Spent:
    """CPU seconds per second of the server and of the callers; packets a second that a call was sent; the share of the time
    without stalls, which is what all this is about.
    """

    cpu: float
    callers: float
    packets: float
    calm: float


def one(listeners: int, size: Size, *, speakers: int = 1, filtered: bool = True) -> Spent:
    """What a server of its own spends while the calls are up. In a run that was one long stall: again, once or twice."""
    for _ in range(3):
        found = _one(listeners, size, speakers, filtered)
        if found.calm >= ENOUGH:
            return found
    raise SystemExit("the machine stands still too often for a figure")


def _one(listeners: int, size: Size, speakers: int, filtered: bool) -> Spent:
    with (
        StallMonitor() as stalls,
        server(filtered=filtered) as served,
        crowd(listeners + speakers, speakers=speakers, rate=size.rate) as callers,
    ):
        time.sleep(size.settle)
        seen = watch(lambda: (served.cpu(), callers.cpu()), size.seconds)
        known = stalls.sure()
        result = callers.hang_up()
    spent, cpu, generator = calm(seen, known)
    stalled = _seconds(known, float(seen[0, 0]), float(seen[-1, 0])) / result["held"]
    packets = result["packets_per_call"] + FRAMES * min(1.0, stalled)
    spent = max(spent, 1e-9)
    return Spent(cpu / spent, generator / spent, packets, spent / float(seen[-1, 0] - seen[0, 0]))


def _seconds(stalls: list[Stall], start: float, end: float) -> float:
    return sum(max(0.0, min(stall.end, end) - max(stall.start, start)) for stall in stalls)


def floor_of(listeners: int, seconds: float) -> tuple[float, float]:
    """CPU seconds per second of the floor, and CPU seconds per packet that it sends."""
    for _ in range(3):
        with StallMonitor() as stalls:
            said, _ = floor.measure(listeners + 1, 1, seconds)
            run = calm(said, stalls.sure())
        if run[floor.SECONDS] >= ENOUGH * seconds:
            return run[floor.CPU] / run[floor.SECONDS], run[floor.CPU] / run[floor.SENT]
    raise SystemExit("the machine stands still too often for a figure")


@dataclass(slots=True)
class Found:
    """Of each run: CPU of the server, with the filter, without, and with many speakers; of the floor, also a packet's."""

    single: list[Spent] = field(default_factory=list)
    unfiltered: list[Spent] = field(default_factory=list)
    many: list[Spent] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    packet: list[float] = field(default_factory=list)

    def least(self) -> float:
        """Packets a second that a call was sent in the worst of the runs."""
        return min(run.packets for run in (*self.single, *self.unfiltered, *self.many))


def measure(quick: bool) -> Figures:
    size = QUICK if quick else FULL
    if not floor.can_run():
        return Figures([Row("CPU of the server over the C floor", f"at most {RATIO}", "no C compiler")])
    found = Found()
    for _ in range(size.rounds):
        found.single.append(one(size.listeners, size))
        cpu, packet = floor_of(size.listeners, size.seconds)
        found.floor.append(cpu)
        found.packet.append(packet)
        found.unfiltered.append(one(size.listeners, size, filtered=False))
        found.many.append(one(size.listeners, size, speakers=SPEAKERS))
    counts = [] if quick else [size.listeners // 4, size.listeners // 2]
    plot = empty_plot()
    ours: Points = [(count, one(count, size).cpu) for count in counts]
    base: Points = [(count, floor_of(count, size.seconds)[0]) for count in counts]
    plot.curves["xconf"] = [(0, 0), *ours, (size.listeners, statistics.median(run.cpu for run in found.single))]
    plot.curves["the C floor"] = [(0, 0), *base, (size.listeners, statistics.median(found.floor))]
    return Figures(rows(found, size.listeners), [plot])


def empty_plot() -> Plot:
    """Listeners against CPU; whoever serves listeners adds a curve."""
    return Plot("listeners", "CPU for listeners who send, 1 speaker", "listeners", "cores")


def per_core(quick: bool) -> float:
    """Listeners per core of xconf, for comparison with others in the same run."""
    size = QUICK if quick else FULL
    return size.listeners / one(size.listeners, size).cpu


def rows(found: Found, listeners: int) -> list[Row]:
    """What is said of the runs."""
    least = found.least()
    delivered = least > FRAMES - TOLERANCE
    ratios = [run.cpu / base for run, base in zip(found.single, found.floor, strict=True)]
    callers = [run.callers / base for run, base in zip(found.single, found.floor, strict=True)]
    # The speakers are sent packets too, and that is not what is asked here.
    share = (listeners + SPEAKERS) / (listeners + 1)
    extra = [many.cpu - single.cpu * share for many, single in zip(found.many, found.single, strict=True)]
    ratio, more = statistics.median(ratios), statistics.median(extra)
    work = f"1 speaker, {listeners} listeners that send 50 packets/s"
    how = (
        f"the floor: {statistics.median(found.packet) * 1e6:.2f} CPU us a packet, the callers: "
        f"{statistics.median(callers):.2f} of the floor; every call was sent {least:.2f} packets/s of {FRAMES}"
    )
    return [
        Row(
            f"CPU of the server over the C floor; {work}",
            f"at most {RATIO}",
            f"{ratio:.2f}",
            ratio <= RATIO and delivered,
            f"{_runs(ratios, '.2f')}; {how}",
            worse=max(ratio / RATIO, FRAMES / max(least, 1e-9)),
        ),
        _per_core_row(f"listeners per core, kernel filter on; {work}", PER_CORE, delivered, listeners, found.single),
        _per_core_row("the same, kernel filter off", PER_CORE_UNFILTERED, delivered, listeners, found.unfiltered),
        Row(
            f"{SPEAKERS} speakers all speaking + {listeners} listeners: extra CPU over 1 speaker",
            f"at most {EXTRA:.0%} of a core",
            f"{more:.1%} of a core",
            more <= EXTRA and delivered,
            _runs(extra, ".1%"),
        ),
    ]


def _per_core_row(what: str, reach: int, delivered: bool, listeners: int, runs: list[Spent]) -> Row:
    values = [listeners / run.cpu for run in runs]
    value = statistics.median(values)
    return Row(what, f"at least {reach:,}", f"{value:,.0f}", value >= reach and delivered, _runs(values, ",.0f"))


def _runs(values: list[float], form: str) -> str:
    return f"{len(values)} runs: {min(values):{form}} to {max(values):{form}}"
