"""Real telephones, headless: baresip and linphone, each with its own address, driven and recorded by tests."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bed_audio import read_wav, write_wav

BARESIP_MODULES = Path("/usr/lib/baresip/modules")
BLOCK = 16  # ports that one baresip gets: SIP, SIP over TLS, control, then RTP
_addresses = itertools.count(2)
_blocks = itertools.count()


def need(program: str, package: str) -> None:
    """Skip the test when a phone is not installed; in CI that is a failure."""
    if shutil.which(program):
        return
    message = f"{program} is not installed: apt install {package}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def own_address() -> str:
    """A loopback address that nobody else in this test run uses; test runs side by side differ by process id."""
    number = next(_addresses)
    return f"127.{64 + os.getpid() % 128}.{os.getpid() // 128 % 256}.{number % 250 + 2}"


def own_ports(address: str) -> int:
    """The first of BLOCK ports of an address that nobody uses, neither in this test run nor elsewhere."""
    while True:
        first = 22000 + (os.getpid() * 37 + next(_blocks)) % 600 * BLOCK
        with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
            for port in range(first, first + BLOCK):
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    probes.enter_context(socket.socket(socket.AF_INET, kind)).bind((address, port))
            return first


def wait_for(condition: Callable[[], Any], timeout: float, what: str) -> Any:
    """Poll until the condition gives something true, and return that."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout:g} s")
        time.sleep(0.02)


