"""kamailio with the shipped conf/kamailio in front of nodes that do as they should not: whom it asks, and what callers hear."""

from __future__ import annotations

import itertools
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from bed_front import FakeNode, Front
from bed_phones import own_address, wait_for

_branches = itertools.count(1)


class Caller:
    """Sends requests to the front as they are, and reads what is answered."""

    def __init__(self, front: Front) -> None:
        self.address = own_address()
        self._target = front.address, 5060
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self.address, 5060))
        self._socket.settimeout(8)

    def send(self, method: str, uri: str, *, branch: int = 0, to_tag: str = "", more: str = "") -> int:
        """The branch, by which a CANCEL or ACK belongs to an INVITE."""
        branch = branch or next(_branches)
        self._socket.sendto(
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {self.address}:5060;branch=z9hG4bK{branch};rport\r\n{more}"
            f"From: <sip:ann@{self.address}>;tag=a\r\nTo: <sip:3000@conference>{to_tag}\r\nCall-ID: {branch}@{self.address}\r\n"
            f"CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContact: <sip:ann@{self.address}>\r\nContent-Length: 0\r\n\r\n".encode(),
            self._target,
        )
        return branch

    def answer(self, method: str = "INVITE") -> int:
        """The next status that is not 100."""
        while True:
            text = self._socket.recv(65536).decode()
            status = int(text.split(" ", 2)[1])
            if status != 100 and re.search(rf"(?m)^CSeq: 1 {method}\r$", text):
                return status

    def call(self, front: Front) -> int:
        """The final answer to a call."""
        branch = self.send("INVITE", front.uri("3000"))
        status = self.answer()
        self.send("ACK", front.uri("3000"), branch=branch, to_tag=";tag=1")
        return status

    def stop(self) -> None:
        self._socket.close()


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeNode]]:
    made: list[FakeNode] = []

    def make(status: str, *contact: str) -> FakeNode:
        more = "".join(f"Contact: <{uri}>\r\n" for uri in contact)
        made.append(FakeNode(status, more))
        return made[-1]

    yield make
    for one in made:
        one.stop()


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., tuple[Front, Caller]]]:
    """A front with these lines as its list, and somebody who calls it."""
    made: list[Front | Caller] = []

    def make(*lines: str, **settings: str) -> tuple[Front, Caller]:
        front = Front(tmp_path / "front", own_address(), lines, **settings)
        caller = Caller(front)
        made.extend((caller, front))
        return front, caller

    yield make
    for one in made:
        one.stop()


Fake, Ask = Callable[..., FakeNode], Callable[..., tuple[Front, Caller]]
BUSY = "486 Busy Here"  # which no other node could say better


def only_then(node: FakeNode) -> str:
    """This one takes no calls of its own, but may be sent some."""
    return f"1 sip:{node.address}:5060 4 0"


def test_where_a_node_sends_a_call_it_is_taken_without_the_callers_help(fake: Fake, ask: Ask) -> None:
    there = fake(BUSY)
    sends = fake("302 Moved Temporarily", f"sip:3000@{there.address}:5060;region=eu")
    front, caller = ask(sends.line, only_then(there))
    assert caller.call(front) == 486
    (invite,) = [text for text in there.heard if text.startswith("INVITE")]
    assert invite.startswith(f"INVITE sip:3000@{there.address}:5060;region=eu SIP/2.0\r\n")
    assert "Record-Route: <sip:" in invite


def test_nobody_is_sent_to_an_address_that_is_no_node(fake: Fake, ask: Ask) -> None:
    stranger, there = fake(BUSY), fake(BUSY)
    sends = fake("302 Moved Temporarily", f"sip:3000@{stranger.address}:5060")
    front, caller = ask(sends.line.replace("rweight=1", "rweight=100"), there.line.replace(" 8 0 rweight=1", " 8 0"))
    assert caller.call(front) == 486
    assert (sends.count("INVITE"), there.count("INVITE"), stranger.heard) == (1, 1, [])
    assert "which is no node" in front.log()


