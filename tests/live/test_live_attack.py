"""Somebody on the network of two real nodes who hears and sends whatever he likes, while a telephone speaks."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from bed_audio import clicks, gaps, tone_levels
from bed_cluster import PORT, Namespaces, cluster
from bed_phones import Recording, wait_for
from bed_server import ROOT, Server, inside
from bed_weather import FAIR

from bench.stalls import StallMonitor, without_stalls

DATAGRAMS = 100_000
SECONDS = 40.0
HERTZ = 433.0
RECOVERY = 0.4  # s after a stall of the machine until nothing is missing any more
MENDED = 8.0  # s after it until a stream is where it was
BUSY = 0.02  # s of silence that are left to a machine of two cores on which the attacker runs, too
LATE = 2.0  # ms by which half of the ticks are late at most
GROWTH = 4 << 20  # octets that the allocator may take for nothing that stays
STRANGERS = "10.99.7.66:65021", "10.99.7.67:4000"


@pytest.fixture
def hosts() -> Iterator[Namespaces]:
    spaces = Namespaces("abx")
    yield spaces
    spaces.close()


def memory(node: Server) -> int:
    """Octets that it has in use."""
    status = Path(f"/proc/{node.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]


def tables(node: Server) -> dict[str, int]:
    counters = node.data("counters")
    return {name: counters[f"tunnel.{name}"] for name in ("nodes", "keys", "conferences", "streams")}


def dropped(counters: dict[str, int]) -> dict[str, int]:
    return _of(counters, "tunnel.dropped_")


def sound(counters: dict[str, int]) -> dict[str, int]:
    return _of(counters, "tunnel.sound_")


def _of(counters: dict[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): count for name, count in counters.items() if name.startswith(prefix)}


def beside(samples: np.ndarray) -> float:
    """How loud it is usually more than 100 Hz beside the tone: streams that follow another clock are a little beside it."""
    pieces = samples[: len(samples) // 800 * 800].reshape(-1, 800) * np.blackman(800)
    others = abs(np.fft.rfftfreq(800, 1 / 8000) - HERTZ) > 100
    return float(np.median(np.sqrt((abs(np.fft.rfft(pieces)[:, others]) ** 2).mean(axis=1))))


@pytest.mark.long
def test_of_100_000_hostile_datagrams_nothing_is_heard_and_nothing_grows(
    hosts: Namespaces, stalls: StallMonitor, tmp_path: Path
) -> None:
    hosts.weather(FAIR, mirror="x")
    with StallMonitor(ordinary=True) as busy, cluster(tmp_path, "ab", {}, hosts) as nodes:
        b = nodes.nodes["b"]
        nodes.call("ann", "a", "3000", seconds=SECONDS + 15, tone=HERTZ)
        ear = nodes.call("ear", "b", "4000", seconds=SECONDS + 15)
        for node in nodes.nodes.values():
            wait_for(lambda node=node: len(node.members("3000")) == 1, 15, "both are there")
        time.sleep(5.0)
        missed = b.data("status")["ticks_missed"]
        before, used, held, began = b.data("counters"), memory(b), tables(b), time.monotonic()
        sources = [f"{hosts.addresses['a']}:{PORT}", *STRANGERS]
        script = [sys.executable, str(ROOT / "tests/cluster_attacker.py"), f"{hosts.addresses['b']}:{PORT}"]
        words = [str(DATAGRAMS), "--seconds", str(SECONDS), "--listen", "eth0"]
        words += [word for source in sources for word in ("--source", source)]
        subprocess.run([*inside(hosts.of["x"]), *script, *words], check=True, timeout=3 * SECONDS)
        ended = time.monotonic()
        grown, afterwards, counters = memory(b) - used, tables(b), b.data("counters")
        ticks = b.data("status")
        for phone in nodes.phones.values():
            phone.wait(60)
        wait_for(lambda: "dropped in the last minute" in b.log(), 65, "the minute's line")
        said = [line for line in b.log().splitlines() if "dropped in the last minute" in line]

    near = stalls.sure() + busy.stalls()
    mended = {name: count - sound(before).get(name, 0) for name, count in sound(counters).items()}
    heard = Recording(ear.heard(), 8000, ear.started(), ear.record)
    quiet, attacked = heard.during(began - 3.0, began), heard.during(began, ended)
    missing = {began + spot.start: spot.length for spot in gaps(attacked)}
    silent = [missing[at] for at in without_stalls(missing, near, RECOVERY)]
    clicked = without_stalls([began + spot.start for spot in clicks(attacked, [HERTZ])], near, MENDED)
    levels = tone_levels(attacked, HERTZ, segment=0.1)
    print(
        f"\n{ended - began:.1f} s, {grown} octets more, {dropped(counters)}, sound {mended}; {stalls.describe()}; busy: {busy.describe()}"
    )
    print({name: value for name, value in ticks.items() if "tick" in name or "lateness" in name})
    print(f"gaps {silent} of {len(missing)} with stalls, clicks at {[round(at - began, 2) for at in clicked]}")
    print(f"beside the tone {beside(attacked):.4f}, before {beside(quiet):.4f}; {said}")
    assert sum(silent) <= BUSY
    assert len(clicked) <= sum(mended[name] for name in ("slips", "splices", "jumps", "concealed")), "but for its own"
    assert float(np.median(levels)) == pytest.approx(-18, abs=0.2)
    assert float(np.percentile(levels, 1)) > -19, "nothing takes from the tone"
    assert beside(attacked) < 1.5 * beside(quiet), "and nothing is beside it"
    assert ticks["ticks_missed"] - missed <= len(near), "ticks are in time"
    assert ticks["lateness_median"] < LATE

    assert grown < GROWTH
    assert afterwards == held
    assert counters["tunnel.unproved"] <= 256
    assert sum(dropped(counters).values()) > 0.9 * DATAGRAMS
    assert {"forged", "replayed", "truncated", "foreign", "flood"} <= {*dropped(counters)}
    assert len(said) <= 3
    assert all(address.split(":")[0] in "".join(said) for address in sources)
