"""What is left of calls that are over: nothing that only a garbage collection could free."""

from __future__ import annotations

import gc
from collections import Counter

from calls_world import Office
from sip_world import World
from twisted.logger import Logger

from xconf.sip.useragent import Invited

log = Logger()

ROOMS = ("xconf.calls", "xconf.conference", "xconf.media", "xconf.sip")


def serve(office: Office) -> None:
    """Calls that hear prompts, press keys, are put on hold, and end in several ways."""
    ann, bob, cat = office.phones_in(3)
    ann.press("*")
    bob.press("#")
    cat.info(b"0", "application/dtmf")
    office.run(1.0)
    ann.change(ann.sdp("sendonly"))
    ann.hang_up()
    office.run(4.0)
    office.did("3000 term")
    office.run(4.0)
    office.sleep(80)


def test_calls_that_are_over_need_no_garbage_collection() -> None:
    """Calls and sessions once were reference cycles: with thousands of them, collections stopped the tick for 140 ms."""
    office = Office()
    serve(office)
    for _ in range(300):  # Twisted keeps the latest lines: those of other tests hold faults, which hold their offices
        log.info("")
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        serve(office)
        gc.collect()
        kinds = Counter(f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        office.close()
    assert {kind: count for kind, count in kinds.items() if kind.startswith(ROOMS)} == {}


def test_calls_that_were_placed_or_hung_up_by_us_need_no_garbage_collection() -> None:
    """A BYE of ours, and each call that we placed, stayed until no call was up: megabytes an hour on a busy server."""
    world = World()
    ann, bob = world.node("ann"), world.node("bob")

    def talk() -> None:
        for who in (ann, bob):
            session = ann.call(bob)
            world.run(1)
            (session if who is ann else bob.seen(Invited)[-1].session).hangup(world.now)
            world.run(100)
        bob.on[Invited] = lambda event: event.session.ring(now=world.now)
        ann.call(bob).hangup(world.now)
        ann.call(bob, flow=ann.flow(("192.0.2.77", 5060)))  # nobody answers there
        world.run(400)
        del bob.on[Invited]
        for node in (ann, bob):
            node.events.clear()
        world.wire.clear()

    usual = bob.on[Invited]
    talk()
    bob.on[Invited] = usual
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        talk()
        gc.collect()
        kinds = Counter(f"{type(found).__module__}.{type(found).__qualname__}" for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert {kind: count for kind, count in kinds.items() if kind.startswith(ROOMS)} == {}
