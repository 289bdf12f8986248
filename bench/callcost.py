"""What a call costs in CPU time, message by message: a server without a network, fed with the messages of its callers.

`python -m bench.callcost` prints the stages; `python -m bench.callcost --profile` prints where their time goes. Nothing else
runs in the process, so that a change of 2 % shows (the machine's clock rate allowing: compare in pairs).
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock
from twisted.logger import globalLogBeginner

from bench.server import CONFIGURATION
from bench.table import Figures, Row
from xconf.app.config import load
from xconf.app.logs import observer, take_logging
from xconf.app.memory import Collector
from xconf.app.service import Server

SERVER = ("127.0.0.1", 15060)
CALLS, ROUNDS = 1000, 7
PER_TICK = 20
SET_UP, HANG_UP = 1000.0, 250.0  # us: a thousand calls a second fill a core, and all hang up in a quarter of the time
TICK = 0.02
STAGES = ("INVITE", "ACK", "BYE", "ticks")

_INVITE = """INVITE sip:4{conference}@127.0.0.1:15060 SIP/2.0
Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{call}i;rport
Max-Forwards: 70
From: <sip:load{call}@{host}>;tag={call}
To: <sip:4{conference}@127.0.0.1:15060>
Call-ID: {call}@{host}
CSeq: 1 INVITE
Contact: <sip:load@{host}:5060>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK
Supported: timer, 100rel
Session-Expires: 1800
User-Agent: callcost
Content-Type: application/sdp
Content-Length: {length}

{sdp}"""
_SDP = """v=0
o=- {number} 1 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP 0 8 101
a=rtpmap:0 PCMU/8000
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a=sendrecv
"""
_IN_DIALOG = """{method} sip:4{conference}@127.0.0.1:15060 SIP/2.0
Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{call}{method};rport
Max-Forwards: 70
From: <sip:load{call}@{host}>;tag={call}
To: <sip:4{conference}@127.0.0.1:15060>;tag={tag}
Call-ID: {call}@{host}
CSeq: {sequence} {method}
User-Agent: callcost
Content-Length: 0

"""


class Wire(Clock):
    """As much of a reactor as SIP needs: time, and one UDP port whose datagrams are kept in `sent`."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.protocol: Any = None

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Wire:
        self.protocol = protocol
        protocol.makeConnection(self)
        return self

    def write(self, data: bytes, to: tuple[str, int]) -> None:
        self.sent.append(data)

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", *SERVER)

    def getHandle(self) -> Wire:
        return self

    def setsockopt(self, *option: object) -> None:
        """Nothing to set."""

    def stopListening(self) -> None:
        """Nothing to close."""


class Caller:
    """The messages of one call."""

    def __init__(self, number: int) -> None:
        host = f"127.1.{number // 250 % 250}.{number % 250 + 1}"
        self.place = (host, 5060)
        self.words = {"call": f"c{number}", "host": host, "conference": "0", "tag": ""}
        sdp = _crlf(_SDP.format(number=number, host=host, port=20_000 + number % 20_000))
        self.invite = _crlf(_INVITE.format(length=len(sdp), sdp="", **self.words)) + sdp

    def heard(self, answer: bytes) -> None:
        """The tag that the server gave."""
        to = answer[answer.index(b"\r\nTo: ") :]
        self.words["tag"] = to[: to.index(b"\r\n", 2)].rpartition(b";tag=")[2].decode()

    def request(self, method: str, sequence: int) -> bytes:
        return _crlf(_IN_DIALOG.format(method=method, sequence=sequence, **self.words))


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


