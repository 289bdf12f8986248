"""Fixtures of the live tests: servers, telephones, a watch on the machine's stalls, and the sounds to listen for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bed_audio import read_wav, tone, write_wav
from bed_phones import Baresip, Linphone
from bed_server import ROOT, Server
from bed_sipp import Outcome, SippRun, run_sipp
from bed_stalls import StallMonitor

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
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
    """make_server(overrides): a server for this test alone."""
    servers: list[Server] = []

    def make(overrides: dict[str, Any] | None = None) -> Server:
        servers.append(Server(tmp_path / f"server{len(servers)}", overrides))
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


class Phones:
    """Makes phones that end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: list[Baresip | Linphone | SippRun] = []

    def baresip(self, name: str, **options: Any) -> Baresip:
        """A baresip; `tone=1000` (Hz), with `level` (dBFS RMS), is its microphone for two minutes."""
        return self._keep(Baresip(self.folder, name, source=self._tone(options), **options))

    def linphone(self, name: str, **options: Any) -> Linphone:
        """A linphone, with the same options for a tone."""
        return self._keep(Linphone(self.folder, name, source=self._tone(options), **options))

    def _tone(self, options: dict[str, Any]) -> Path | None:
        """The file that the tone options, which are taken out, ask for."""
        frequency, level = options.pop("tone", None), options.pop("level", -18.0)
        if frequency is None:
            return options.pop("source", None)
        path = self.folder / f"tone{frequency}{level}.wav"
        return path if path.exists() else write_wav(path, tone(frequency, 120, level))

    def sipp(self, scenario: str, server: Server, number: str, **options: Any) -> SippRun:
        """A run of SIPp that goes on beside the test; `.finish()` waits for it."""
        return self._keep(SippRun(self.folder, scenario, server.target, number, **options))

    def flow(self, scenario: str, server: Server, number: str, **options: Any) -> Outcome:
        """A run of SIPp to its end, every call of which must pass."""
        return run_sipp(self.folder, scenario, server.target, number, **options)

    def _keep(self, phone: Any) -> Any:
        self._made.append(phone)
        return phone

    def stop(self) -> None:
        for phone in self._made:
            phone.stop()


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[Phones]:
    """Phones for a test. Ask for it after `server`, so that they hang up before the server is looked at."""
    made = Phones(tmp_path)
    yield made
    made.stop()
