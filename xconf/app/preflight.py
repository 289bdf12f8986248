"""Looks, before the server starts, whether it can have the addresses that its configuration names.

At this time the terminal is still there to say so in a line; later, as a daemon, there is only the log.
"""

from __future__ import annotations

import errno
import os
import socket

from xconf.api.control import ControlError, clear_the_way
from xconf.app.config import Configuration
from xconf.app.problems import ConfigError, KeyPath, Problem
from xconf.app.values import Listen

REMEDIES = {
    errno.EADDRINUSE: "in use by another program; stop it, or choose another port",
    errno.EADDRNOTAVAIL: "not an address of this machine; `ip address` shows those there are",
    errno.EACCES: "kept for root; choose a port above 1023",
}


def check_addresses(configuration: Configuration) -> None:
    """Raises ConfigError with each address that cannot be had."""
    settings = configuration.settings
    faults: list[tuple[KeyPath, str]] = [
        (("sip", "listen", index), f"{listen} is {fault}")
        for index, listen in enumerate(settings.sip.listen)
        if (fault := cannot_listen(listen))
    ]
    if fault := cannot_bind(socket.SOCK_DGRAM, settings.rtp.address.host, 0):
        faults.append((("rtp", "address"), f"{settings.rtp.address} is {fault}"))
    six = settings.rtp.address6
    if six and (fault := cannot_bind(socket.SOCK_DGRAM, six.host, 0)):
        faults.append((("rtp", "address6"), f"{six} is {fault}"))
    its = settings.cluster
    if its.enable:
        # With multicast our address is that of an interface; the port is shared with who else listens to the group.
        port = its.listen.port if its.mode == "unicast" else 0
        if fault := cannot_bind(socket.SOCK_DGRAM, its.listen.host, port):
            faults.append((("cluster", "listen"), f"{its.listen} is {fault}"))
    try:
        clear_the_way(configuration.socket)
    except ControlError as error:
        faults.append((("control", "listen"), str(error)))
    if faults:
        raise ConfigError(
            Problem(configuration.name, configuration.document.line(path), path, text) for path, text in faults
        )


def cannot_listen(listen: Listen) -> str | None:
    """Why this address cannot be listened to, and what to do; None when it can."""
    kind = socket.SOCK_DGRAM if listen.transport == "udp" else socket.SOCK_STREAM
    return cannot_bind(kind, listen.host, listen.port)


def cannot_bind(kind: socket.SocketKind, host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, kind) as probe:
            if kind == socket.SOCK_STREAM:
                # As a server does it: connections of its last run, still closing, are no hindrance.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
    except OSError as error:
        number = error.errno or 0
        return REMEDIES.get(number, f"not usable: {os.strerror(number)}")
    return None
