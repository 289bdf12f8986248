"""Keypad digits as RTP telephone-events (RFC 4733): the payload, a receiver and a sender.

A packet is four bytes: event code, E bit and volume, duration so far. All packets of an event carry the RTP timestamp
of its start, which therefore names the event; the last packet is sent three times. An event longer than the duration
field can say goes on in a segment whose timestamp is the end of the segment before (2.5.1.3).
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from xconf.rtp.packet import distance

DIGITS = "0123456789*#ABCD"
"""The digit of each event code from 0; what comes behind (16 is the hook flash) is no digit."""

MAX_DURATION = 0xFFFF
END_PACKETS = 3

_REMEMBERED_EVENTS = 32
_NEARLY_FULL = 0x8000  # a duration from which on the sender may be about to begin another segment
_LOST_ENDS = 0x1000  # how far such a segment may seem to begin late, when the last packets before it were lost


class EventError(ValueError):
    """The bytes are no telephone-event, or there is no such event."""


@dataclass(slots=True, frozen=True)
class Event:
    """The payload of one packet: `duration` in timestamp units, `volume` in dBm0 below zero (0 to 63)."""

    code: int
    duration: int
    end: bool = False
    volume: int = 10

    @classmethod
    def parse(cls, payload: bytes) -> Event:
        """Read a payload; what follows the first event is ignored. Raises EventError when it is too short."""
        if len(payload) < 4:
            raise EventError(f"{len(payload)} bytes are fewer than a telephone-event")
        code, flags, duration = struct.unpack_from("!BBH", payload)
        return cls(code, duration, end=flags >= 0x80, volume=flags & 0x3F)

    def serialize(self) -> bytes:
        """The payload as it goes on the wire. Raises EventError when a field is out of range."""
        if not (0 <= self.code < 256 and 0 <= self.volume < 64 and 0 <= self.duration <= MAX_DURATION):
            raise EventError("event codes go to 255, volumes to 63, durations to 65535")
        return struct.pack("!BBH", self.code, self.end << 7 | self.volume, self.duration)

    @property
    def digit(self) -> str | None:
        """The key of the keypad, None for any other event."""
        return DIGITS[self.code] if self.code < len(DIGITS) else None


@dataclass(slots=True)
class _Heard:
    """What is known of an event, or of a segment of one: from `timestamp` on for `duration`."""

    code: int
    timestamp: int
    duration: int
    ended: bool
    marker: bool

    def is_same(self, other: _Heard) -> bool:
        return self.timestamp == other.timestamp and self.code == other.code

    def goes_on_in(self, later: _Heard) -> bool:
        """Whether `later` is no new press of the key but more of this one.

        Besides segments, this finds the packets of senders that let the timestamp run on during an event: these
        begin inside the event, where no other event could.
        """
        ahead = distance(later.timestamp, self.timestamp, 32)
        if self.code != later.code or later.marker or ahead <= 0:
            return False
        gap = ahead - self.duration
        if self.ended:
            return gap < 0
        return gap <= (_LOST_ENDS if self.duration >= _NEARLY_FULL else 0)

    def update(self, other: _Heard) -> None:
        self.duration = max(self.duration, other.duration)
        self.ended |= other.ended
        self.marker |= other.marker


class EventReceiver:
    """Turns the telephone-event packets of one RTP source into digits, each exactly once.

    A digit is given with the first packet that arrives of its event, whichever that is. So neither loss (as long as
    one packet arrives) nor duplication nor reordering, within events or between them, makes a digit vanish or double.
    A source that changes its SSRC needs a new receiver.
    """

    def __init__(self) -> None:
        self.malformed = 0
        """Payloads that were no telephone-event."""
        self._recent: deque[_Heard] = deque(maxlen=_REMEMBERED_EVENTS)

    def feed(self, timestamp: int, marker: bool, payload: bytes) -> str | None:
        """Take a packet, by RTP timestamp (32 bits), marker bit and payload; the digit when it is a new one's."""
        try:
            event = Event.parse(payload)
        except EventError:
            self.malformed += 1
            return None
        heard = _Heard(event.code, timestamp, event.duration, event.end, marker)
        for recent in reversed(self._recent):
            if recent.is_same(heard):
                recent.update(heard)
                return None
        known = any(recent.goes_on_in(heard) or heard.goes_on_in(recent) for recent in self._recent)
        self._recent.append(heard)
        return None if known else event.digit


@dataclass(slots=True, frozen=True)
class EventPacket:
    """One packet to send: `offset` is to be added to the RTP timestamp of the event's start."""

    marker: bool
    offset: int
    payload: bytes


def event_packets(digit: str, duration: int, *, step: int = 160, volume: int = 10) -> Iterator[EventPacket]:
    """The packets that tell of a digit held for `duration`, to be sent one every `step` (both in timestamp units).

    The first goes out when `step` of the digit has passed. Raises EventError for what is no digit.
    """
    code = DIGITS.find(digit.upper())
    if len(digit) != 1 or code < 0 or duration <= 0 or step <= 0:
        raise EventError(f"{digit!r} for {duration}: a digit is one of {DIGITS}, held for some time")
    begin = 0
    for now in range(step, duration, step):
        if now - begin > MAX_DURATION:
            begin += MAX_DURATION
        yield EventPacket(now == step, begin, Event(code, now - begin, volume=volume).serialize())
    if duration - begin > MAX_DURATION:
        begin += MAX_DURATION
    end = Event(code, duration - begin, end=True, volume=volume).serialize()
    for number in range(END_PACKETS):
        yield EventPacket(duration <= step and number == 0, begin, end)
