"""What a listener costs: the server's CPU for one speaker and many listeners who send too, over the floor's in the same run."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

from bench import floor
from bench.crowd import SETTLE, Crowd, crowd
from bench.plot import Plot, Points
from bench.server import Server, server
from bench.table import Figures, Row

RATIO, PER_CORE, PER_CORE_UNFILTERED, EXTRA = 1.25, 10_000, 8_000, 0.05
FAR = 4.0  # a ratio that no noisy machine explains
SPEAKERS = 50
FRAMES = 50  # packets a second
TOLERANCE = 1.0  # of these: what a stall of the machine may take away


@dataclass(slots=True, frozen=True)
class Spent:
    """CPU seconds per second of the server; packets a second that a call was sent."""

    cpu: float
    packets_per_call: float
    generator: float


def spend(served: Server, callers: Crowd, seconds: float) -> Spent:
    """What is spent while the calls are up; then they are hung up."""
    time.sleep(SETTLE)
    before, generator, began = served.cpu(), callers.cpu(), time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    cpu, generator = (served.cpu() - before) / elapsed, (callers.cpu() - generator) / elapsed
    return Spent(cpu, callers.hang_up()["packets_per_call"], generator)


def one(listeners: int, seconds: float, *, speakers: int = 1, filtered: bool = True) -> Spent:
    with server(filtered=filtered) as served, crowd(listeners + speakers, speakers=speakers) as callers:
        return spend(served, callers, seconds)


def measure(quick: bool) -> Figures:
    listeners, seconds, rounds = (1000, 3.0, 2) if quick else (5000, 10.0, 3)
    found: dict[str, list[float]] = {
        name: [] for name in ("server", "floor", "packet", "unfiltered", "extra", "callers")
    }
    least = float(FRAMES)
    for _ in range(rounds):
        single = one(listeners, seconds)
        base = floor.measure(listeners + 1, 1, seconds)
        open_ = one(listeners, seconds, filtered=False)
        many = one(listeners, seconds, speakers=SPEAKERS)
        found["server"].append(single.cpu)
        found["floor"].append(base.cpu / base.seconds)
        found["packet"].append(base.cpu / base.sent * 1e6)
        found["callers"].append(single.generator)
        found["unfiltered"].append(listeners / open_.cpu)
        # The speakers are sent packets too, and that is not what is asked here.
        found["extra"].append(many.cpu - single.cpu * (listeners + SPEAKERS) / (listeners + 1))
        least = min(least, single.packets_per_call, open_.packets_per_call, many.packets_per_call)
    middle = {name: statistics.median(values) for name, values in found.items()}
    ratios = [cpu / base for cpu, base in zip(found["server"], found["floor"], strict=True)]
    ratio, extra = statistics.median(ratios), middle["extra"]
    work = f"1 speaker, {listeners} listeners that send 50 packets/s"
    delivered = least > FRAMES - TOLERANCE
    how = (
        f"the floor: {middle['packet']:.2f} CPU us a packet, the callers: {middle['callers'] / middle['floor']:.2f} of "
        f"the floor; every call was sent {least:.2f} packets/s of {FRAMES}"
    )
    rows = [
        Row(
            f"CPU of the server over the C floor; {work}",
            f"at most {RATIO}",
            f"{ratio:.2f}",
            ratio <= RATIO and delivered,
            f"{_runs(ratios, '.2f')}; {how}",
            far=ratio > FAR or not delivered,
        ),
        _per_core(
            f"listeners per core, kernel filter on; {work}",
            PER_CORE,
            delivered,
            [listeners / cpu for cpu in found["server"]],
        ),
        _per_core("the same, kernel filter off", PER_CORE_UNFILTERED, delivered, found["unfiltered"]),
        Row(
            f"{SPEAKERS} speakers all speaking + {listeners} listeners: extra CPU over 1 speaker",
            f"at most {EXTRA:.0%} of a core",
            f"{extra:.1%} of a core",
            extra <= EXTRA and delivered,
            _runs(found["extra"], ".1%"),
        ),
    ]
    plot = Plot("listeners", "CPU for listeners who send, 1 speaker", "listeners", "cores")
    served, base_curve = _curves([listeners // 4, listeners // 2], seconds)
    plot.curves = {
        "xconf": [*served, (listeners, middle["server"])],
        "the C floor": [*base_curve, (listeners, middle["floor"])],
    }
    return Figures(rows, [plot])


def _curves(counts: list[int], seconds: float) -> tuple[Points, Points]:
    """CPU of the server and of the floor by listeners."""
    served: Points = [(0.0, 0.0)]
    base: Points = [(0.0, 0.0)]
    for count in counts:
        served.append((count, one(count, seconds).cpu))
        run = floor.measure(count + 1, 1, seconds)
        base.append((count, run.cpu / run.seconds))
    return served, base


def _per_core(what: str, reach: int, delivered: bool, values: list[float]) -> Row:
    value = statistics.median(values)
    return Row(what, f"at least {reach:,}", f"{value:,.0f}", value >= reach and delivered, _runs(values, ",.0f"))


def _runs(values: list[float], form: str) -> str:
    return f"{len(values)} runs: {min(values):{form}} to {max(values):{form}}"
