"""Fixtures of the live tests: servers, telephones, a watch on the machine's stalls, and the sounds to listen for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bed_audio import read_wav
from bed_crew import Phones
from bed_server import ROOT, Server

from bench.stalls import StallMonitor

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents and "patient" not in item.keywords:
            item.add_marker(pytest.mark.live)


@pytest.fixture(scope="session")
def stalls() -> Iterator[StallMonitor]:
    """Watches the machine while the live tests run."""
    with StallMonitor() as monitor:
        yield monitor


@pytest.fixture(scope="session")
def prompt() -> Callable[..., np.ndarray]:
    """prompt('welcome'): the samples of a shipped sound, at 8 kHz unless said otherwise."""

    def load(name: str, rate: int = 8000) -> np.ndarray:
        return read_wav(ROOT / f"sounds/{rate}/{name}.wav")[0]

    return load


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """make_server(overrides): a server for this test alone; address: its own, where the test must know it before."""
    servers: list[Server] = []

    def make(overrides: dict[str, Any] | None = None, address: str | None = None) -> Server:
        servers.append(Server(tmp_path / f"server{len(servers)}", overrides, address))
        return servers[-1]

    yield make
    for server in servers:
        server.kill()


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests that need nothing special; at the end of them all it must hold nothing."""
    server = Server(tmp_path_factory.mktemp("xconf"), {"rtp": {"media_timeout": 10}})
    try:
        yield server
        server.wait_nothing_left()
        server.stop()
    finally:
        server.kill()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The shared server, idle before and after; take a conference of your own."""
    shared_server.wait_idle()
    yield shared_server
    shared_server.wait_idle(15)
    shared_server.check_log()


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[Phones]:
    """Phones for a test. Ask for it after `server`, so that they hang up before the server is looked at."""
    made = Phones(tmp_path)
    yield made
    made.stop()
