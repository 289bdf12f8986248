"""Telephones of all kinds through kamailio with the shipped conf/kamailio: behind a translator (NAT), over TLS, and SIPp."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from bed_audio import tone_level, tone_levels
from bed_cluster import Cluster
from bed_crew import Phones
from bed_front import SHIPPED, Front, front_and_nodes
from bed_nat import FORGETS, Home
from bed_phones import own_address, wait_for
from bed_sipp import SippRun, run_sipp
from tls_world import Authority

pytestmark = pytest.mark.long

TONE = 433.0


def at_a(front: Front, nodes: Cluster, number: str) -> str:
    """What to call to be on node a, and not to be sent on from there, until `take_all`."""
    front.give_to([nodes.nodes["a"]], [*nodes.nodes.values()])
    return f"{front.uri(number)};xconf=placed"


def take_all(front: Front, nodes: Cluster) -> None:
    front.give_to([*nodes.nodes.values()], [*nodes.nodes.values()])


def test_telephones_behind_one_translator_are_heard_are_moved_and_are_hung_up(tmp_path: Path) -> None:
    """The nodes take calls from the front alone; the router forgets who is silent for seconds, and each port is another outside."""
    home = Home("ab")
    try:
        settings = {"CALLERS": f'"{home.network}"', "KEEP_ALIVE": "10"}
        with front_and_nodes(tmp_path, "ab", home, settings) as (front, nodes):
            a, b = nodes.nodes["a"], nodes.nodes["b"]
            for name, number, address in (("ear", "4000", home.phones[0]), ("ann", "3000", home.phones[1])):
                uri = at_a(front, nodes, number)
                tone = TONE if name == "ann" else None
                nodes.dial(name, uri, address, home.within, seconds=90, tone=tone)
            a.wait_members("3000", 2)
            take_all(front, nodes)
            time.sleep(FORGETS + 4)
            a.ctl("drain")
            b.wait_members("3000", 2)
            assert a.process.wait(10) == 0
            time.sleep(FORGETS + 4)
            b.ctl("3000 term")
            for phone in nodes.phones.values():
                phone.wait(4)
            heard = tone_levels(nodes.phones["ear"].heard(), TONE, segment=0.1)
            there = np.flatnonzero(heard > -21)
            assert len(there) > 10 * 2 * FORGETS, "ann is heard at home again, by way of both nodes"
            assert np.diff(there).max() <= 3, f"gaps at {there[:-1][np.diff(there) > 3] / 10} s"
            assert b.log().count(f"by its own account, at {home.outside} by its packets") == 2
    finally:
        home.close()


def test_a_telephone_over_tls_is_on_a_node_is_moved_and_is_hung_up(tmp_path: Path) -> None:
    authority, address = Authority(tmp_path / "ca"), own_address()
    crew = Phones(tmp_path / "crew")
    files = tmp_path / "tls.cfg"
    settings = {"TLS_FILES": f'"{files}"', "FRONT_TLS": f"tls:{address}:5061"}
    its = authority.issue("front", address)
    shipped = (SHIPPED / "tls.cfg").read_text()
    ours = shipped.replace("/etc/kamailio/fullchain.pem", str(its.certificate))
    files.write_text(ours.replace("/etc/kamailio/privkey.pem", str(its.key)))
    try:
        with front_and_nodes(tmp_path, "ab", set_=settings, address=address) as (front, nodes):
            a, b = nodes.nodes["a"], nodes.nodes["b"]
            sue = nodes.dial("sue", f"{b.uri('3000')};xconf=placed", own_address(), seconds=60, tone=TONE)
            b.wait_members("3000", 1)
            front.give_to([a], [a, b])
            config = f"sip_cafile {authority.path}\nsip_verify_server yes\n"
            ann = crew.baresip("ann", transport="tls", config=config, tone=1013)
            ann.dial(f"sip:4000@{front.address}:5061;transport=tls;xconf=placed")
            a.wait_members("3000", 1)
            front.give_to([a, b], [a, b])
            time.sleep(1)
            a.ctl("drain")
            b.wait_members("3000", 2)
            assert a.process.wait(10) == 0
            time.sleep(2)
            ears = time.monotonic()
            b.ctl("3000 term")
            wait_for(lambda: sum(event.get("type") == "CALL_CLOSED" for event in ann.events) == 2, 5, "both calls end")
            sue.wait()
    finally:
        crew.stop()
    assert tone_level(ann.recording().during(ears - 1.5, ears - 0.2), TONE) == pytest.approx(-18, abs=2)


def test_sipps_second_opinion(tmp_path: Path) -> None:
    """50 calls with their own way through the front, hung up by SIPp; and some that the nodes hang up."""
    with front_and_nodes(tmp_path, "ab") as (front, nodes):
        both = [*nodes.nodes.values()]
        target = f"{front.address}:5060"
        assert run_sipp(tmp_path, "call", target, "4000", calls=50, rate=25, duration=2.0).successful == 50
        kicked = SippRun(tmp_path, "server-ends", target, "4001", calls=10, rate=50)
        wait_for(lambda: sum(len(node.members("3001")) for node in both) == 10, 10, "all are there")
        for node in both:
            if node.members("3001"):
                node.ctl("3001 term")
        outcome = kicked.finish()
        assert (outcome.status, outcome.successful) == (0, 10), outcome.explain()
        began = [len(re.findall(r"call from .* to 4000: conference 3000", node.log())) for node in both]
        assert sum(began) == 50, f"on the nodes: {began}"
        assert [node.data("status")["calls"] for node in both] == [0, 0]
