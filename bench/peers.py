"""Other servers beside xconf, with the same work in the same run: one speaker, listeners who all send too, G.711."""

from __future__ import annotations

from dataclasses import dataclass

from bench import fanout, janus, rtpengine
from bench.callers import callers
from bench.calm import calm, watch
from bench.crowd import SETTLE
from bench.peer import Peer
from bench.plot import Points
from bench.server import cpu_seconds
from bench.stalls import StallMonitor
from bench.table import Figures, Row

PEERS = (janus.PEER, rtpengine.PEER)
CLEAN = 49.5  # packets a second that a listener is sent at least, of 50


@dataclass(slots=True, frozen=True)
class Tried:
    """One number of listeners at a peer: CPU seconds a second, packets a second and listener."""

    listeners: int
    cpu: float
    packets: float

    @property
    def per_core(self) -> float:
        return self.listeners / self.cpu

    @property
    def clean(self) -> bool:
        return self.packets >= CLEAN


def measure(quick: bool) -> Figures:
    figures = Figures()
    plot = fanout.empty_plot()
    present = [peer for peer in PEERS if peer.installed]
    ours = fanout.per_core(quick) if present else 0.0
    for peer in PEERS:
        tried = (
            [at_work(peer, count, 3.0 if quick else 10.0) for count in peer.counts[not quick]]
            if peer in present
            else []
        )
        figures.rows.append(row(peer, tried, ours))
        clean: Points = [(run.listeners, run.cpu) for run in tried if run.clean]
        if clean:
            plot.curves[peer.name] = [(0.0, 0.0), *clean]
    figures.plots.append(plot)
    return figures


def at_work(peer: Peer, listeners: int, seconds: float) -> Tried:
    """That many listeners at a server of its own."""
    with StallMonitor() as stalls, callers(listeners + 1, 1) as crowd, peer.running() as served:
        crowd.start([served.join(place, caller == 0) for caller, place in enumerate(crowd.places)])

        def look() -> tuple[float, float]:
            return cpu_seconds(served.pid), crowd.count().arrived

        watch(lambda: (), 2 * SETTLE)
        seen = watch(look, seconds)
        spent, cpu, arrived = calm(seen, stalls.sure())
    if not spent:
        raise SystemExit("the machine stood still all the while")
    streams = listeners + peer.echoes
    return Tried(listeners, cpu / spent, arrived / spent / streams)


def row(peer: Peer, tried: list[Tried], ours: float) -> Row:
    """What is said of a peer: of the largest number of listeners with clean delivery. ours: listeners per core of xconf."""
    what = f"listeners per core of {peer.name} {peer.version()}".rstrip() + ", same work, same run"
    reach = f"xconf at least {peer.reach:g} times"
    if not tried:
        return Row(what, reach, "not installed", note=f"Debian's package `{peer.package}`")
    told = ", ".join(f"{run.listeners:,}: {run.per_core:,.0f} ({run.packets:.1f} packets/s)" for run in tried)
    clean = [run for run in tried if run.clean]
    if not clean:
        return Row(what, reach, "no clean delivery", note=f"by listeners: {told}; {peer.note}")
    best = clean[-1]
    times = ours / best.per_core
    value = f"{best.per_core:,.0f} with {best.listeners:,}; xconf, with {ours:,.0f}, is {times:.1f} times"
    note = f"by listeners: {told}; {peer.note}"
    return Row(what, reach, value, times >= peer.reach, note, worse=peer.reach / times)
