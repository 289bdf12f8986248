"""The numbered stream of events: what is kept, what is told, and how it looks as JSON."""

from __future__ import annotations

import json

import msgspec
import pytest

from xconf.conference import events
from xconf.conference.stream import Stream


def filled(count: int, kept: int = 5) -> Stream:
    stream = Stream(lambda: 1769860800.25, kept)
    for number in range(count):
        stream.publish(events.FlagChanged, conference="3000", flag=f"f{number + 1}", on=True)
    return stream


def numbers(found: list[events.Event]) -> list[int]:
    return [event.sequence for event in found]


def test_numbers_have_no_gaps_and_the_oldest_events_are_forgotten() -> None:
    stream = filled(12)
    assert (stream.first, stream.last) == (8, 12)
    assert numbers(stream.after(0)) == [8, 9, 10, 11, 12]
    assert numbers(stream.after(9)) == [10, 11, 12]
    assert numbers(stream.after(9, 2)) == [10, 11]
    assert stream.after(12) == stream.after(99) == []
    assert [event.flag for event in stream.after(10)] == ["f11", "f12"]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_before_the_ring_is_full_everything_is_kept(count: int) -> None:
    stream = filled(count)
    assert (stream.first, stream.last) == (1, count)
    assert numbers(stream.after(0)) == list(range(1, count + 1))


def test_a_subscriber_that_fails_stops_neither_the_others_nor_what_happened() -> None:
    stream, told = Stream(lambda: 0.0), []
    stream.subscribe(lambda event: 1 // 0)
    end = stream.subscribe(told.append)
    stream.publish(events.Error, conference="", part="history", error="disk full")
    end()
    stream.publish(events.Error, conference="", part="history", error="disk full")
    assert numbers(told) == [1]


def test_an_event_in_json_says_first_what_it_is() -> None:
    event = filled(1).after(0)[0]
    assert msgspec.json.encode(event) == (
        b'{"event":"flag-changed","sequence":1,"time":1769860800.25,"conference":"3000","flag":"f1","on":true}'
    )
    assert json.loads(msgspec.json.encode(event)) == event.as_dict()


def test_every_kind_has_a_name_of_its_own() -> None:
    found = events.kinds()
    assert {"member-joined", "talk-started", "playback-ended", "error"} <= set(found)
    assert len(set(found.values())) == len(found)
