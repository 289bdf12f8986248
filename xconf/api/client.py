"""The other end of the management socket: sends commands to a running server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

TIMEOUT = 15.0  # seconds to wait for an answer


class ClientError(Exception):
    """The server cannot be asked; the text says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The server's answer to one command."""

    ok: bool
    text: str
    data: Any = None
    follows: bool = False  # there is more to come: see `ControlClient.events`


class ControlClient:
    """A connection to the management socket at `path`. Raises ClientError when there is no server."""

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            raise self._unreachable("no server listens on {}; start one (make run), or name its socket") from None
        except PermissionError:
            raise self._unreachable("{} belongs to another user; be that user, or root") from None
        except OSError as error:
            raise self._unreachable(f"{{}}: {error.strerror or error}") from None
        self.reader = self.socket.makefile("rb")

    def _unreachable(self, text: str) -> ClientError:
        self.socket.close()
        return ClientError(text.format(self.path))

    def __enter__(self) -> ControlClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reader.close()
        self.socket.close()

    def request(self, command: str | Sequence[str]) -> Reply:
        """Sends one command, as typed or as words, and waits for its answer."""
        words = command if isinstance(command, str) else list(command)
        try:
            self.socket.sendall(json.dumps({"command": words}).encode() + b"\n")
            line = self._line()
        except TimeoutError:
            raise ClientError(f"the server at {self.path} does not answer") from None
        except OSError as error:
            raise ClientError(f"{self.path}: {error.strerror or error}") from None
        if not line:
            raise ClientError(f"the server at {self.path} closed the connection")
        if not line.startswith(b"{"):
            raise ClientError(line.decode("utf-8", "replace").removeprefix("ERROR ").strip())
        return Reply(**json.loads(line))

    def _line(self) -> bytes:
        """Of the answer. An empty one says that the server is still at it."""
        while (line := self.reader.readline()) == b"\n":
            pass
        return line

    def events(self) -> Iterator[dict[str, Any]]:
        """What is told after a reply that `follows`, for as long as the server runs."""
        self.socket.settimeout(None)
        for line in self.reader:
            yield json.loads(line)
        raise ClientError(f"the server at {self.path} ended, or ended this connection")
