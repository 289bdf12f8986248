"""The server as a process: it starts, says what is wrong, reloads, and stops."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_server import PATIENCE, READY, Server, environment, sip_port, write_config

HOST = "127.0.0.21"
pytestmark = [pytest.mark.patient, pytest.mark.xdist_group("daemon")]  # one address for all


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return write_config(tmp_path, host=HOST)


@pytest.fixture
def server(config: Path) -> Iterator[Server]:
    with Server(config) as running:
        running.wait_for(READY)
        yield running


def replace(config: Path, old: str, new: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new, 1))


def start(config: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Starts a server that is expected to refuse."""
    command = [Server.bin_of_tests / "twistd", *options, "xconf", "-c", config]
    return subprocess.run(
        command, cwd=config.parent, env=environment(), capture_output=True, text=True, timeout=PATIENCE
    )


def test_it_says_what_to_dial_and_stops_when_told(server: Server) -> None:
    port = sip_port(server.config)
    dial = f"dial sip:3000@{HOST}:{port}  conference 3000, profile default, +speaker"
    assert any(line.endswith(dial) for line in server.lines)
    assert server.stop() == 0
    assert not (server.config.parent / "xconf.sock").exists()
    assert "Traceback" not in "\n".join(server.lines)


def test_only_its_user_may_steer_it(server: Server) -> None:
    assert stat.S_IMODE((server.config.parent / "xconf.sock").stat().st_mode) == 0o600


def test_it_answers_options(server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind((HOST, 0))
        phone.settimeout(PATIENCE)
        host, port = phone.getsockname()
        phone.sendto(
            f"OPTIONS sip:{HOST} SIP/2.0\r\nVia: SIP/2.0/UDP {host}:{port};branch=z9hG4bK1;rport\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:t@{host}>;tag=1\r\nTo: <sip:{HOST}>\r\nCall-ID: 1@{host}\r\n"
            "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode(),
            (HOST, sip_port(server.config)),
        )
        assert phone.recv(65536).startswith(b"SIP/2.0 200 ")


def test_it_tells_how_it_fares_and_what_it_holds(server: Server) -> None:
    status = server.ctl("status")
    assert status.returncode == 0
    assert "node         test, xconf 0." in status.stdout
    assert "calls        0\n" in status.stdout
    held = json.loads(server.ctl("status", "--json").stdout)["data"]["held"]
    assert all(count == 0 for room in held.values() for count in room.values()), held


def test_an_unknown_conference_or_command_exits_non_zero(server: Server) -> None:
    for words in (["3000", "show", "members"], ["lst"], ["reload", "now"], ["sip", "trace", "maybe"]):
        refused = server.ctl(*words)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("xconf: ")
        assert refused.stderr.count("\n") == 1


def test_the_sip_trace_goes_on_and_off(server: Server) -> None:
    assert server.ctl("sip", "trace", "on").stdout == "SIP trace is on\n"
    test_it_answers_options(server)
    server.wait_for("<<< udp 127.0.0.21:")
    server.wait_for(">>> udp 127.0.0.21:")
    assert server.ctl("sip", "trace", "off").stdout == "SIP trace is off\n"
    test_it_answers_options(server)
    assert server.stop() == 0
    assert sum("<<< udp" in line for line in server.lines) == 1


def test_it_is_shut_down_over_its_socket(server: Server) -> None:
    assert server.ctl("shutdown").stdout == "shutting down\n"
    assert server.process.wait(PATIENCE) == 0


def test_hup_reloads(server: Server) -> None:
    replace(server.config, "'#': hangup", "'#': mute")
    server.process.send_signal(signal.SIGHUP)
    assert server.wait_for("reload").endswith("info  reloaded")


def test_reload_refuses_a_file_with_faults_and_goes_on(server: Server) -> None:
    replace(server.config, "'#': hangup", "'#': hangpu")
    refused = server.ctl("reload")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.endswith("controls.default.#: no action 'hangpu'; did you mean hangup?\n")
    assert "not reloaded, all stays as it was: " in server.wait_for("error")
    assert server.ctl("list").returncode == 0


def test_reload_names_what_needs_a_restart(server: Server) -> None:
    replace(server.config, "{name: test}", "{name: other}")
    assert server.ctl("reload").stdout == "reloaded; only a restart changes node\n"


@pytest.mark.parametrize(
    ("kind", "text"),
    [(socket.SOCK_DGRAM, "sip.listen[0]: udp://"), (socket.SOCK_STREAM, "sip.listen[1]: tcp://")],
)
@pytest.mark.parametrize("options", [("-n", "--pidfile="), ()], ids=["foreground", "daemon"])
def test_a_port_in_use_is_one_line(kind: socket.SocketKind, text: str, options: tuple[str, ...], config: Path) -> None:
    port = sip_port(config)
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((HOST, port))
        if kind == socket.SOCK_STREAM:
            other.listen()
        refused = start(config, *options)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"{config}:3: {text}{HOST}:{port} is in use by another program; stop it, or choose another port\n"
    )


def test_a_second_server_for_one_configuration_is_refused(server: Server) -> None:
    refused = start(server.config, "-n", "--pidfile=")
    assert refused.returncode == 1
    assert f"a server already listens on {server.config.parent}/xconf.sock; stop it" in refused.stderr
    assert server.ctl("list").returncode == 0


def test_a_socket_that_a_killed_server_left_is_no_hindrance(config: Path) -> None:
    with Server(config) as first:
        first.wait_for(READY)
        first.process.kill()
        first.process.wait()
    assert (config.parent / "xconf.sock").exists()
    with Server(config) as second:
        second.wait_for(READY)
        assert second.ctl("list").returncode == 0


def test_an_address_of_another_machine_is_one_line(config: Path) -> None:
    replace(config, f"rtp: {{address: {HOST}", "rtp: {address: 192.0.2.1")
    refused = start(config, "-n", "--pidfile=")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"{config}:5: rtp.address: 192.0.2.1 is not an address of this machine; `ip address` shows those there are\n"
    )


def test_a_fault_of_the_configuration_is_one_line(config: Path) -> None:
    replace(config, "'*': deaf", "'*': daef")
    refused = start(config, "-n", "--pidfile=")
    assert refused.returncode == 1
    assert refused.stderr == f"{config}:13: controls.default.*: no action 'daef'; did you mean deaf?\n"


def test_without_a_configuration_one_line_says_so(tmp_path: Path) -> None:
    refused = start(tmp_path / "no.yaml", "-n", "--pidfile=")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"{tmp_path}/no.yaml: cannot be read: No such file or directory; give another with -c FILE\n"
    )


def test_as_a_daemon_it_writes_its_log_and_stops(config: Path) -> None:
    folder = config.parent
    started = start(config, f"--pidfile={folder}/pid", f"--logfile={folder}/log")
    assert (started.returncode, started.stderr) == (0, "")
    pid = int((folder / "pid").read_text())
    try:
        listed = subprocess.run(
            [Server.bin_of_tests / "xconf", "ctl", "-c", config, "list"], cwd=folder, timeout=PATIENCE
        )
        assert listed.returncode == 0
    finally:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while (folder / "pid").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not (folder / "pid").exists()
    log = (folder / "log").read_text()
    assert "info  ready for calls\n" in log
    assert "Traceback" not in log
