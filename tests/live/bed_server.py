"""The server under test: a real `twistd -n xconf` process with an address, a configuration and a socket of its own."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from bed_phones import end_process, own_address, wait_for

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
TROUBLE = re.compile(r"Traceback|Unhandled [Ee]rror|Exception ignored|never retrieved")
SIP_PORT = 5060
BYE_TIMEOUT = 5.0  # seconds that a clean stop may take


class CommandError(AssertionError):
    """The server refused a management command; the text is its answer."""


def merged(base: Any, over: Any) -> Any:
    """`over` laid into `base`: mappings key by key, anything else in its place."""
    if isinstance(base, Mapping) and isinstance(over, Mapping):
        return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}
    return over


def configuration(address: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """conf/xconf.yaml as shipped, moved to another address, with the test's own keys laid over it."""
    shipped = yaml.safe_load((ROOT / "conf/xconf.yaml").read_text())
    place = {
        "sip": {"listen": [f"udp://{address}:{SIP_PORT}", f"tcp://{address}:{SIP_PORT}"]},
        "rtp": {"address": address},
        "control": {"listen": "unix:xconf.sock"},
    }
    return merged(merged(shipped, place), overrides)


def inside(namespace: str | None) -> list[str]:
    """What comes before a command that is to run in a network namespace."""
    return ["ip", "netns", "exec", namespace] if namespace else []


def _twistd(ppm: float) -> list[str]:
    """The program, or one that has it run with a slow clock."""
    return [sys.executable, str(Path(__file__).with_name("bed_slow.py")), str(ppm)] if ppm else [str(BIN / "twistd")]


class Server:
    """A running server. It is ready when the constructor returns.

    within: a network namespace of its own; ppm: by how much its clock is slow, as far as its ticks go.
    """

    def __init__(
        self,
        folder: Path,
        overrides: Mapping[str, Any] | None = None,
        address: str | None = None,
        within: str | None = None,
        ppm: float = 0.0,
    ) -> None:
        self._within, self._ppm = within, ppm
        self.address = address or own_address()
        self.target = f"{self.address}:{SIP_PORT}"
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "xconf.yaml"
        self.config.write_text(yaml.safe_dump(configuration(self.address, overrides or {})))
        self.socket = folder / "xconf.sock"
        self.start()

    def start(self) -> None:
        """Again, when it has ended; ready when this returns."""
        self._output = (self.folder / "server.log").open("ab")
        self.process = subprocess.Popen(
            [*inside(self._within), *_twistd(self._ppm), "-n", "--pidfile=", "xconf", "-c", str(self.config)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_for(self._ready, 20, "the server is ready")
        except BaseException:
            end_process(self.process)
            self._output.close()
            print(self.log())
            raise

    def _ready(self) -> bool:
        assert self.process.poll() is None, f"the server ended at start:\n{self.log()}"
        with contextlib.suppress(OSError, ValueError):
            return self.request("list")["ok"] and (self._within is not None or self._answers_options())
        return False

    def _answers_options(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((own_address(), 0))
            probe.settimeout(0.5)
            host, port = probe.getsockname()
            probe.sendto(
                f"OPTIONS sip:{self.target} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK{port};rport\r\n"
                f"From: <sip:probe@{host}>;tag=1\r\nTo: <sip:{self.target}>\r\nCall-ID: {port}@{host}\r\n"
                "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode(),
                (self.address, SIP_PORT),
            )
            return probe.recv(65536).startswith(b"SIP/2.0 200")

    def uri(self, number: str) -> str:
        return f"sip:{number}@{self.target}"

    def log(self) -> str:
        """What the server logged so far."""
        return (self.folder / "server.log").read_text(errors="replace")

    def request(self, command: str) -> dict[str, Any]:
        """One management command over the socket: `ok`, `text` and `data` of the answer."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.socket))
            client.sendall(json.dumps({"command": command}).encode() + b"\n")
            with client.makefile("rb") as answer:
                return json.loads(answer.readline())

    def ctl(self, command: str) -> str:
        """The same, its text; an AssertionError (CommandError) when it was refused."""
        answer = self.request(command)
        if not answer["ok"]:
            raise CommandError(answer["text"])
        return str(answer["text"])

    def data(self, command: str) -> Any:
        """The same, its data."""
        answer = self.request(command)
        if not answer["ok"]:
            raise CommandError(answer["text"])
        return answer["data"]

    def xconf(self, *words: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """The console program, as a user runs it, from the configuration's folder."""
        command = [str(BIN / "xconf"), *words]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False)

    def members(self, conference: str) -> list[dict[str, Any]]:
        """The members of a conference, as `show members` has them; none when there is no such conference."""
        try:
            members: list[dict[str, Any]] = self.data(f"{conference} show members")
        except CommandError:
            return []
        return members

    def wait_members(self, conference: str, count: int, timeout: float = 10) -> list[dict[str, Any]]:
        """Wait until a conference has so many members."""
        wait_for(lambda: len(self.members(conference)) == count, timeout, f"{count} members in {conference}")
        return self.members(conference)

    def held(self) -> dict[str, int]:
        """What the server keeps for calls now, as `room.thing` (or calls, members): those that are not zero."""
        status = self.data("status")
        held = {f"{room}.{thing}": count for room, things in status["held"].items() for thing, count in things.items()}
        held |= {name: status[name] for name in ("calls", "members", "speakers")}
        held.pop("conference.conferences", None)  # an empty one lives on, as its profile says
        # A conference that nobody is in lives on, as its profile says.
        return {name: count for name, count in held.items() if count and name != "conference.conferences"}

    def wait_idle(self, timeout: float = 5) -> None:
        """Wait until nothing is held but what RFC 3261 keeps of finished transactions (up to 32 s), and their timers."""
        self._wait_none(lambda name: not re.search("transaction|timer|wake", name), timeout)

    def wait_nothing_left(self, timeout: float = 45) -> None:
        """Wait until nothing at all is held."""
        self._wait_none(lambda name: True, timeout)

    def _wait_none(self, of: Callable[[str], bool], timeout: float) -> None:
        def left() -> dict[str, int]:
            return {name: count for name, count in self.held().items() if of(name)}

        try:
            wait_for(lambda: not left(), timeout, "nothing is left")
        except AssertionError as error:
            raise AssertionError(f"{error}: {left()}\n{self.log()[-3000:]}") from None

    def check_log(self) -> None:
        """No traceback in the log."""
        trouble = TROUBLE.search(log := self.log())
        assert not trouble, log[max(0, trouble.start() - 1500) : trouble.start() + 3000]

    def stop(self) -> float:
        """SIGTERM; the seconds until it was gone. Its log must be clean and its socket removed."""
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            status = self.process.wait(BYE_TIMEOUT + 5)
        except subprocess.TimeoutExpired:
            end_process(self.process)
            raise AssertionError(f"the server did not stop:\n{self.log()[-3000:]}") from None
        finally:
            self._output.close()
        took = time.monotonic() - started
        self.check_log()
        assert status in (0, -signal.SIGTERM), f"the server ended with {status}:\n{self.log()[-3000:]}"
        assert took < BYE_TIMEOUT + 0.5, f"the server took {took:.1f} s to stop"
        return took

    def kill(self) -> None:
        """End it whatever it takes (for teardown after a failure)."""
        end_process(self.process)
        self._output.close()
