"""Each digit once, whatever the network does to its packets."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xconf.rtp.telephone_event import (
    DIGITS,
    Event,
    EventError,
    EventPacket,
    EventReceiver,
    event_packets,
)

PAUSE = 320  # 40 ms at 8 kHz: the shortest between two digits
seeds = st.integers(0, 2**32)


@dataclass(frozen=True)
class Press:
    digit: str
    duration: int
    pause: int


presses = st.builds(Press, st.sampled_from(DIGITS), st.integers(1, 20_000), st.integers(PAUSE, 100_000))


def sent(dialled: list[Press], start: int = 0) -> list[list[tuple[int, EventPacket]]]:
    """The packets of each press, with the RTP timestamp on the wire."""
    events = []
    for press in dialled:
        packets = event_packets(press.digit, press.duration)
        events.append([((start + packet.offset) % 2**32, packet) for packet in packets])
        start += press.duration + press.pause
    return events


def heard(*events: list[tuple[int, EventPacket]]) -> str:
    receiver = EventReceiver()
    packets = chain.from_iterable(events)
    digits = [receiver.feed(timestamp, packet.marker, packet.payload) for timestamp, packet in packets]
    return "".join(digit for digit in digits if digit)


def lose_and_double(packets: list[tuple[int, EventPacket]], rng: random.Random) -> list[tuple[int, EventPacket]]:
    kept = [packet for packet in packets for _ in range(rng.choice((0, 0, 1, 1, 2)))]
    return kept or [rng.choice(packets)]


def test_a_number_on_a_clean_line() -> None:
    number = "0123456789*#ABCD11"
    events = sent([Press(digit, 800, PAUSE) for digit in number])
    assert heard(*events) == number


@given(st.lists(presses, max_size=12), st.integers(0, 2**32 - 1), seeds)
def test_order_stays_when_packets_are_lost_and_doubled(dialled: list[Press], start: int, seed: int) -> None:
    rng = random.Random(seed)
    arrived = [lose_and_double(event, rng) for event in sent(dialled, start)]
    assert heard(*arrived) == "".join(press.digit for press in dialled)


@given(st.lists(presses, max_size=12), st.integers(0, 2**32 - 1), seeds)
def test_every_digit_comes_once_from_the_worst_network(dialled: list[Press], start: int, seed: int) -> None:
    rng = random.Random(seed)
    arrived = list(chain.from_iterable(lose_and_double(event, rng) for event in sent(dialled, start)))
    rng.shuffle(arrived)
    assert Counter(heard(arrived)) == Counter(press.digit for press in dialled)


@given(st.integers(60_000, 300_000), st.integers(0, 2**32 - 1), seeds)
def test_a_key_held_for_long_is_one_digit(duration: int, start: int, seed: int) -> None:
    rng = random.Random(seed)
    (packets,) = sent([Press("5", duration, PAUSE)], start)
    assert len({timestamp for timestamp, _ in packets}) == -(-duration // 0xFFFF)
    at = [index + rng.uniform(0, 5) for index in range(len(packets))]
    arrived = [packet for _, packet in sorted(zip(at, packets, strict=True), key=lambda pair: pair[0])]
    assert heard([packet for packet in arrived if rng.random() > 0.3]) == "5"


def test_the_same_key_again_right_after_a_long_hold_is_another_digit() -> None:
    assert heard(*sent([Press("5", 70_000, PAUSE), Press("5", 800, PAUSE)])) == "55"


def test_a_sender_whose_timestamp_runs_on_during_the_event() -> None:
    one_press = [(1000 + 160 * n, packet) for n, packet in enumerate(event_packets("7", 1600))]
    again = [(9000 + 160 * n, packet) for n, packet in enumerate(event_packets("7", 1600))]
    assert heard(one_press + again) == "77"


def test_other_events_and_rubbish_are_no_digits() -> None:
    receiver = EventReceiver()
    flash = Event(16, 800).serialize()
    assert receiver.feed(0, True, flash) is None
    assert receiver.feed(0, True, b"\x01\x0a") is None
    assert receiver.malformed == 1


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.booleans(), st.binary(max_size=8))))
def test_any_payloads_are_taken(packets: list[tuple[int, bool, bytes]]) -> None:
    receiver = EventReceiver()
    for timestamp, marker, payload in packets:
        digit = receiver.feed(timestamp, marker, payload)
        assert digit is None or digit in DIGITS


def test_the_packets_of_a_digit() -> None:
    packets = list(event_packets("#", 400))
    events = [Event.parse(packet.payload) for packet in packets]
    assert [packet.marker for packet in packets] == [True, False, False, False, False]
    assert [event.duration for event in events] == [160, 320, 400, 400, 400]
    assert [event.end for event in events] == [False, False, True, True, True]
    assert {packet.offset for packet in packets} == {0} and {event.digit for event in events} == {"#"}


@pytest.mark.parametrize(("digit", "duration"), [("E", 800), ("", 800), ("12", 800), ("1", 0)])
def test_what_is_no_digit_is_not_sent(digit: str, duration: int) -> None:
    with pytest.raises(EventError, match="a digit is one of"):
        list(event_packets(digit, duration))


@pytest.mark.parametrize("event", [Event(256, 0), Event(0, 65536), Event(0, 0, volume=64), Event(0, -1)])
def test_an_event_that_does_not_fit_the_wire_is_refused(event: Event) -> None:
    with pytest.raises(EventError):
        event.serialize()
