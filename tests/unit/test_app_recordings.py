"""The threads that write recordings, on a real disk; and a server's stop, which waits for them."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from twisted.internet.task import Clock

from xconf.app.recordings import PATIENCE, RecordingFiles
from xconf.media.tape import MIX, Block, Tape, TapeError

WAIT = 10.0


class Reactor(Clock):
    """Virtual time, and real threads that hand results over."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self._called = threading.Semaphore(0)

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        self._calls.append((call, arguments))
        self._called.release()

    def wait(self) -> None:
        assert self._called.acquire(timeout=WAIT)
        call, arguments = self._calls.pop(0)
        call(*arguments)


@pytest.fixture
def reactor() -> Reactor:
    return Reactor()


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may have more than 100,000 octets: the disk is full, for this process."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def noise(ticks: int) -> list[Block]:
    rng = np.random.default_rng(1)
    return [Block(MIX, tick, rng.integers(-8000, 8000, 160).astype(np.int16)) for tick in range(ticks)]


def test_what_is_written_in_a_thread_is_in_the_file(reactor: Reactor, tmp_path: Path) -> None:
    files = RecordingFiles(reactor, tmp_path / "r")
    tape, place = files.tape("meeting", 8000, 1, "wav")
    told: list[Any] = []
    blocks = noise(60)

    def work() -> None:
        tape.write(blocks, 60)
        tape.close()

    files.run(work, told.append)
    reactor.wait()
    assert told == [None]
    assert (soundfile.read(place, dtype="int16")[0] == np.concatenate([block.samples for block in blocks])).all()
    files.stopService()


@pytest.mark.parametrize("form", ["wav", "opus"])
@pytest.mark.usefixtures("small_files")
def test_a_disk_that_is_full_is_told_with_what_to_do(reactor: Reactor, tmp_path: Path, form: Any) -> None:
    files = RecordingFiles(reactor, tmp_path)
    tape, place = files.tape("meeting", 8000, 1, form)
    told: list[Any] = []
    for begin in range(0, 6000, 500):
        blocks = [Block(MIX, begin + block.tick, block.samples) for block in noise(500)]
        files.run(lambda blocks=blocks, begin=begin: tape.write(blocks, begin + 500), told.append)  # type: ignore[misc]
        reactor.wait()
        if told[-1] is not None:
            break
    assert isinstance(told[-1], TapeError)
    assert str(told[-1]).startswith(f"{place}: ")
    assert "see to the disk and to recording.folder" in str(told[-1])
    files.stopService()


def test_names_of_the_same_second_differ(reactor: Reactor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = RecordingFiles(reactor, tmp_path)
    second = ["20261121-143005"]
    monkeypatch.setattr("xconf.app.recordings.time.strftime", lambda form: second[0])
    names = [files.name("3000"), files.name("3000"), files.name("3001"), files.name("3000")]
    assert names == [name.replace("X", second[0]) for name in ("3000-X", "3000-X_2", "3001-X", "3000-X_3")]
    second[0] = "20261121-143006"
    assert files.name("3000") == "3000-20261121-143006"
    files.stopService()


@pytest.mark.parametrize("rate", [8000, 16000, 32000, 48000])
def test_opus_lacks_nothing_of_its_end(tmp_path: Path, rate: int) -> None:
    tape = Tape(tmp_path, "meeting", rate, 1, "opus")
    wave = (8000 * np.sin(2 * np.pi * 500 * np.arange(rate // 50) / rate)).astype(np.int16)
    tape.write([Block(MIX, tick, wave) for tick in range(100)], 100)
    tape.close()
    sound, opus_rate = soundfile.read(tape.path)
    assert len(sound) / opus_rate == pytest.approx(2.0, abs=0.0005)


def test_the_stop_waits_until_files_are_finished_and_not_for_ever(reactor: Reactor, tmp_path: Path) -> None:
    files = RecordingFiles(reactor, tmp_path)
    go = threading.Event()
    files.run(lambda: None if go.wait(WAIT) else None, lambda result: None)
    stopped = files.stopService()
    assert stopped is not None and not stopped.called
    go.set()
    reactor.wait()
    assert stopped.called

    hanging = RecordingFiles(reactor, tmp_path)
    never = threading.Event()
    hanging.run(lambda: None if never.wait(WAIT) else None, lambda result: None)
    given_up = hanging.stopService()
    reactor.advance(PATIENCE)
    assert given_up is not None and given_up.called
    never.set()
    reactor.wait()