def end_process(process: subprocess.Popen[Any], polite: float = 3.0) -> int:
    """Terminate and reap; kill what does not want to go."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(polite)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()


def favour(process: subprocess.Popen[Any]) -> None:
    """Give the measuring instrument precedence, where allowed, so that its own lateness is not measured."""
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpriority(os.PRIO_PROCESS, process.pid, -15)


@dataclass
class Recording:
    """What a phone heard, and when the first sample of it was (CLOCK_MONOTONIC seconds)."""

    samples: np.ndarray
    rate: int
    started: float
    path: Path

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate

    def between(self, start: float, end: float) -> np.ndarray:
        """A part, by position in the recording in seconds."""
        return self.samples[max(0, round(start * self.rate)) : round(end * self.rate)]

    def during(self, start: float, end: float) -> np.ndarray:
        """A part, by CLOCK_MONOTONIC."""
        return self.between(start - self.started, end - self.started)

    def when(self, position: float) -> float:
        """The CLOCK_MONOTONIC time of a position in the recording."""
        return self.started + position


CONFIG = """\
poll_method epoll
sip_listen {address}:{port}
net_interface {address}
call_local_timeout 120
call_max_calls 4
audio_source aufile,{source}
audio_player aubridge,nil-{name}
audio_alert aubridge,alert-{name}
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
audio_level no
rtp_tos 184
rtp_ports {first_rtp}-{last_rtp}
rtcp_mux no
jitter_buffer_delay 5-10
rtp_stats yes
ringback_disabled yes
module_path {modules}
module g711.so
{codec_modules}module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:{control}
snd_path {recordings}
{extra}"""

ACCOUNT = (
    "<sip:{name}@{address}:{port};transport={transport}>;regint=0;answermode={answer};audio_codecs={codecs}{more}\n"
)


class Baresip:
    """One baresip process with a WAV file as its microphone, whose ear is recorded.

    `source` is a WAV at the codec's rate that must be longer than the call (it is not repeated); without one it is
    silence. Commands go over its control socket; events it reports are kept in `events`. All live at 127.0.0.1, with
    ports of their own: baresip's media sockets are bound to no address, so on loopback they send from that one.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        source: Path | None = None,
        codecs: str = "PCMU/8000/1",
        transport: str = "udp",
        answer: str = "auto",
        account: str = "",
        config: str = "",
    ) -> None:
        need("baresip", "baresip-core")
        self.name = name
        self.address = "127.0.0.1"
        self.port = own_ports(self.address)
        self.folder = folder / name
        self.recordings = self.folder / "heard"
        self.recordings.mkdir(parents=True)
        self.events: list[dict[str, Any]] = []
        self._news = threading.Condition()
        self._tokens = itertools.count(1)
        source = source or write_wav(self.folder / "silence.wav", np.zeros(8000 * 120))
        wanted = {"g722": "G722", "l16": "L16", "opus": "opus"}
        codec_modules = "".join(f"module {module}.so\n" for module, word in wanted.items() if word in codecs)
        names = {"name": name, "address": self.address, "port": self.port}
        (self.folder / "config").write_text(
            CONFIG.format(
                **names,
                control=self.port + 2,
                first_rtp=self.port + 4,
                last_rtp=self.port + BLOCK - 1,
                source=source,
                modules=BARESIP_MODULES,
                codec_modules=codec_modules,
                recordings=self.recordings,
                extra=config,
            )
        )
        (self.folder / "accounts").write_text(
            ACCOUNT.format(**names, transport=transport, answer=answer, codecs=codecs, more=account)
        )
        (self.folder / "contacts").write_text("")
        self._log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            ["baresip", "-f", str(self.folder), "-s"],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        favour(self.process)
        self._socket = wait_for(self._connect, 10, f"baresip {name} opens its control socket")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def uri(self) -> str:
        return f"sip:{self.name}@{self.address}:{self.port}"

    def log(self) -> str:
        """What the program printed, with all its SIP messages."""
        return (self.folder / "log").read_text(errors="replace")

    def _connect(self) -> socket.socket | None:
        assert self.process.poll() is None, f"baresip ended at start:\n{self.log()}"
        with contextlib.suppress(OSError):
            return socket.create_connection((self.address, self.port + 2), 1)
        return None

    def _read(self) -> None:
        self._socket.settimeout(None)
        pending = b""
        with contextlib.suppress(OSError):
            while chunk := self._socket.recv(65536):
                pending += chunk
                while match := re.match(rb"(\d+):", pending):
                    end = match.end() + int(match[1])
                    if len(pending) <= end:
                        break
                    self._note(json.loads(pending[match.end() : end]))
                    pending = pending[end + 1 :]

    def _note(self, item: dict[str, Any]) -> None:
        with self._news:
            self.events.append({**item, "at": time.monotonic()})
            self._news.notify_all()

    def wait_event(self, kind: str, timeout: float = 10, since: int = 0) -> dict[str, Any]:
        """The first event of a type (CALL_ESTABLISHED, CALL_CLOSED, …) after the first `since` events."""
        return self._wait(lambda item: item.get("type") == kind, timeout, since, kind)

    def _wait(self, wanted: Callable[[dict[str, Any]], bool], timeout: float, since: int, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for item in self.events[since:]:
                    if wanted(item):
                        return item
                left = deadline - time.monotonic()
                if left <= 0 or not self._news.wait(left):
                    seen = [item.get("type", item) for item in self.events[since:]]
                    raise AssertionError(
                        f"{self.name}: no {what} within {timeout:g} s, but {seen}\n{self.log()[-3000:]}"
                    )

    def command(self, command: str, params: str = "", timeout: float = 5) -> str:
        """Run one of baresip's long commands and return what it printed."""
        token = str(next(self._tokens))
        message = json.dumps({"command": command, "params": params, "token": token})
        self._socket.sendall(f"{len(message)}:{message},".encode())
        answer = self._wait(lambda item: item.get("token") == token, timeout, 0, f"answer to {command}")
        assert answer["ok"], f"{self.name}: {command} {params}: {answer}"
        return str(answer["data"])

    def start_call(self, uri: str) -> None:
        """Dial, without waiting for what comes of it."""
        self.command("dial", uri)

    def dial(self, uri: str, timeout: float = 10) -> None:
        """Dial and wait until the call stands."""
        seen = len(self.events)
        self.start_call(uri)
        self._wait(
            lambda item: item.get("type") in ("CALL_ESTABLISHED", "CALL_CLOSED"), timeout, seen, "answer to the call"
        )
        closed = [item for item in self.events[seen:] if item.get("type") == "CALL_CLOSED"]
        assert not closed, f"{self.name}: the call was refused: {closed[0].get('param')}"

    def hangup(self) -> None:
        seen = len(self.events)
        self.command("hangup")
        self.wait_event("CALL_CLOSED", since=seen)

    def wait_hungup(self, timeout: float = 10) -> dict[str, Any]:
        """Wait for the other side to end the (only) call."""
        return self.wait_event("CALL_CLOSED", timeout)

    def digits(self, digits: str) -> None:
        """Press keys: RFC 4733 events."""
        self.command("sndcode", digits)

    def hold(self) -> None:
        self.command("hold")

    def resume(self) -> None:
        self.command("resume")

    def mute(self) -> None:
        """Toggle: the phone's own mute, which sends silence."""
        self.command("mute")

    def source(self, path: Path) -> None:
        """Another WAV file into the microphone."""
        self.command("ausrc", f"aufile,{path}")

    def stop(self) -> None:
        """End the program; it says BYE to standing calls, and recordings are whole afterwards."""
        end_process(self.process)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._reader.join(5)
        self._socket.close()
        self._log.close()

    def kill(self) -> None:
        """Die without a word, as a phone that lost its power."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def recording(self, index: int = -1) -> Recording:
        """What was heard in a call (default: the last), by the decoder's dump; `started` is the file's first write."""
        dumps = sorted(self.recordings.glob("dump-*dec.wav"), key=lambda path: path.stat().st_mtime_ns)
        assert dumps, f"{self.name} recorded nothing:\n{self.log()[-3000:]}"
        path = dumps[index]
        samples, rate = read_wav(path)
        return Recording(samples, rate, self._first_write(path, len(samples) / rate), path)

    def _first_write(self, path: Path, seconds: float) -> float:
        """The file's last write is its end: sound that came steadily began that much earlier."""
        return path.stat().st_mtime - time.time() + time.monotonic() - seconds


LINPHONE_CONFIG = """\
[sip]
sip_port=-1
sip_tcp_port=-1
sip_tls_port=-1
media_encryption=none
register_only_when_network_is_up=0

[rtp]
audio_rtp_port=-1

[sound]
echocancellation=0
remote_ring=
local_ring=
"""


LINPHONE_ACCOUNT = """
[auth_info_0]
username=linphone
passwd={password}
realm=xconf
"""


class Linphone:
    """One linphonec, which plays `source` (8 kHz WAV) and records what it hears.

    It binds to all addresses and names this machine's outer one in its SDP, as phones behind NAT do.
    """

    def __init__(self, folder: Path, name: str, *, source: Path | None = None, password: str = "") -> None:
        """It calls as the user `linphone`, and answers a challenge with the password."""
        need("linphonec", "linphone-cli")
        self.name = name
        self.folder = folder / name
        (self.folder / ".local/share/linphone").mkdir(parents=True)
        (self.folder / ".config/linphone").mkdir(parents=True)
        self.source = source or write_wav(self.folder / "silence.wav", np.zeros(8000 * 60))
        account = LINPHONE_ACCOUNT.format(password=password) if password else ""
        (self.folder / "rc").write_text(LINPHONE_CONFIG + account)
        self._heard = self.folder / "heard.wav"
        self._output = (self.folder / "output").open("wb")
        self.process = subprocess.Popen(
            ["linphonec", "-c", str(self.folder / "rc"), "-d", "3", "-l", str(self.folder / "log")],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(self.folder), "TERM": "dumb"},
        )
        self.wait_output("linphonec>", 20)
        self.say("ipv6 disable")
        self.wait_output("ipv6 use disabled")
        self.say("soundcard use files")
        self.wait_output("Using wav files")
        self.say(f"play {self.source}")
        self.say(f"record {self._heard}")

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    def log(self) -> str:
        """Its own log, with all its SIP messages."""
        return (self.folder / "log").read_text(errors="replace")

    def say(self, line: str) -> None:
        """A command at its prompt."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def wait_output(self, text: str, timeout: float = 10, since: int = 0) -> None:
        """Wait until it printed a text, after the first `since` characters."""
        try:
            wait_for(lambda: text in self.output()[since:], timeout, f"linphone prints {text!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}, but:\n{self.output()[since:]}") from None

    def dial(self, uri: str, timeout: float = 10) -> None:
        seen = len(self.output())
        self.say(f"call {uri}")
        self.wait_output("Media streams established", timeout, seen)

    def digits(self, digits: str) -> None:
        """Press keys: RFC 4733 events. It takes a key a line."""
        for digit in digits:
            seen = len(self.output())
            self.say(digit)
            self.wait_output("linphonec>", 5, seen)

    def hangup(self) -> None:
        seen = len(self.output())
        self.say("terminate")
        self.wait_output("ended", since=seen)

    def wait_hungup(self, timeout: float = 10) -> None:
        self.wait_output("ended", timeout)

    def stop(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self.say("quit")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(5)
        end_process(self.process)
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self._output.close()

    def recording(self) -> Recording:
        """What was heard in the last call; its rate is that of linphone's file player (the codec's)."""
        samples, rate = read_wav(self._heard)
        started = self._heard.stat().st_mtime - time.time() + time.monotonic() - len(samples) / rate
        return Recording(samples, rate, started, self._heard)
