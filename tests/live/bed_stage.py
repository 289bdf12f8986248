"""A stage for many phones: parts that are played at the same time, each judged by a test of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from bed_crew import Phones
from bed_server import Server

Part = Callable[[Server, Phones], Any]


class Stage:
    """Plays all parts in threads. A part gets the server and phones of its own; what it returns is for its test.

    At the end all phones are stopped, and the server must be idle again.
    """

    def __init__(self, server: Server, folder: Path, parts: Mapping[str, Part]) -> None:
        server.wait_idle()
        self.server = server
        self._crews = {name: Phones(folder / name.replace(" ", "-")) for name in parts}
        self._pool = ThreadPoolExecutor(len(parts))
        self._plays: dict[str, Future[Any]] = {
            name: self._pool.submit(part, server, self._crews[name]) for name, part in parts.items()
        }

    def played(self, name: str) -> Any:
        """What a part came to; waits for its end, and raises what went wrong in it."""
        return self._plays[name].result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()
        for crew in self._crews.values():
            crew.stop()
        self.server.wait_idle(15)
        self.server.check_log()
