"""Eight hours of calls that come and go, in virtual time: memory does not grow. (In real time: tests/live/test_growth_long.py)"""

from __future__ import annotations

import functools
import gc
import logging
import sys
from typing import Any

import numpy as np
import pytest
from calls_world import Office

PHONES, EACH = 6, 240.0  # calls of a round, and the s from one round to the next
ROUNDS = 8 * 3600 // 240
SETTLED = 60  # rounds until histories of bounded length are full
ALLOWED = 160
"""Objects more at the end than in the middle: what the interpreter's caches take. One that each call left behind would make
270."""


def round_of_calls(office: Office) -> None:
    """Calls that speak, press keys, are held, and end in every usual way."""
    phones = office.phones
    for phone in phones:
        phone.dial("3000")
    office.run(0.1)
    assert all(phone.is_up for phone in phones)
    phones[0].tone = 440.0
    phones[1].press("*")
    phones[2].info(b"Signal=0\r\nDuration=160\r\n")
    phones[3].change(phones[3].sdp("sendonly"))
    office.run(0.2)
    phones[0].tone = None
    phones[0].press("#")
    for phone in phones[1:3]:
        phone.hang_up()
    office.run(0.3)
    office.did("3000 term")
    office.sleep(EACH, step=2.0)
    assert len(office.calls) == 0


def forget(office: Office) -> None:
    """What the test itself has written down."""
    office.wire.clear()
    office.lines.clear()
    office.events.clear()
    for phone in office.phones:
        phone.forget()
        phone.events.clear()
        phone.session = phone.description = None


def bounded_caches() -> list[Any]:
    """What remembers so many results of xconf's functions and no more. One without a bound is not here: if it grows, it counts."""
    found = [thing for thing in gc.get_objects() if isinstance(thing, functools._lru_cache_wrapper)]
    ours = [cache for cache in found if str(getattr(cache, "__module__", "")).startswith("xconf")]
    return [cache for cache in ours if cache.cache_parameters()["maxsize"] is not None]


def test_eight_hours_of_calls_leave_nothing_in_memory(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL + 1)  # pytest keeps each line
    office = Office()
    office.conferences.events._kept = 500  # ten thousand else: a bounded history that would fill all the while
    for number in range(PHONES):
        office.phone(f"127.0.0.{2 + number}")
    remembered = bounded_caches()  # they would fill all the while
    held = np.zeros(ROUNDS, np.int64)
    for number in range(ROUNDS):
        round_of_calls(office)
        forget(office)
        for cache in remembered:
            cache.cache_clear()
        gc.collect()
        held[number] = sys.getallocatedblocks()
    office.close()
    settled = held[SETTLED:]
    quarter = len(settled) // 4
    grown = np.median(settled[-quarter:]) - np.median(settled[:quarter])
    assert grown < ALLOWED, held[::10]
