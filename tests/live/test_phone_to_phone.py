"""Two `xconf phone`s call each other over loopback: the program as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bed_audio import gaps, read_wav, tone_level
from bed_phones import end_process, own_address, wait_for

PORT = 5090


class Running:
    """A phone that runs, with what it has printed so far."""

    def __init__(self, folder: Path, name: str, *words: str) -> None:
        self.address = own_address()
        self.recording = folder / f"{name}.wav"
        self._out, self._err = folder / f"{name}.out", folder / f"{name}.err"
        command = [sys.executable, "-m", "xconf.phone", "--json", "--bind", self.address]
        with self._out.open("w") as out, self._err.open("w") as err:
            self.process = subprocess.Popen([*command, "--record", str(self.recording), *words], stdout=out, stderr=err)

    @property
    def events(self) -> list[dict[str, object]]:
        lines = self._out.read_text().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def told(self, event: str) -> list[dict[str, object]]:
        return [happening for happening in self.events if happening["event"] == event]

    def wait_told(self, event: str, timeout: float = 10) -> None:
        wait_for(lambda: self.told(event) or self.process.poll() is not None, timeout, f"{event} in {self._out}")
        assert self.told(event), self.error

    @property
    def error(self) -> str:
        return self._err.read_text()

    def end(self, timeout: float = 20) -> int:
        """Its exit status, once it ends by itself."""
        return self.process.wait(timeout)

    def digits(self) -> list[tuple[object, object]]:
        return [(heard["digit"], heard["by"]) for heard in self.told("digit-heard")]

    def heard(self) -> np.ndarray:
        """What it recorded, without the first and last half second."""
        samples, rate = read_wav(self.recording)
        return samples[rate // 2 : -rate // 2]


Make = Callable[..., Running]


@pytest.fixture
def phone(tmp_path: Path) -> Iterator[Make]:
    made: list[Running] = []

    def make(name: str, *words: str) -> Running:
        made.append(Running(tmp_path, name, *words))
        return made[-1]

    yield make
    for running in made:
        end_process(running.process)


def answering(phone: Make, *words: str) -> Running:
    callee = phone("callee", "--answer", str(PORT), *words)
    callee.wait_told("waiting")
    return callee


def calling(phone: Make, callee: Running, *words: str) -> Running:
    return phone("caller", f"sip:3000@{callee.address}:{PORT}", *words)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("rfc4733", ["--codec", "pcmu"]),
        ("info", ["--codec", "pcma", "--transport", "tcp"]),
        ("rfc4733", ["--codec", "l16/16000"]),
    ],
)
def test_a_tone_goes_through_as_loud_as_it_was_and_keys_arrive_once(phone: Make, by: str, words: list[str]) -> None:
    callee = answering(phone, "--tone", "1013", *words)
    caller = calling(
        phone, callee, "--tone", "433", "--duration", "5s", "--digits", "1s:12#,3s:*A9", "--digits-by", by, *words
    )
    assert (caller.end(), callee.end()) == (0, 0)
    assert callee.digits() == [(digit, by) for digit in "12#*A9"]
    for listener, frequency, own in ((caller, 1013, 433), (callee, 433, 1013)):
        samples, rate = read_wav(listener.recording)
        # While keys are pressed as telephone-events, there is no sound of the caller's.
        quiet = samples[round(2.0 * rate) : round(2.9 * rate)]
        assert tone_level(quiet, frequency, rate) == pytest.approx(-18, abs=1)
        assert tone_level(quiet, own, rate) < -58
        assert len(samples) / rate == pytest.approx(5, abs=0.3)
    assert caller.told("summary")[0]["lost"] == callee.told("summary")[0]["lost"] == 0


def test_a_file_is_heard_without_gaps(phone: Make, tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "sounds/16000/welcome.wav"
    callee = answering(phone)
    caller = calling(phone, callee, "--play", str(shipped), "--loop", "--duration", "3s")
    assert (caller.end(), callee.end()) == (0, 0)
    assert callee.told("sound") and not caller.told("sound")
    tone = answering(phone, "--tone", "433")
    listener = calling(phone, tone, "--duration", "4s", "--arrivals", str(tmp_path / "arrivals.csv"))
    assert listener.end() == 0
    assert not [gap for gap in gaps(listener.heard()) if gap.length > 0.02]
    arrivals = np.loadtxt(tmp_path / "arrivals.csv", delimiter=",", skiprows=1)
    assert len(arrivals) == listener.told("summary")[0]["received"]
    assert set(np.diff(arrivals[:, 1]) % 65536) == {1} and set(np.diff(arrivals[:, 2]) % 2**32) == {160}


def test_an_interrupted_call_is_hung_up(phone: Make) -> None:
    callee = answering(phone)
    caller = calling(phone, callee)
    caller.wait_told("answered")
    caller.process.send_signal(signal.SIGINT)
    assert (caller.end(), callee.end()) == (0, 0)
    assert callee.told("ended") and caller.recording.stat().st_size >= 44


def test_a_second_caller_is_told_that_it_is_busy(phone: Make) -> None:
    callee = answering(phone)
    first = calling(phone, callee, "--duration", "3s")
    first.wait_told("answered")
    second = phone("second", f"sip:3000@{callee.address}:{PORT}")
    assert second.end() == 1
    assert second.error == "xconf phone: refused: 486 Busy Here: busy; try again later\n"
    assert (first.end(), callee.end()) == (0, 0)


def test_no_common_codec_is_said_on_both_sides(phone: Make) -> None:
    callee = answering(phone, "--codec", "pcmu")
    caller = calling(phone, callee, "--codec", "l16/16000")
    assert (caller.end(), callee.end()) == (1, 1)
    assert "488" in caller.error and "try another --codec" in caller.error and caller.error.count("\n") == 1
    assert "try another --codec" in callee.error


def test_nobody_there(phone: Make) -> None:
    caller = phone("caller", f"sip:3000@{own_address()}:{PORT}", "--transport", "tcp")
    assert caller.end() == 1
    assert caller.error == "xconf phone: no connection: is the server running, and is this its address and port?\n"


def test_a_call_that_is_interrupted_before_it_is_answered_has_failed(phone: Make) -> None:
    caller = phone("caller", f"sip:3000@{own_address()}:{PORT}")
    caller.wait_told("calling")
    caller.process.send_signal(signal.SIGTERM)
    assert caller.end() == 1 and caller.error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sip:3000@127.0.0.1", "--play", "missing.wav"], "missing.wav"),
        (["sip:3000@127.0.0.1", "--arrivals", "/missing/a.csv"], "/missing/a.csv cannot be written"),
        (["mailto:bob@example.org"], "write sip:3000@127.0.0.1"),
        (["sip:3000@no-such-host.invalid"], "no-such-host.invalid has no address"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(phone: Make, words: list[str], said: str) -> None:
    caller = phone("caller", *words)
    assert caller.end() == 1
    assert said in caller.error and caller.error.count("\n") == 1
