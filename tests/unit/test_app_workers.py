"""Threads for work that waits: bounded, and never in the way of the server's end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from xconf.app.workers import Workers
from xconf.media.sources import SoundError

PATIENCE = 10.0


class Reactor:
    """Keeps what is to be done in its thread."""

    def __init__(self) -> None:
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []
        self.called = threading.Semaphore(0)

    def callFromThread(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.calls.append((call, arguments))
        self.called.release()

    def run(self, calls: int) -> None:
        for _ in range(calls):
            assert self.called.acquire(timeout=PATIENCE)
            call, arguments = self.calls.pop(0)
            call(*arguments)


def test_results_and_faults_come_back_to_the_reactor() -> None:
    reactor, told = Reactor(), []
    workers = Workers(reactor, "test", 2, 10)

    def broken() -> None:
        raise ValueError("broken")

    workers.call(lambda: threading.current_thread().name, told.append)
    reactor.run(1)
    workers.call(broken, told.append)
    reactor.run(1)
    assert told[0].startswith("test ")
    assert str(told[1]) == "broken"
    workers.stopService()


def test_no_more_threads_than_allowed_and_no_more_work_than_can_wait() -> None:
    reactor, names = Reactor(), set()
    go = threading.Event()
    workers = Workers(reactor, "test", 2, 5)

    def work() -> None:
        names.add(threading.current_thread().name)
        assert go.wait(PATIENCE)

    busy = threading.Semaphore(0)
    for _ in range(2):
        workers.call(lambda: (busy.release(), work()), lambda result: None)
    for _ in range(2):
        assert busy.acquire(timeout=PATIENCE)
    for _ in range(5):
        workers.call(work, lambda result: None)
    with pytest.raises(SoundError, match="try again"):
        workers.call(work, lambda result: None)
    go.set()
    reactor.run(7)
    assert names == {"test 1", "test 2"}
    workers.stopService()


def test_work_that_hangs_does_not_keep_the_program_from_ending() -> None:
    workers = Workers(Reactor(), "hanging", 1, 5)
    begun, never = threading.Event(), threading.Event()
    workers.run(lambda: (begun.set(), never.wait()))
    assert begun.wait(PATIENCE)
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "hanging 1"]
    assert thread.daemon
    workers.stopService()
    never.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()
