"""A name server of a test's own: `twistd`'s, with a zone that the test writes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bed_phones import end_process, own_address

SERVER = """\
from twisted.internet import defer, reactor
from twisted.names import dns, error, server

zone = {{}}
for name, kind, fields in {zone}:
    record = getattr(dns, "Record_" + kind)(*fields)
    zone.setdefault((name, record.TYPE), []).append(record)


class Zone:
    def query(self, query, timeout=None):
        found = zone.get((query.name.name.decode().lower(), query.type), [])
        names = {{name for name, _ in zone}}
        if not found and query.name.name.decode().lower() not in names:
            return defer.fail(error.DomainError())
        return defer.succeed(([dns.RRHeader(query.name.name, query.type, ttl=5, payload=one) for one in found], [], []))


reactor.listenUDP(53530, dns.DNSDatagramProtocol(server.DNSServerFactory(clients=[Zone()])), interface="{address}")
print("ready", flush=True)
reactor.run()
"""


class NameServer:
    """zone: (name, type, fields), as in ("_sip._udp.a.example", "SRV", (10, 0, 5060, "b.example"))."""

    def __init__(self, folder: Path, zone: list[tuple[str, str, tuple[object, ...]]]) -> None:
        self.address = own_address()
        self.target = f"{self.address}:53530"
        program = folder / f"dns-{self.address}.py"
        program.write_text(SERVER.format(zone=zone, address=self.address))
        self.process = subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE)
        started = time.monotonic()
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n", f"no name server after {time.monotonic() - started:.0f} s"

    def stop(self) -> None:
        end_process(self.process)
        if self.process.stdout is not None:
            self.process.stdout.close()
