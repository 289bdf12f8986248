"""The bytes by which nodes tell of themselves."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.cluster.nodes import NodeTable
from xconf.cluster.status import About, Load, Part, Reporter, State, StatusError, Takes, parse

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
NAMES = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=16)
PARTS = st.builds(
    lambda name, members, speakers, state, revision, sets: Part(
        name, members + speakers, speakers, State(state), revision, sets=sets
    ),
    NAMES, st.integers(0, 9999), st.integers(0, 50), st.integers(0, 7), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**32 - 1]),
)  # fmt: skip
TEXTS = st.text(st.characters(categories=("L", "N", "P")), max_size=25)  # of four octets at most each
LOADS = st.builds(
    lambda calls, more, tenths, cpu, pending, draining, uri, region, takes: Load(
        calls, calls + more, tenths / 10, cpu / 10, pending, draining, uri, region, Takes(takes)
    ),
    st.integers(0, 2**31), st.integers(0, 2**31 - 1), st.integers(0, 65535), st.integers(0, 65535),
    st.integers(0, 2**32 - 1), st.booleans(), TEXTS, TEXTS, st.integers(0, 3),
)  # fmt: skip


def golden(title: str) -> bytes:
    """The octets that the documentation shows under a title."""
    found = re.search(rf"`{re.escape(title)}`:\n\n```\n(.*?)```", PAGE.read_text(), re.S)
    assert found, title
    return bytes.fromhex("".join(line.partition("  ")[0] for line in found[1].splitlines()))


def test_a_complete_status_as_documented():
    load = Load(417, 1000, 2.7, 48.5, 3, uri="sip:192.0.2.20:5061", region="eu", takes=Takes.LISTENERS)
    parts = [Part("3000", 400, 2, State.ADMIN | State.OPEN, 5, 3), Part("4711", 1, 1, State.PLAYING)]
    assert Reporter().complete(load, parts) == [golden("complete status")]


def test_a_change_as_documented():
    reporter = Reporter()
    reporter.complete(Load(), ())
    assert reporter.changes(Load(calls=416, most_calls=1000), [Part("3000", 0, 0, State.OVER)]) == [golden("change")]


def test_keys_that_were_set_as_documented():
    reporter = Reporter()
    reporter.complete(Load(), ())
    reporter.complete(Load(), ())
    part = Part("3000", 2, 1, State.OPEN, sets=5)
    (body,) = reporter.changes(Load(calls=416, most_calls=1000), [part])
    assert body == golden("keys were set") and parse(body).parts == (part,)


def test_a_goodbye_as_documented():
    assert Reporter().complete(Load(), (), leaving=True) == [golden("goodbye")]


@given(st.lists(PARTS, max_size=200, unique_by=lambda part: part.name))
def test_what_was_told_is_read_in_however_many_datagrams(parts):
    bodies = Reporter(longest=200).complete(Load(calls=3), parts)
    read = [parse(body) for body in bodies]
    assert [part for status in read for part in status.parts] == parts
    assert [status.index for status in read] == list(range(len(bodies)))
    assert {status.total for status in read} == {len(bodies)}
    assert max(map(len, bodies)) <= 200


@given(LOADS)
def test_how_busy_a_node_is_and_for_whom_it_is_there_is_read_as_it_was_told(load):
    assert parse(Reporter().complete(load, ())[0]).load == load


def test_an_older_version_tells_no_address_and_nobody_is_sent_there():
    body = Reporter().complete(Load(7, 10, 2.5, 40.0, 1, uri="sip:192.0.2.20", region="eu", takes=Takes(1)), ())[0]
    older = body[:10] + b"\x10" + body[11:27] + b"\x00"
    assert parse(older).load == Load(7, 10, 2.5, 40.0, 1)
    assert parse(older).load.uri == ""


@pytest.mark.parametrize("text", ["sip:192.0.2.20\r\nX: y", "s" * 101])
def test_an_address_that_could_not_be_told_callers_is_refused(text):
    with pytest.raises(StatusError):
        parse(Reporter().complete(Load(uri=text), ())[0])


def test_the_longest_status_that_can_be_is_within_its_bound():
    parts = [
        Part("\N{SNOWMAN WITHOUT SNOW}" * 60 + "\N{GRINNING FACE}" * 4, 10**9, 10**8, State(7), 2**32 - 1, 0xFFFF)
    ] * 300
    load = Load(2**31, 2**31, 9e9, 9e9, 2**31, uri="s" * 100, region="e" * 100)
    bodies = Reporter().complete(load, parts)
    assert max(map(len, bodies)) <= 1200
    assert sum(len(parse(body).parts) for body in bodies) == 300


@given(st.binary(max_size=120))
def test_any_octets_are_a_status_or_refused(octets):
    with contextlib.suppress(StatusError):
        parse(octets)


def test_a_status_that_was_cut_or_flipped_never_harms():
    body = Reporter().complete(Load(1, 2), [Part("3000", 3, 1), Part("3001", 3, 1)])[0]
    table = NodeTable()
    table.appeared("b", 1, 0.0)
    for end in range(len(body)):
        table.received("b", body[:end], 0.0)
    assert sum(table.dropped.values()) == len(body)
    for at in range(8 * len(body)):
        table.received("b", (int.from_bytes(body, "big") ^ 1 << at).to_bytes(len(body), "big"), 0.0)


def test_what_later_versions_add_is_skipped():
    body = bytearray(Reporter().complete(Load(1, 2), [Part("3000", 3, 1)])[0])
    size = body[10]
    longer = (
        bytes(body[:10]) + bytes((size + 2,)) + bytes(body[11 : 11 + size]) + b"\xff\xff" + bytes(body[11 + size :])
    )
    assert parse(longer + b"more").parts == (Part("3000", 3, 1),)


def test_another_version_is_not_understood():
    with pytest.raises(StatusError, match="version 9"):
        parse(b"\x09" + Reporter().complete(Load(), ())[0][1:])


def test_a_status_of_who_was_never_proved_is_not_taken():
    table = NodeTable()
    assert table.received("b", Reporter().complete(Load(), ())[0], 0.0) == []
    assert table.dropped == {"unknown node": 1}


def test_draining_is_told():
    assert About.DRAINING in parse(Reporter().complete(Load(draining=True), ())[0]).about