class Stand:
    """The server, and the CPU time that it spent, by stage."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire()
        file = folder / "xconf.yaml"
        host, port = SERVER
        file.write_text(CONFIGURATION.format(host=host, port=port))
        self.node = Server(self.wire, load(file))
        self.node.sip.startService()
        self.node.calls.start()
        self.spent = dict.fromkeys(STAGES, 0.0)
        self.watch: Callable[[str], Any] = lambda stage: None

    def round(self, numbers: Iterable[int]) -> dict[str, float]:
        """Set up, and hung up again: us per call of each stage."""
        self.spent = dict.fromkeys(STAGES, 0.0)
        callers = [Caller(number) for number in numbers]
        turns = [callers[start : start + PER_TICK] for start in range(0, len(callers), PER_TICK)]
        for turn in turns:
            answers = self._feed("INVITE", [(caller.place, caller.invite) for caller in turn])
            final = [data for data in answers if data.startswith(b"SIP/2.0 200")]
            for caller, answer in zip(turn, final, strict=True):
                caller.heard(answer)
            self._feed("ACK", [(caller.place, caller.request("ACK", 1)) for caller in turn])
        assert len(self.node.calls) == self.node.conferences.totals.members == len(callers)
        for turn in turns:
            self._feed("BYE", [(caller.place, caller.request("BYE", 2)) for caller in turn])
        assert not len(self.node.calls)
        self.wire.sent.clear()
        for _ in range(35):  # the transactions go
            self.wire.advance(1)
        assert not self.wire.sent, self.wire.sent[0]
        return {stage: seconds / len(callers) * 1e6 for stage, seconds in self.spent.items()}

    def _feed(self, stage: str, messages: list[tuple[tuple[str, int], bytes]]) -> list[bytes]:
        """What one tick's worth of messages is answered."""
        self.wire.sent.clear()
        self._timed(stage, self._receive, messages)
        self._timed("ticks", self.node.media.engine.tick, 0, 0.0)
        self.wire.advance(TICK)
        return list(self.wire.sent)

    def _receive(self, messages: list[tuple[tuple[str, int], bytes]]) -> None:
        for place, data in messages:
            self.wire.protocol.datagramReceived(data, place)
        self.wire.advance(0)  # what was put off to the end of the reactor's turn

    def _timed(self, stage: str, do: Callable[..., object], *arguments: object) -> None:
        profile = self.watch(stage)
        if profile is not None:
            profile.enable()
        before = time.process_time()
        do(*arguments)
        self.spent[stage] += time.process_time() - before
        if profile is not None:
            profile.disable()

    def close(self) -> None:
        self.node.media.engine.close()


def measure(quick: bool) -> Figures:
    found: list[dict[str, float]] = []
    _run(lambda stand: found.extend(stand.round(_numbers(number)) for number in range(3 if quick else ROUNDS)))
    spent = {stage: statistics.median(one[stage] for one in found[1:]) for stage in STAGES}
    set_up = spent["INVITE"] + spent["ACK"]
    note = ", ".join(f"{stage} {spent[stage]:.0f}" for stage in STAGES)
    row = Row(
        "CPU time of a call: set up (INVITE and ACK) and hung up (BYE), without the kernel's share of the messages",
        f"under {SET_UP:.0f} us and {HANG_UP:.0f} us",
        f"{set_up:.0f} us and {spent['BYE']:.0f} us",
        set_up < SET_UP and spent["BYE"] < HANG_UP,
        f"us per call: {note}",
    )
    return Figures([row])


def _numbers(number: int) -> range:
    return range(number * CALLS, (number + 1) * CALLS)


def _run(do: Callable[[Stand], object]) -> None:
    """As the server runs: its log goes to a file, and its garbage collector is tuned."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        globalLogBeginner.beginLoggingTo([observer(log)], redirectStandardIO=False)
        take_logging()
        stand = Stand(Path(folder))
        collector = Collector(stand.wire, range(CALLS), ())
        collector.start()
        do(stand)
        collector.stop()
        stand.close()
        faults = (Path(folder) / "log").read_text().count("Traceback")
        if faults:
            print(f"the log has {faults} tracebacks: the figures mean nothing", file=sys.stderr)


def _profile(stand: Stand) -> None:
    stand.round(_numbers(0))
    profiles = {stage: cProfile.Profile() for stage in STAGES}
    stand.watch = profiles.get
    stand.round(_numbers(1))
    for stage, profile in profiles.items():
        print(f"\n== {stage}\n")
        pstats.Stats(profile).strip_dirs().sort_stats("cumulative").print_stats(110)


def main(words: list[str]) -> None:
    if "--profile" in words:
        _run(_profile)
    else:
        print(measure(quick=False).rows[0].note)


if __name__ == "__main__":
    main(sys.argv[1:])
