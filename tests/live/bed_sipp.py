"""SIPp against the server: its scenarios in sipp/*.xml, run from an address of their own, judged by SIPp itself."""

from __future__ import annotations

import csv
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bed_audio import tone
from bed_phones import end_process, favour, need, own_address

SCENARIOS = Path(__file__).with_name("sipp")
PCAPS = Path("/usr/share/sip-tester")
# What SIPp's exit status means.
STATUSES = {0: "all calls passed", 1: "a call failed", 97: "ended on demand", 99: "no calls", 254: "cannot bind"}


def mulaw(samples: np.ndarray) -> bytes:
    """G.711 mu-law of float samples, as SIPp streams it (raw, without a header)."""
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int32)
    magnitude = np.minimum(np.abs(pcm), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 15
    return (~(np.where(pcm < 0, 128, 0) | (exponent << 4) | mantissa) & 255).astype(np.uint8).tobytes()


@dataclass(frozen=True)
class Outcome:
    """What one run of SIPp came to."""

    status: int
    successful: int
    failed: int
    messages: str
    errors: str

    def explain(self) -> str:
        meaning = STATUSES.get(self.status, "SIPp could not go on")
        return (
            f"SIPp ended with {self.status} ({meaning}): {self.successful} passed, {self.failed} failed\n"
            f"{self.errors[-2000:]}\n{self.messages[-6000:]}"
        )


class SippRun:
    """One SIPp process: `finish()` waits for it and gives the outcome."""

    def __init__(
        self,
        folder: Path,
        scenario: str,
        target: str,
        number: str,
        *,
        calls: int = 1,
        rate: float = 10,
        duration: float = 1.0,
        transport: str = "u1",
        frequency: float = 1000,
        level: float = -18.0,
        trace: bool = True,
        timeout: float = 60,
        address: str | None = None,
    ) -> None:
        """`scenario` names a file of sipp/; `target` is address:port of the server; `duration` the seconds of a call."""
        need("sipp", "sip-tester")
        self.address = address or own_address()
        self.folder = folder / f"sipp-{scenario}-{self.address}"
        self.folder.mkdir(parents=True)
        self.timeout = timeout + calls / rate + duration
        (self.folder / "tone.ulaw").write_bytes(mulaw(self._steady(frequency, level)))
        for name in PCAPS.glob("*.pcap"):
            (self.folder / name.name).symlink_to(name)
        command = ["sipp", target, "-sf", str(SCENARIOS / f"{scenario}.xml"), "-s", number]
        command += ["-i", self.address, "-p", "5060", "-mi", self.address, "-mp", "30000", "-t", transport]
        command += ["-m", str(calls), "-l", str(calls), "-r", str(rate), "-d", str(round(duration * 1000))]
        command += ["-nostdin", "-aa", "-timeout", str(round(self.timeout)), "-timeout_error", "-recv_timeout", "50000"]
        command += ["-trace_stat", "-stf", "statistics.csv", "-fd", "1", "-trace_err", "-error_file", "errors.log"]
        if trace:
            command += ["-trace_msg", "-message_file", "messages.log"]
        self._output = (self.folder / "output").open("wb")
        self.process = subprocess.Popen(command, cwd=self.folder, stdout=self._output, stderr=subprocess.STDOUT)
        favour(self.process)

    @staticmethod
    def _steady(frequency: float, level: float) -> np.ndarray:
        """A second of tone that repeats without a step (whole Hz), without fades."""
        long = tone(round(frequency), 3, level)
        return long[8000:16000]

    def finish(self) -> Outcome:
        """Wait for the end of all calls."""
        try:
            status = self.process.wait(self.timeout + 10)
        finally:
            end_process(self.process)
            self._output.close()
        rows = list(csv.DictReader((self.folder / "statistics.csv").open(), delimiter=";")) or [{}]
        return Outcome(
            status,
            int(rows[-1].get("SuccessfulCall(C)") or 0),
            int(rows[-1].get("FailedCall(C)") or 0),
            self._text("messages.log") or self._text("output"),
            self._text("errors.log"),
        )

    def _text(self, name: str) -> str:
        path = self.folder / name
        return path.read_text(errors="replace") if path.exists() else ""

    def stop(self) -> None:
        end_process(self.process)
        self._output.close()


def run_sipp(folder: Path, scenario: str, target: str, number: str, **options: object) -> Outcome:
    """Run a scenario to its end and demand that every call passed."""
    outcome = SippRun(folder, scenario, target, number, **options).finish()  # type: ignore[arg-type]
    assert outcome.status == 0 and not outcome.failed and outcome.successful, outcome.explain()
    return outcome
