"""A RabbitMQ broker of a test's own, on loopback: it can be stopped, killed and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PATIENCE = 60.0  # s for a start on a busy machine


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def available() -> bool:
    return RABBIT.exists() and shutil.which("erl") is not None


class Broker:
    """Keeps everything it has in `folder`. port: of AMQP."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self._distribution, self._names = free_port(), free_port(), free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "enabled_plugins").write_text("[].\n")
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\nlog.console = false\nlog.file.level = error\n"
        )

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}"

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