def test_nodes_that_send_calls_to_one_another_do_not_do_so_for_ever(fake: Fake, ask: Ask) -> None:
    one, other = fake("302 Moved Temporarily"), fake("302 Moved Temporarily")
    for node, its in ((one, other), (other, one)):
        node.says = "302 Moved Temporarily", f"Contact: <sip:3000@{its.address}:5060>\r\n"
    front, caller = ask(one.line, only_then(other))
    assert caller.call(front) == 503
    assert one.count("INVITE") + other.count("INVITE") == 4


def test_a_node_that_is_full_or_dead_is_left_out(fake: Fake, ask: Ask) -> None:
    full, there = fake("503 Service Unavailable"), fake(BUSY)
    front, caller = ask(full.line.replace("rweight=1", "rweight=100"), there.line.replace(" rweight=1", ""))
    assert caller.call(front) == 486
    assert full.count("INVITE") == 1
    there.stop()
    wait_for(lambda: front.flags()[f"sip:{there.address}:5060"] == "IP", 5, "it is known to be dead")
    assert caller.call(front) == 503


def test_a_call_to_a_node_that_died_just_now_is_taken_by_another(fake: Fake, ask: Ask) -> None:
    dead, there = fake(BUSY), fake(BUSY)
    front, caller = ask(dead.line.replace("rweight=1", "rweight=100"), there.line.replace(" rweight=1", ""))
    dead.stop()
    assert caller.call(front) == 486
    assert there.count("INVITE") == 1


def test_a_caller_who_hangs_up_before_the_answer_is_taken_back(fake: Fake, ask: Ask) -> None:
    there = fake("180 Ringing")
    front, caller = ask(there.line)
    branch = caller.send("INVITE", front.uri("3000"))
    assert caller.answer() == 180
    caller.send("CANCEL", front.uri("3000"), branch=branch)
    assert caller.answer("CANCEL") == 200
    wait_for(lambda: there.count("CANCEL") == 1, 5, "the node hears of it")


def test_nobody_gets_anywhere_but_to_nodes(fake: Fake, ask: Ask) -> None:
    stranger, there = fake(BUSY), fake(BUSY)
    front, caller = ask(there.line, CALLERS='"127.0.0.1/32"')
    elsewhere = f"sip:3000@{stranger.address}:5060"
    caller.send("INVITE", elsewhere)
    assert caller.answer() == 403, "whoever is not in CALLERS"
    caller.send("BYE", elsewhere, to_tag=";tag=1", more=f"Route: <sip:{front.address};lr>\r\n")
    assert caller.answer("BYE") == 403, "in a call that there is not"
    route = f"Route: <sip:{front.address};lr>, <sip:{stranger.address};lr>\r\n"
    caller.send("BYE", f"sip:{there.address}:5060", to_tag=";tag=1", more=route)
    assert caller.answer("BYE") == 403
    caller.send("MESSAGE", elsewhere)
    assert caller.answer("MESSAGE") == 405
    assert stranger.heard == []
    caller.send("BYE", f"sip:{there.address}:5060", to_tag=";tag=1", more=f"Route: <sip:{front.address};lr>\r\n")
    assert caller.answer("BYE") == 200


def test_a_list_that_kamailio_did_not_read_is_read_the_next_time(fake: Fake, ask: Ask, tmp_path: Path) -> None:
    """It reads one a second at most, and may be down when one is written."""
    there = fake(BUSY)
    front, caller = ask()
    assert caller.call(front) == 503
    asked = tmp_path / "asked"
    asked.write_text(f"#!/bin/sh\necho '# by node a'\necho '{there.line}'\n")
    asked.chmod(0o755)
    assert front.written_by(str(asked), control="unix:/nowhere") == 1
    assert caller.call(front) == 503
    wait_for(lambda: front.written_by(str(asked)) == 0, 5, "it is read")
    assert caller.call(front) == 486
    read = front.list.stat().st_mtime_ns
    assert front.written_by(str(asked)) == 0
    assert front.list.stat().st_mtime_ns == read, "nothing new"
    assert front.written_by("false") == 1
    assert there.line in front.list.read_text(), "no list is worse than an old one"
