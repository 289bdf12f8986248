"""A RabbitMQ broker of a test's own, on loopback: it can be stopped, killed and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from xconf.sip.tls.files import Files

RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PATIENCE = 60.0  # s for a start on a busy machine


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def available() -> bool:
    return RABBIT.exists() and shutil.which("erl") is not None


class Broker:
    """Keeps everything it has in `folder`. tls: its certificate; then it takes connections by TLS, and by TCP as well.

    port: of AMQP; tls_port: of AMQP by TLS.
    """

    def __init__(self, folder: Path, tls: Files | None = None) -> None:
        self.folder = folder
        self.port, self.tls_port, self._distribution, self._names = (free_port() for _ in range(4))
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "enabled_plugins").write_text("[].\n")
        lines = [f"listeners.tcp.1 = 127.0.0.1:{self.port}", "log.console = false", "log.file.level = error"]
        if tls is not None:
            lines += [
                f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}",
                f"ssl_options.cacertfile = {tls.ca}",
                f"ssl_options.certfile = {tls.certificate}",
                f"ssl_options.keyfile = {tls.key}",
                "ssl_options.verify = verify_none",
            ]
        (folder / "rabbitmq.conf").write_text("\n".join([*lines, ""]))

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

    def tls_url(self, host: str = "127.0.0.1") -> str:
        """By a name of its."""
        return f"amqps://guest:guest@{host}:{self.tls_port}"

    def listening(self) -> set[str]:
        """Addresses of all TCP ports that it listens on."""
        assert self._process is not None and self._epmd is not None
        ours = {pid for pid in _processes() if _group(pid) == self._process.pid} | {self._epmd.pid}
        words = ["ss", "--tcp", "--listening", "--numeric", "--processes", "--no-header"]
        lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
        return {line.split()[3] for line in lines if any(f"pid={pid}," in line for pid in ours)}

    def start(self) -> None:
        """Returns when it takes connections."""
        its = self.folder
        if self._epmd is None:  # the broker would leave one behind
            self._epmd = subprocess.Popen(["epmd", "-address", "127.0.0.1", "-port", str(self._names)])
        environment = {
            **os.environ,
            "HOME": str(its),
            "RABBITMQ_NODENAME": f"xconf{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": str(its / "mnesia"),
            "RABBITMQ_LOG_BASE": str(its / "log"),
            "RABBITMQ_CONFIG_FILE": str(its / "rabbitmq"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(its / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(its / "pid"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names),
        }
        with (its / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(RABBIT)], env=environment, stdout=output, stderr=output, start_new_session=True
            )
        self._await()

    def _await(self) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as sock:
                    sock.sendall(b"AMQP\0\0\x09\x01")
                    if sock.recv(1):
                        return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("RabbitMQ did not start: " + (self.folder / "output").read_text()[-2000:])

    def stop(self, number: int = signal.SIGTERM) -> None:
        """By a signal to all that it started; returns when it is gone."""
        process, self._process = self._process, None
        if process is not None:
            os.killpg(process.pid, number)
            process.wait(PATIENCE)

    def kill(self) -> None:
        """As a crash does."""
        self.stop(signal.SIGKILL)

    def close(self) -> None:
        """Nothing of it is left."""
        self.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()
            self._epmd = None
